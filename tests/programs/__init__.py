"""Random programs of trainings: what is recorded, against a model that works it out on paper."""
