"""Recipe, schedule, optimizer and the run folder."""
