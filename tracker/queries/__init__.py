"""The read side: rows for the command line, for pandas and for exports. Never writes."""
