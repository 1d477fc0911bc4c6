"""Backup and restore of what cannot be fetched again."""
