"""The cases. Each begins with a machine of its own and leaves nothing to the next."""
