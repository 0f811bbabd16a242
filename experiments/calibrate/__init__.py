"""Ground truth for LUTs, flip-flops, block RAM and DSPs: synthesized parts in Verilog, and coefficients fitted.

python -m experiments.calibrate                      # simulate and synthesize what is new in the grid, fit, report
python -m experiments.calibrate --fit                # only fit and report, from the committed parts.csv
python -m experiments.calibrate --csynth=mine.csv    # fit to a table of parts from Vitis reports instead
"""
