"""Training data that stay in the accelerator's memory, and views made there."""
