"""The operator's command line, `cache_monitor.py`."""
