"""Accounts: who may log in, sessions, the setup code."""
