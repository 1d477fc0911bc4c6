"""Log of actions: who uploaded, deleted, invited, logged in, imported or changed a limit; for operators."""
