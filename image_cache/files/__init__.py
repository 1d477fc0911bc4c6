"""Large remote files: fetched once, checked, kept within a budget of their own, opened at once the next time."""
