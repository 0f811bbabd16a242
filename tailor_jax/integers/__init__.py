"""The integer side: fixed-point types, the integer graph, its semantics and file, lowering to it. No jax."""
