"""Errors raised on purpose: one class, one sentence, facts as attributes.

`retryable`: the same call can succeed later without anyone changing anything. `hint` tells the operator what to do.
Only `web/errors.py` knows which HTTP status an error becomes.
"""


class CacheError(Exception):
    """Base class: something that VinylVault was asked to do failed for a known reason."""

    retryable = False
    hint = ""


class ConfigError(CacheError):
    """A setting is unknown or has an invalid value."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name = name
        self.problem = problem


class OriginError(CacheError):
    """A fetch from an origin failed. `kind` is a short stable word for logs and the index; empty means that of the class."""

    kind = "failed"

    def __init__(
        self, url: str, reason: str, *, status: int | None = None, retry_after_s: float | None = None, kind: str = ""
    ) -> None:
        super().__init__(reason)
        self.kind = kind or type(self).kind
        self.url = url
        self.reason = reason
        self.status = status
        self.retry_after_s = retry_after_s


class OriginDenied(OriginError):
    """The URL must not be fetched: its scheme, host name or port, or an address inside a local network."""

    kind = "denied"
    hint = "If this is your own server, add it to VINYL_VAULT_TRUSTED_ORIGINS, for example http://192.168.1.20:8080."


class OriginNotFound(OriginError):
    """The origin responded that there is nothing under this URL (404, 410)."""

    kind = "not-found"


class OriginUnavailable(OriginError):
    """The origin is down, slow or busy, broke the connection, or sent another length than it announced. `retry_after_s`: its Retry-After.

    `is_host_fault` is False for a fault of this one response: other URLs of the host may well work.
    """

    kind = "unavailable"
    retryable = True

    def __init__(
        self,
        url: str,
        reason: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        kind: str = "",
        is_host_fault: bool = True,
    ) -> None:
        super().__init__(url, reason, status=status, retry_after_s=retry_after_s, kind=kind)
        self.is_host_fault = is_host_fault


class OriginCut(OriginUnavailable):
    """The origin cuts a file short again and again, and what it sends comes no further: given up. Sizes are in bytes.

    `furthest_bytes`: how far the file ever came. `received_bytes`: what all attempts received together.
    """

    kind = "cut"
    retryable = False
    hint = "Resume the download on a better connection, or ask the operator of the server to support byte ranges and ETags."

    def __init__(self, url: str, reason: str, *, furthest_bytes: int, received_bytes: int) -> None:
        super().__init__(url, reason, is_host_fault=False)
        self.furthest_bytes = furthest_bytes
        self.received_bytes = received_bytes


class OriginTooLarge(OriginError):
    """The response of the origin has more bytes than the limit allows."""

    kind = "too-large"

    def __init__(self, url: str, limit_bytes: int, got_bytes: int, *, of_bytes: int | None = None) -> None:
        """`of_bytes`: the whole limit, when pinned files leave only `limit_bytes` of it."""
        limit = f"{limit_bytes / 1e6:g} MB"
        limit += " limit" if of_bytes is None else f" that pinned files leave of the {of_bytes / 1e6:g} MB limit"
        super().__init__(url, f"larger than the {limit} (at least {got_bytes / 1e6:.1f} MB)")
        self.limit_bytes = limit_bytes
        self.got_bytes = got_bytes


UNKNOWN_FORMAT = "unknown-format"  # the kind of an `ImageRejected` whose bytes are no image at all, such as an error page


class ImageRejected(CacheError):
    """The bytes are not an image that can be rendered: wrong format, broken, or more expensive than the decode budget."""

    kind = "not-an-image"

    def __init__(self, reason: str, *, kind: str = "") -> None:
        super().__init__(reason)
        self.kind = kind or type(self).kind
        self.reason = reason


class DecoderFailed(CacheError):
    """The decoder process died, or ran out of time or memory, while it rendered one image.

    `retryable` is False if the image itself needs more CPU time or memory than one image may have.
    """

    kind = "decoder"
    retryable = True

    def __init__(self, reason: str, *, retryable: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retryable = retryable


class DecoderBusy(CacheError):
    """The decoder is rendering other images, and the caller cannot wait any longer."""

    kind = "decoder"
    retryable = True

    def __init__(self) -> None:
        super().__init__("VinylVault is busy with other images. Try again in a moment.")


class StorageError(CacheError):
    """A read or write failed on the disk or in a remote storage."""

    retryable = True
    hint = "Check the free space and permissions of the data directory."

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class StorageAway(StorageError):
    """A remote storage does not answer now; the same request may succeed later."""

    hint = "Check the network and the storage."


class FolderMissing(StorageError):
    """The folder of a file that is to be written does not exist."""

    retryable = False
    hint = "Create the folder or connect its disk, then try again."

    def __init__(self, folder: str) -> None:
        super().__init__(folder, "this folder does not exist")


class ChecksumMismatch(CacheError):
    """The bytes do not have the checksum that the caller or the origin stated. They are discarded."""

    kind = "checksum"
    hint = "Download it again. If the checksum still does not match, check it with the publisher of the file."

    def __init__(self, url: str, algorithm: str, expected: str, found: str) -> None:
        super().__init__(f"{url}: {algorithm} checksum mismatch: expected {expected}, got {found}")
        self.url = url
        self.algorithm = algorithm
        self.expected = expected
        self.found = found


class FileRejected(CacheError):
    """A large file is not what its name says, or cannot be shown. `expected` and `found` say why."""

    kind = "not-this-file"

    def __init__(self, name: str, expected: str, found: str) -> None:
        super().__init__(f"{name}: expected {expected}, got {found}")
        self.name = name
        self.expected = expected
        self.found = found


class FetchStopped(CacheError):
    """A fetch was paused or cancelled, or the process stops. The bytes received so far are kept, to resume later."""

    kind = "stopped"
    retryable = True

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: {reason}")
        self.url = url
        self.reason = reason


class UnknownFile(CacheError):
    """No file of this name is cached or being fetched."""


class QueueFull(CacheError):
    """The job queue is at its limit."""

    retryable = True

    def __init__(self, limit: int) -> None:
        super().__init__(f"the queue is full ({limit:,} jobs); try again later or raise VINYL_VAULT_QUEUE_LIMIT")
        self.limit = limit


class LeaseLost(CacheError):
    """A worker ended a job that it no longer holds: its lease ended, and another worker claimed the job, or it was removed."""

    def __init__(self, digest: str) -> None:
        super().__init__(f"the job of {digest} is no longer held by this worker")
        self.digest = digest


class Busy(CacheError):
    """Another process is doing something that only one process may do at a time."""

    retryable = True


class ArchiveRejected(CacheError):
    """A file is not a backup that can be restored. Nothing was changed."""

    hint = "Use a different backup file. docs/BACKUP.md describes the format."

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class VaultNotEmpty(CacheError):
    """The target of a restore already holds a collection."""

    hint = "To restore anyway, add --force. The current data is moved to a folder next to it, not deleted."

    def __init__(self, path: str, found: str) -> None:
        super().__init__(f"{path} is not empty: {found}")
        self.path = path
        self.found = found


class UnknownImage(CacheError):
    """No image is registered under this digest or URL."""


class ImportRejected(CacheError):
    """One row of an import is invalid; the others are imported. `line` counts from 1, with the header of a CSV as line 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


