"""Images: formats recognised by their headers, the rendering recipe, and the child processes that decode."""
