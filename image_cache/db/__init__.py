"""SQLite in one place: connections, migrations, the catalogue's schema, diagnosis of broken files."""
