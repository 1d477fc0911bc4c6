"""Tags of music files: read by mutagen in a child process, brought into one set of names."""
