"""Training: `fit` yields events, ``python -m napari_pffnet.train`` runs it."""
