"""Cache engine: bytes by key in two tiers, their index, the job queue. Knows no HTTP, no pixels, no Flask."""
