"""Browsing: the wall, what is narrowed and chosen on it, and the head of an artist or a label."""
