"""Datasets: readers of published layouts, their check, augmentation, `tf.data`."""
