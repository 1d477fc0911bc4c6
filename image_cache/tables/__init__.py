"""Table formats in and out: CSV, JSON, the original program's database."""
