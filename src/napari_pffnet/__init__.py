"""Interactive nucleus instance segmentation in napari with PFFNet."""

__version__ = "0.1.0"
