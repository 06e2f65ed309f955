"""What a person asks of a database: look after it, mend it, change or delete what it holds."""
