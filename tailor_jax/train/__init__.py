"""Training: state, losses, the pmapped step, the loop, checkpoints and metrics."""
