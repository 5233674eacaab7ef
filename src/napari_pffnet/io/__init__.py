"""File formats: images in, results out."""
