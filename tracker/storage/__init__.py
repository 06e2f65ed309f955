"""Where a database is, how it is opened, and what is written into it."""
