"""Table importer: tables (CSV, JSON, the database of the original program) as tasks, uploads, the folder `imports`."""
