"""The durable function: takes a batch through the stages, checkpoint by checkpoint."""
