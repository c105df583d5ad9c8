"""What runs model files: one file for each runtime, and the table that picks it."""
