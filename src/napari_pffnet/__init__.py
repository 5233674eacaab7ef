"""Interactive nucleus instance segmentation in napari with PFFNet.

Without napari, begin with `library.load_model`, `segment.segment_image`, `evaluate.metrics.evaluate_pair` and
``python -m napari_pffnet.train``. Importing this imports neither PyTorch nor Qt.
"""

__version__ = "0.1.0"
