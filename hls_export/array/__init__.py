"""The PE array: lowering of a schedule to instructions, and a machine that executes them."""
