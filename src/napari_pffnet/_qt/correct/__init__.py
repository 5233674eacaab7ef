"""The step *Correct*: tools, gestures and keys."""
