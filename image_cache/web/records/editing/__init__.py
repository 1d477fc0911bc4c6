"""Editing by hand: add a record, change it, merge two, write notes."""
