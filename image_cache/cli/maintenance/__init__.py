"""Commands that look after a vault: status, health, verify, repair, backup."""
