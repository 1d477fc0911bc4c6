"""Covers over HTTP: media, API, choosing and uploading a cover."""
