"""What only JAX can do."""
