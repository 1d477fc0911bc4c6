"""Large remote files: fetched once, verified, cached within their own budget."""
