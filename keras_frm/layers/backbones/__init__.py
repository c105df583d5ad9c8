"""Layers from an image to the features of four stages."""
