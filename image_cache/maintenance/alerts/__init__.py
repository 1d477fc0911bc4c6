"""Alerts: one message when the verdict of the health checks turns, one when all is well again, to each destination."""
