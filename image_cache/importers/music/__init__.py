"""Music folders: walking, reading tags in a child process, records from files."""
