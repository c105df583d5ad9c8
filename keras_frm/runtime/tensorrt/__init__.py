"""TensorRT's engines: how they are built, and the GPU's memory that they run in."""
