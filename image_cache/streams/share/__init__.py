"""Sharing: members, invite links, and links for visitors without an account."""
