"""Losses for dense prediction with an ignore label."""

from keras_frm.losses.anchors import sample_anchors
from keras_frm.losses.boundary import BoundaryLoss
from keras_frm.losses.contrastive import PixelContrastiveLoss
from keras_frm.losses.cross_entropy import CrossEntropy
from keras_frm.losses.ohem import OhemCrossEntropy

__all__ = [
    "BoundaryLoss",
    "CrossEntropy",
    "OhemCrossEntropy",
    "PixelContrastiveLoss",
    "sample_anchors",
]
