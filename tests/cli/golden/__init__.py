"""What people see: each view of the command line, as a text file that `tests.cli.test_golden` compares."""
