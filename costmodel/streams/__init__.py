"""The dataflow target: one process per layer, streams between them. See docs/cost_model.md for all its equations."""
