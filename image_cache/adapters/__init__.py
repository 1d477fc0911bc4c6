"""The outside world, one library per file."""
