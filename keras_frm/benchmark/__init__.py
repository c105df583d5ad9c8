"""Speed, memory and agreement of files, and the cost of a training step."""
