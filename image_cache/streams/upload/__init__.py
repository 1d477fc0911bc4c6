"""Upload: what comes in, is validated and stored, and how much space an owner has."""
