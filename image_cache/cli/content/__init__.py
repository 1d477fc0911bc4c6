"""Commands that change what a vault holds: records, imports, accounts, streams, files."""
