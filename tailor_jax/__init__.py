"""Residual networks with learnable skip gates: graph IR, rewrites, model, training and quantization."""
