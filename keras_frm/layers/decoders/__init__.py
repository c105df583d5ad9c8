"""Layers from the features of four stages to one map."""
