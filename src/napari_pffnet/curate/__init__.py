"""Correcting: edit operations on label images, what is to be looked at first, and projects that keep all of it."""

from napari_pffnet.curate.change import Change, OperationError

__all__ = ["Change", "OperationError"]
