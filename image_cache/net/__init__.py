"""The guarded HTTP client: URLs, peer policy, deadlines, retries, rate limits."""
