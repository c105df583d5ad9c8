"""The segmentation model and how it is built."""
