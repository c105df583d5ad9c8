"""Procedural street scenes with exact labels, for where no data is at hand."""

from keras_frm.scenes.scene import checked_size, render_scene

__all__ = ["checked_size", "render_scene"]
