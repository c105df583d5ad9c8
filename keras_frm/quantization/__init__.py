"""Integer arithmetic simulated in a Keras graph: after training and while training."""
