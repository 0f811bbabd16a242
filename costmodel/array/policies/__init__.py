"""How a PE array keeps feature maps: one module a memory policy, and what they share."""
