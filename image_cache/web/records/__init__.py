"""Pages of records: the wall, search, one record, removal."""
