"""The streaming design as Verilog: hand-written parts, and the tools that simulate and synthesize them."""
