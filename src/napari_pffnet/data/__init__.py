"""Annotated images as training data: sources, normalisation, targets, random crops."""
