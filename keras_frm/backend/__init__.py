"""What one Keras backend alone can do, by backend."""
