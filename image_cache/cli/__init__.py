"""The command line: one click group, `vinylvault`. A command is imported when it is used, so that each one starts fast."""
