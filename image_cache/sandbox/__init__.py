"""Sandbox for processes that read untrusted bytes: resource limits, and the channel to them."""
