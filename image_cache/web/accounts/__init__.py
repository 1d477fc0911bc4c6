"""Accounts: login, the own account, the household, and the login of the demo."""
