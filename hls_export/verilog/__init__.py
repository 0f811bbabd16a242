"""The same plan as Verilog: parts by hand in `rtl/`, a top with one for each process, and the tools that run it."""
