"""Procedural street scenes with exact labels, for where no data is at hand."""

from keras_frm.data.synthetic.scene import render_scene

__all__ = ["render_scene"]
