"""Files on disk: their rows, their limits, what keeps or removes them."""
