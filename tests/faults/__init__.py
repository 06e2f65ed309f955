"""Faults, and what must hold after each: `python -m tests.faults` runs all families, the tests here a sample."""
