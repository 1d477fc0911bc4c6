"""What records are worth: the price that a marketplace names, dated, and the list for an insurance."""
