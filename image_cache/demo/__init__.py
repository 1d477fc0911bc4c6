"""A made-up record collection and the origin that serves its sleeves. The application never imports this package."""
