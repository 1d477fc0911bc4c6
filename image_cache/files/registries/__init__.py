"""Registries: lists of file names with checksums and URLs, and their files as a group."""
