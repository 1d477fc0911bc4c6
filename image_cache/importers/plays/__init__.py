"""Plays of the past, from exports of ListenBrainz and Last.fm and from tables: matched to records, counted as sittings, undone."""
