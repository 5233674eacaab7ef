"""The dialog of the model library."""
