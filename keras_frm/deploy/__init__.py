"""From a trained model to files that a device runs."""
