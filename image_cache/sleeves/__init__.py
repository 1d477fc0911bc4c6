"""Sleeves for records without a cover, drawn as SVG from artist, title and genre. Pure functions: no I/O, nothing random."""
