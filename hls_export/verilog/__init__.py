"""The same plan as Verilog: parts by hand in `rtl/`, a top that instantiates them, contents of memories as hexadecimal."""
