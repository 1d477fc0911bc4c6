"""The scrub: what is kept is compared both ways, and what is bad is made again, fetched again, or told. Nothing precious is touched."""
