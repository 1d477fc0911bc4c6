"""Importers: where records and covers come from. One folder a source."""
