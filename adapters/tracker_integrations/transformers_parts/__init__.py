"""What the Trainer of Transformers does beside logging: evaluates, stops early, saves, deletes."""
