"""Training to the end: run folder, checkpoints, log and curves, devices and workers."""
