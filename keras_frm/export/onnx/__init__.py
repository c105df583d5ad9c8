"""Export to ONNX, for ONNX Runtime and TensorRT."""
