"""Accounts, sessions and the setup code."""
