"""Correcting label images: operations that take arrays and return the changed pixels."""

from napari_pffnet.curate.change import Change, OperationError

__all__ = ["Change", "OperationError"]
