"""What only many nodes need, for those who set `VINYL_VAULT_DATABASE`: who lives, what they share, whose work is taken over. Nothing else imports this room."""
