"""One callback a file, named after Keras' own."""
