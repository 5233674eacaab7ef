"""Metrics of instance segmentation and reports about them."""
