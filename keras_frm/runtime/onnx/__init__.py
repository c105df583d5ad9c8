"""`.onnx` files of unknown origin, read without any library."""
