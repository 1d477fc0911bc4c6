"""The second tier: rendered covers in an S3 store, which every node reads and whoever fetched one writes."""
