"""Tables (CSV, JSON) as import tasks, and the inbox folder `imports`."""
