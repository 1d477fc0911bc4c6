"""Statistics of a collection and the review of a year."""
