"""Networks: how layers are put together, and the weights that others trained."""
