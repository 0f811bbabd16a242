"""Files of a finished run for tests that need one and train none."""

from experiments.config import Config
from experiments.summary import summary_header


def summary_of(config: Config, accuracy: float = 0.9) -> dict:
    """The content of a summary.json."""
    numbers = {'lut': 9000, 'ff': 8000, 'bram18': 12, 'fifo_bits': 4096, 'interval_cycles': 4096}
    return {
        **summary_header(),
        'accuracy': dict.fromkeys(('teacher', 'gated', 'binarized', 'finetuned', 'quantized'), accuracy),
        'gates': {'s1b0_long': 1, 's2b0_long': 0},
        'p_open': {'s1b0_long': 0.99, 's2b0_long': 0.01},
        'gates_fractional': 0.0,
        'rounding_accuracy_change': -0.01,
        'cost': 0.5,
        'hardware': {'before': numbers, 'after': {name: value - 4 for name, value in numbers.items()}},
        'config': config.to_dict(),
        'seconds': 12.5,
        'images_per_second': 1000.0,
    }
