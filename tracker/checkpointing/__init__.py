"""Checkpoints: what is registered, what may be deleted, what a kill left pending."""
