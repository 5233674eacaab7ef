"""The step *Review*."""
