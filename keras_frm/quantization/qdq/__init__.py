"""Training for ONNX files with QuantizeLinear and DequantizeLinear nodes."""
