"""Scrobbling: plays sent to ListenBrainz and Last.fm, by a queue that outlives a dead network. Off until an account turns it on."""
