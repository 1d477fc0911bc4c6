"""Tasks: long runs that a user started, run in the background and resumed after a restart."""

from image_cache.tasks.runner import Task, TaskCancelled, TaskRunner

__all__ = ["Task", "TaskCancelled", "TaskRunner"]
