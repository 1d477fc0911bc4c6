"""Health checks: `examine` from outside a vault, `examine_service` from inside the service; each check fails alone."""
