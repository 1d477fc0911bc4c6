"""Visibility of stream images: the one policy. Every page, image, search and total uses it."""

from image_cache.models import ImageVisibility, Stream, StreamImage, Viewer


def may_edit(viewer: Viewer, stream: Stream) -> bool:
    """Return True if the viewer may upload to the stream, and change or delete its images."""
    if stream.owner_id is None and viewer.role == "operator":
        return True
    return stream.id in viewer.owns or stream.id in viewer.co_owns


def may_own(viewer: Viewer, stream: Stream) -> bool:
    """Return True if the viewer may manage the members of the stream, and delete it."""
    return stream.id in viewer.owns or (stream.owner_id is None and viewer.role == "operator")


def may_see(viewer: Viewer, stream: Stream, image: StreamImage | ImageVisibility) -> bool:
    """Return True if the viewer may see this image of the stream, or images of this visibility. The only rule, for pages and API alike."""
    visibility = image.visibility if isinstance(image, StreamImage) else image
    if may_edit(viewer, stream) or visibility is ImageVisibility.PUBLIC:
        return True
    return visibility is ImageVisibility.SUBSCRIBERS and stream.id in viewer.follows


def is_member(viewer: Viewer, stream: Stream) -> bool:
    """Return True if the viewer is the owner, a co-owner or a subscriber of the stream."""
    return may_edit(viewer, stream) or stream.id in viewer.follows
