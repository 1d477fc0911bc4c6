"""Imaging: formats, variants, colours, and the processes that decode."""
