"""The gunicorn worker, request framing, the fast path for warm covers, systemd and nginx integration."""
