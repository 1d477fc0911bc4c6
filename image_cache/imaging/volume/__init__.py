"""Volumes (NIfTI, MGH): facts of the header and three slices, from a child process."""
