"""Visibility of stream images: the one policy. Every page, image, search and total uses it."""

from image_cache.models import ImageVisibility, SharedImages, Stream, StreamImage, Viewer


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
    if viewer.shared is not None:
        return _is_shared(viewer.shared, stream, image, visibility)
    if may_edit(viewer, stream) or visibility is ImageVisibility.PUBLIC:
        return True
    return visibility is ImageVisibility.SUBSCRIBERS and stream.id in viewer.follows


def is_member(viewer: Viewer, stream: Stream) -> bool:
    """Return True if the viewer is the owner, a co-owner or a subscriber of the stream."""
    return may_edit(viewer, stream) or stream.id in viewer.follows


def _is_shared(shared: SharedImages, stream: Stream, image: StreamImage | ImageVisibility, visibility: ImageVisibility) -> bool:
    """Return True if a link shows the image. Private ones are shown only if they were chosen although they were private."""
    if stream.id != shared.stream_id:
        return False
    if shared.image_ids is None:
        return visibility is not ImageVisibility.PRIVATE
    if not isinstance(image, StreamImage) or image.image_id not in shared.image_ids:
        return False
    return visibility is not ImageVisibility.PRIVATE or image.image_id in shared.private_ids
