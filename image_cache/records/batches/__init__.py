"""Batches: what is done to many records at once, removed or imported, and undone as one."""
