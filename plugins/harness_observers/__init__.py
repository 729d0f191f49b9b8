"""Observers of runs: a table of the steps, TensorBoard, Weights & Biases. Off until they are named."""
