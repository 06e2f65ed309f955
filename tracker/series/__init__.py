"""Step metrics: what a call appends, packed into compressed columns, and read back."""
