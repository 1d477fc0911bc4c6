"""Statistics of the collection: the page of all time, and the review of a year."""
