"""The write side: a run from its start to an honest status."""
