"""Every error raised on purpose: one class, one sentence, its facts as attributes.

`retryable` says whether the same call can succeed later without anybody doing anything; `hint` tells the operator what to do.
Only `web/errors.py` knows which HTTP status an error becomes.
"""


class CacheError(Exception):
    """Something VinylVault was asked to do did not happen, for a reason it can name."""

    retryable = False
    hint = ""


class ConfigError(CacheError):
    """A setting is unknown or has a value that cannot be used."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name = name
        self.problem = problem


class OriginError(CacheError):
    """An origin did not give us a picture. `kind` is a short stable word for logs and the index; empty means that of the class."""

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
    """The address may not be spoken to: scheme, name, port, or a peer inside a network of ours."""

    kind = "denied"
    hint = "If this server is yours, list it in VINYL_VAULT_TRUSTED_ORIGINS as scheme://host:port."


class OriginNotFound(OriginError):
    """The origin says that there is no such picture (404, 410)."""

    kind = "not-found"


class OriginUnavailable(OriginError):
    """The origin is down, slow, busy, cut the line or lied about the length. `retry_after_s` is what it asked for."""

    kind = "unavailable"
    retryable = True


class OriginTooLarge(OriginError):
    """The origin sends more bytes than the limit allows."""

    kind = "too-large"

    def __init__(self, url: str, limit_bytes: int, got_bytes: int) -> None:
        super().__init__(url, f"more than {limit_bytes} bytes (at least {got_bytes})")
        self.limit_bytes = limit_bytes
        self.got_bytes = got_bytes


class ImageRejected(CacheError):
    """The bytes are not a picture that we render: wrong format, broken, or dearer than the decode budget."""

    kind = "not-an-image"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class DecoderFailed(CacheError):
    """The decoder process died or ran out of time or memory while it rendered one picture."""

    kind = "decoder"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StorageError(CacheError):
    """The disk refused a read or a write."""

    retryable = True
    hint = "Look at free space and permissions of the data directory."

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class ChecksumMismatch(CacheError):
    """The bytes that came are not those that were promised, by the caller or by the origin. They are not kept."""

    kind = "checksum"
    hint = "Fetch it again; when it differs again, ask whoever publishes the file for its checksum."

    def __init__(self, url: str, algorithm: str, expected: str, found: str) -> None:
        super().__init__(f"{url}: {algorithm} should be {expected}, found {found}")
        self.url = url
        self.algorithm = algorithm
        self.expected = expected
        self.found = found


class FileRejected(CacheError):
    """A large file is not what its name promises, or not one that can be shown. `expected` and `found` say how."""

    kind = "not-this-file"

    def __init__(self, name: str, expected: str, found: str) -> None:
        super().__init__(f"{name}: expected {expected}, found {found}")
        self.name = name
        self.expected = expected
        self.found = found


class FetchStopped(CacheError):
    """A fetch was ended before it was done: paused or cancelled by somebody, or the program stops. What came is kept for later."""

    kind = "stopped"
    retryable = True

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: {reason}")
        self.url = url
        self.reason = reason


class UnknownFile(CacheError):
    """No file of this name is kept or on its way."""


class QueueFull(CacheError):
    """The job queue holds as many jobs as it may."""

    retryable = True

    def __init__(self, limit: int) -> None:
        super().__init__(f"the queue holds {limit} jobs, its limit")
        self.limit = limit


class Busy(CacheError):
    """Somebody else is doing what only one may do at a time."""

    retryable = True


class ArchiveRejected(CacheError):
    """A file is not a backup that can be restored. Nothing of it was put in place."""

    hint = "Take another backup; docs/BACKUP.md says what one holds."

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class VaultNotEmpty(CacheError):
    """There is a collection where a backup should be restored to."""

    hint = "With --force what is there is kept beside it, in a folder of its own."

    def __init__(self, path: str, found: str) -> None:
        super().__init__(f"{path} is not empty: {found}")
        self.path = path
        self.found = found


class UnknownImage(CacheError):
    """No address was ever registered for this digest or URL."""


class ImportRejected(CacheError):
    """One row of an import cannot be used; the others go in. `line` counts from 1, with the header of a CSV as line 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


