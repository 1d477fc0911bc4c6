"""Filters of the wall: which records pass them, how many are left of each value, and walls saved under a name."""
