"""From a trained float network to integers: calibration, quantized training, learned scales."""
