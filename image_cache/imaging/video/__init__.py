"""Videos: reading their tables, making a poster, masking the bytes that viewers do not get."""
