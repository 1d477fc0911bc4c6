"""Cover search: MusicBrainz and the Cover Art Archive, the cover audit, choosing a cover."""
