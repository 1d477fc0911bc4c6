"""Batches: what is done to many records at once, and its undo."""
