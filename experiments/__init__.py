"""Entry points: train, sweep, export, report."""
