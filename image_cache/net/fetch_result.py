from image_cache.frozen import frozen

"""What a fetch returns. Apart from the client, because importing that loads urllib3."""


@frozen
class FetchResult:
    """The response of an origin. `status` is 200, or 304 with an empty body if the validators still hold.

    `url` is the URL that responded, after redirects. Validators and `content_type` are "" when missing or malformed;
    `fresh_s` is what the origin says about freshness (0 for no-store and no-cache), None if it says nothing.
    """

    url: str
    status: int
    body: bytes
    etag: str = ""
    last_modified: str = ""
    content_type: str = ""
    fresh_s: float | None = None
