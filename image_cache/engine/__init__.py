"""Bytes by key: tiers, index, queue. Knows no HTTP, no pixels, no Flask."""
