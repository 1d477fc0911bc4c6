"""How gunicorn serves us: only whole requests get a thread."""
