"""Large remote files: fetched once, verified, cached within a budget of their own."""
