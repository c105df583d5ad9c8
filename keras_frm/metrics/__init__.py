"""Intersection over union, of arrays and while training."""

from keras_frm.metrics.confusion import confusion_matrix, iou_from_confusion
from keras_frm.metrics.mean_iou import MeanIoU

__all__ = ["MeanIoU", "confusion_matrix", "iou_from_confusion"]
