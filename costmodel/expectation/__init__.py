"""The exact expectation of any cost under independent gates: groups of gates, tables, chains, budgets."""
