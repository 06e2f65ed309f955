"""What a Keras fit and the callbacks in it record together."""
