"""What the modules for `lightning` and `pytorch_lightning` share: two packages, one code, and neither imported here."""
