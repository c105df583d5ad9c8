"""The optimizer, the learning rate and the recipe that joins them."""
