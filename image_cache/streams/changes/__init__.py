"""Changes of images that a stream has: many at once, moved, deleted, restored, and undone."""
