"""What a .tflite file must be like before an interpreter sees it."""