class TableRejected(CacheError):
    """A file is not a table that can be read at all; nothing of it went in."""

    hint = "docs/IMPORT.md describes the tables."

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class FolderRejected(CacheError):
    """A folder cannot be one of music. `path` is as it was given."""

    def __init__(self, path: str, reason: str, *, hint: str = "") -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.path = path
        self.reason = reason
        self.hint = hint


class UnknownPage(CacheError):
    """There is no grid page with this number; pages count from 1, and an empty wall has one."""

    def __init__(self, number: int, pages: int) -> None:
        super().__init__(f"there is no page {str(number)[:20]}, the last one is {pages}")
        self.number = number
        self.pages = pages


class UnknownAlbum(CacheError):
    """No record has this id."""

    def __init__(self, album_id: int) -> None:
        super().__init__(f"there is no record {str(album_id)[:20]}")
        self.album_id = album_id


class OfferGone(CacheError):
    """A picture was chosen that is not, or no longer, among those that are offered for the record."""

    def __init__(self) -> None:
        super().__init__("This picture is no longer among those to choose from. Look at the list again.")


class UnknownTask(CacheError):
    """No task has this id, or it ended so long ago that it was forgotten."""

    def __init__(self, task_id: int) -> None:
        super().__init__(f"there is no task {str(task_id)[:20]}")
        self.task_id = task_id


class SourceRefused(CacheError):
    """A service of records does not let us in. `kind` is `token`, `private`, `account` or `program`; asking again does not help."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


class SourceAway(CacheError):
    """A service of records cannot be reached, or does not answer as it should, although it was asked several times."""

    retryable = True

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class AccountRejected(CacheError):
    """An account cannot be made like this. `field` is `name`, `password` or `role`."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


class LoginFailed(CacheError):
    """Name and password (or the setup code) were not accepted.

    `tries_left` says how many more are heard before a pause; `retry_after_s` is the pause when none is.
    """

    def __init__(self, reason: str, *, tries_left: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.tries_left = tries_left
        self.retry_after_s = retry_after_s


class NotVisible(CacheError):
    """There is nothing here for this viewer. What is hidden and what never was are the same, to the letter."""

    def __init__(self) -> None:
        super().__init__("There is nothing here.")


class NotAllowed(CacheError):
    """The viewer may see this but not do that with it. `needs_login` when nobody is logged in."""

    def __init__(self, reason: str, *, needs_login: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.needs_login = needs_login


class FieldRejected(CacheError):
    """A name or text cannot be taken. `field` says which."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


class UploadTooLarge(CacheError):
    """A file has more bytes than one may have. `got_bytes` is what was read until then."""

    def __init__(self, limit_bytes: int, got_bytes: int) -> None:
        super().__init__(f"{got_bytes / 1e6:.1f} MB is over the {limit_bytes / 1e6:g} MB limit.")
        self.limit_bytes = limit_bytes
        self.got_bytes = got_bytes


class QuotaExceeded(CacheError):
    """The stream holds as many images as it may."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The stream holds {limit} pictures, which is its limit.")
        self.limit = limit


class DuplicateImage(CacheError):
    """The very same bytes are in this stream already."""

    def __init__(self, image_id: str) -> None:
        super().__init__("The same picture is in this stream already.")
        self.image_id = image_id


class InvitationRejected(CacheError):
    """The link of an invitation is unknown, over, or used up."""


class ProgramMissing(CacheError):
    """A program that this needs is not installed. `package` brings it."""

    def __init__(self, program: str, package: str) -> None:
        super().__init__(f"This needs the program {program}: install the package {package}.")
        self.program = program
        self.package = package
        self.hint = f"sudo apt install {package}"


class VideoRejected(CacheError):
    """No frame could be taken from a video."""
