"""A trained network as a graph of primitive operations, read and rewritten."""
