"""Pages of the importers and their tasks."""
