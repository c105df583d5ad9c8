"""Datasets: label tables, readers of published layouts, augmentation, `tf.data`."""