class TableRejected(CacheError):
    """A file cannot be read as a table; nothing was imported."""

    hint = "docs/IMPORT.md describes the supported formats."

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class FolderRejected(CacheError):
    """A folder cannot be used as a music folder. `path` is as it was given."""

    def __init__(self, path: str, reason: str, *, hint: str = "") -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.path = path
        self.reason = reason
        self.hint = hint


class UnknownPage(CacheError):
    """The wall has no page with this number. Pages count from 1; an empty wall has one."""

    def __init__(self, number: int, pages: int) -> None:
        super().__init__(f"page {str(number)[:20]} does not exist; the last page is {pages}")
        self.number = number
        self.pages = pages


class UnknownAlbum(CacheError):
    """No record has this id."""

    def __init__(self, album_id: int) -> None:
        super().__init__(f"record {str(album_id)[:20]} does not exist")
        self.album_id = album_id


class UnknownCrate(CacheError):
    """No crate has this id, or this viewer may not see it."""

    def __init__(self, crate_id: int) -> None:
        super().__init__(f"crate {str(crate_id)[:20]} does not exist")
        self.crate_id = crate_id


class UnknownSelection(CacheError):
    """No selection has this number, or it is more than an hour old."""

    def __init__(self) -> None:
        super().__init__("This selection is more than an hour old. Select the records again.")


