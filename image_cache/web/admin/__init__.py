"""Pages for operators: dashboard, health, metrics."""
