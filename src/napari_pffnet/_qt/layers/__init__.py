"""What the panel knows of napari's layers: planes, parts, labels, the camera."""
