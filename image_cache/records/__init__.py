"""Records: the collection's table, search, order, imports, removal."""
