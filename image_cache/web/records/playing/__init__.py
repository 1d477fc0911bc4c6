"""Playing: what plays, what was played, and the moods of a random pick."""
