"""Editing records by hand: typed values that no import changes, and each change undone."""
