"""The page: ``tracker ui``. Queries in, JSON and static files out. Needs the extra ``ui``."""
