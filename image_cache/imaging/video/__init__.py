"""Videos: what their boxes say, a frame as their picture, and what viewers do not get."""
