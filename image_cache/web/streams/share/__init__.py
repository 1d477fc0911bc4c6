"""Sharing: members, links and their pages for visitors, and what visitors send."""
