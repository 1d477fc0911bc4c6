"""Housekeeping, health checks, nightly scrub, backup and restore."""
