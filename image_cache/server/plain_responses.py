"""Responses to requests that do not reach the application."""

from gunicorn.http import errors

STATUSES: tuple[tuple[type[Exception], str], ...] = (
    (errors.LimitRequestLine, "414 URI Too Long"),
    (errors.LimitRequestHeaders, "431 Request Header Fields Too Large"),
    (errors.ExpectationFailed, "417 Expectation Failed"),
    (errors.UnsupportedTransferCoding, "501 Not Implemented"),
)


def refusal_of(error: Exception) -> str:
    """Return the status for a request that gunicorn's parser refused; nothing if the error is ours."""
    is_ours = isinstance(error, errors.InvalidResponseHeader | errors.InvalidResponseHeaderName)
    if is_ours or not isinstance(error, errors.ParseException):
        return ""
    return next((status for kind, status in STATUSES if isinstance(error, kind)), "400 Bad Request")


def plain_response(status: str) -> bytes:
    """Return a complete response that contains only its status, with the headers of all our responses."""
    body = f"{status[4:]}\n".encode()
    lines = (
        f"HTTP/1.1 {status}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "X-Frame-Options: DENY",
        "Referrer-Policy: same-origin",
        "Content-Security-Policy: default-src 'none'; sandbox",
        "Connection: close",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
