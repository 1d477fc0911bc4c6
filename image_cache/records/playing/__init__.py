"""Playing records: the turntable, sides, plays, and a record picked at random."""
