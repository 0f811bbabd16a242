"""The PE array: lowering of a schedule to instructions, and an engine that executes them."""
