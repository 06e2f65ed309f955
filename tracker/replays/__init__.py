"""What other settings of a callback would have done with a recorded curve."""
