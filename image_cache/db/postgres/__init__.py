"""The catalogue in PostgreSQL, for those who set `VINYL_VAULT_DATABASE`: nothing else imports this room. Decision 0040 has the reasons."""
