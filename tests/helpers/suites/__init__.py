"""The neighbours' own suites, run against ours: fetched from the releases that ship them, never kept here."""
