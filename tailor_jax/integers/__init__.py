"""The integer side: fixed-point types, the integer graph and its reference semantics, its file, lowering to it. Imports
no jax.
"""
