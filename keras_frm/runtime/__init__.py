"""What runs on a device: numpy, OpenCV and an interpreter, nothing else."""
