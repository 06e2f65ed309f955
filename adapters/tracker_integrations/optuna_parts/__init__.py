"""What Optuna does beside running trials: prunes them."""
