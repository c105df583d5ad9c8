"""Annotations as labelling tools write them: one reader per format, one way to fill."""
