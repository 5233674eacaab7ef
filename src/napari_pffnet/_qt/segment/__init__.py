"""The step *Segment*."""
