"""What the operator's command does: `cache_monitor.py` calls `command.main`. Knows no Flask."""
