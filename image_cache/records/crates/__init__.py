"""Crates: lists of records with a name, in an order that people choose."""
