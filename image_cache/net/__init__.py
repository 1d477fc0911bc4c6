"""The guarded fetch: addresses, peer policy, HTTP client, rate limits."""
