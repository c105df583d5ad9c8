"""Forms of layers, and facts about devices, that only TensorFlow has."""
