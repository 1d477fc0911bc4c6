"""Videos: what their boxes say, a frame as their image, and what viewers do not get."""
