"""Child processes that read hostile bytes: resource limits and the channel to them."""
