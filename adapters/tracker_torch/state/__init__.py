"""What a training saves and gets back: weights, optimizers, schedulers, files."""
