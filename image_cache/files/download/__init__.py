"""Download: from the queue to a file that is whole and verified."""
