"""The step *Project*."""
