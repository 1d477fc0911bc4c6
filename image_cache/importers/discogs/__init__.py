"""Discogs: client, parser, collection sync."""
