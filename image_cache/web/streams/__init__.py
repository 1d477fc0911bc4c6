"""Pages, media and API of streams."""
