"""Changes of images that a stream has: a selection, the band with its undo, the trash."""
