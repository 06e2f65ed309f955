"""What a loop counts, where it stands, and whose run it records into."""
