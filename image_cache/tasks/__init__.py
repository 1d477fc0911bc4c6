"""Where the collection and its covers come from. Each source is a kind of task; `Tasks` runs them behind the requests."""

from image_cache.tasks.runner import Task, TaskCancelled, Tasks

__all__ = ["Task", "TaskCancelled", "Tasks"]
