"""A door to the application: `gunicorn "app:create_app()"` serves it, `flask --app app` runs its commands. See `image_cache.wsgi`."""

from image_cache.wsgi import application, create_app, initialize_image_cache_if_needed

__all__ = ["application", "create_app", "initialize_image_cache_if_needed"]
