"""The step *Train*."""
