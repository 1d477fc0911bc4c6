"""Pages and API of large files."""
