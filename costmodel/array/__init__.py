"""The PE-array target: layers run one after another on an R x C array of multipliers, with buffers on chip and feature
maps in DRAM.
"""
