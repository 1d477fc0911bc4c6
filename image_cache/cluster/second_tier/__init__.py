"""Second tier: rendered covers in an S3 store. Each node reads from it, and the node that fetched a cover writes it there."""
