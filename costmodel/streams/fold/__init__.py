"""The folding of least resources that meets an interval, and the shortest interval that fits a device."""
