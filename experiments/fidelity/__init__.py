"""The cost models beside published and measured figures: the study that writes docs/fidelity.md."""
