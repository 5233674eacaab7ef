"""The napari panel: views made of Qt, and controllers without it."""
