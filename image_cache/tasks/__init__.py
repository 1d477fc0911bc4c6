"""Where the collection and its covers come from. Each source is a kind of task; `TaskRunner` runs them behind the requests."""

from image_cache.tasks.runner import Task, TaskCancelled, TaskRunner

__all__ = ["Task", "TaskCancelled", "TaskRunner"]
