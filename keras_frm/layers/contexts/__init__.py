"""Layers that refine the coarsest features with those of all stages."""
