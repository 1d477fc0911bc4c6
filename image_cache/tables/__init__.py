"""Table formats: CSV, JSON and the database of the original program."""
