"""Orders of the wall: by names, numbers, dates and colours."""