class UnknownWant(CacheError):
    """Nothing on the wantlist has this id."""

    def __init__(self, want_id: int) -> None:
        super().__init__(f"entry {str(want_id)[:20]} of the wantlist does not exist")
        self.want_id = want_id


class OfferGone(CacheError):
    """The chosen image is not, or no longer, among the candidates for the record."""

    def __init__(self) -> None:
        super().__init__("This suggestion is no longer available. Reload the page to see the current ones.")


class UnknownTask(CacheError):
    """No task has this id, or it ended long ago and was deleted."""

    def __init__(self, task_id: int) -> None:
        super().__init__(f"task {str(task_id)[:20]} does not exist")
        self.task_id = task_id


class SourceRefused(CacheError):
    """A service such as Discogs refuses access. `kind` is `token`, `private`, `account` or `program`; a retry does not help."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


class SourceAway(CacheError):
    """A service such as Discogs is unreachable, or its responses are invalid, after several attempts."""

    retryable = True

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class AccountRejected(CacheError):
    """An account cannot be created with these values. `field` is `name`, `password` or `role`."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


class LoginFailed(CacheError):
    """The name and password, or the setup code, are wrong.

    `tries_left` is how many more attempts are allowed; `retry_after_s` how long to wait if there is none.
    """

    def __init__(self, reason: str, *, tries_left: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.tries_left = tries_left
        self.retry_after_s = retry_after_s


class NotVisible(CacheError):
    """This viewer may not see it, or it does not exist: the two must look exactly the same."""

    def __init__(self) -> None:
        super().__init__("Not found.")


class NotAllowed(CacheError):
    """The viewer may see this but not change it. `needs_login` is True if no one is logged in."""

    def __init__(self, reason: str, *, needs_login: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.needs_login = needs_login


class FieldRejected(CacheError):
    """The value of a form field is invalid. `field` is its name."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


class UploadTooLarge(CacheError):
    """An uploaded file is over the limit. `got_bytes` is what had been read by then."""

    def __init__(self, limit_bytes: int, got_bytes: int) -> None:
        super().__init__(f"This file is {got_bytes / 1e6:.1f} MB. The limit is {limit_bytes / 1e6:g} MB.")
        self.limit_bytes = limit_bytes
        self.got_bytes = got_bytes


class QuotaExceeded(CacheError):
    """The stream is at its limit of images."""

    def __init__(self, limit: int) -> None:
        images = "image" if limit == 1 else "images"
        super().__init__(f"This stream is full ({limit} {images}, with its trash). Delete images for good to add others.")
        self.limit = limit


class SpaceExceeded(CacheError):
    """The streams of an owner would hold more bytes than they may. `others_message` says it without the owner's figures."""

    def __init__(self, limit_bytes: int, used_bytes: int, trash_bytes: int, needed_bytes: int) -> None:
        trash = f", {trash_bytes / 1e6:,.1f} MB of that in the trash" if trash_bytes else ""
        super().__init__(
            f"Not enough space for {needed_bytes / 1e6:,.1f} MB: {used_bytes / 1e6:,.1f} of {limit_bytes / 1e6:,.1f} MB are in use{trash}."
            " Delete images for good, or ask an operator for more space."
        )
        self.limit_bytes = limit_bytes
        self.used_bytes = used_bytes
        self.needed_bytes = needed_bytes
        self.others_message = "The owner of this stream has not enough space left for this file."


class DuplicateImage(CacheError):
    """The stream already holds an image with the same bytes. `is_animated` only if it was decoded before that was found."""

    def __init__(self, image_id: str, *, is_animated: bool = False) -> None:
        super().__init__("This image is already in the stream.")
        self.image_id = image_id
        self.is_animated = is_animated


class InvitationRejected(CacheError):
    """The invite link is unknown, expired, or used up."""


class ProgramMissing(CacheError):
    """A required program is not installed. `package` contains it."""

    def __init__(self, program: str, package: str) -> None:
        super().__init__(f"{program} is not installed. Install the {package} package and try again.")
        self.program = program
        self.package = package
        self.hint = f"sudo apt install {package}"


class VideoRejected(CacheError):
    """A video cannot be stored, or no frame could be extracted from it."""
