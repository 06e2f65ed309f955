"""Random sequences of what people do with checkpoints, compared with a model of a hundred lines."""
