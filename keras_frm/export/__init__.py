"""From a trained model to a checked file for a device."""
