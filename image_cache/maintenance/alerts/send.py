"""Sending one alert: to a webhook or ntfy through the guarded client, or by mail. Blocks for up to a minute."""

import hashlib
import hmac
import json
import time
from typing import Any

from image_cache.config import Settings
from image_cache.errors import CacheError, OriginError
from image_cache.maintenance.alerts.destinations import MAIL, NTFY, TLS_PORT, AlertDestination, ntfy_parts
from image_cache.maintenance.alerts.table import AlertMessage
from image_cache.net.lazy_client import make_fetcher, make_policy
from image_cache.net.url import parse_url

TIMEOUT_S = 10.0
ACCEPTED = frozenset(range(200, 207))
SIGNATURE = "X-VinylVault-Signature"
PRIORITIES = {"unhealthy": 5, "degraded": 4}  # of ntfy; 3 is the default
TAGS = {"unhealthy": "rotating_light", "degraded": "warning", "healthy": "white_check_mark"}


class AlertNotSent(CacheError):
    """A message did not arrive. `retryable`: it can arrive later without anyone changing anything."""

    def __init__(self, reason: str, *, retryable: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retryable = retryable


def send(settings: Settings, destination: AlertDestination, message: AlertMessage) -> None:
    """Send a message once. Raises `AlertNotSent`; its reason holds no secret."""
    if destination.kind == MAIL:
        _send_mail(destination, message)
    elif destination.kind == NTFY:
        url, topic = ntfy_parts(destination.url)
        headers = {"Authorization": f"Bearer {destination.secret}"} if destination.secret else {}
        _post(settings, url, _ntfy(topic, message), headers)
    else:
        body = _webhook(message)
        headers = {SIGNATURE: f"sha256={sign(destination.secret, body)}"} if destination.secret else {}
        _post(settings, destination.url, body, headers)


def sign(secret: str, body: bytes) -> str:
    """Return the HMAC-SHA256 of a body, in hex."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def check_destination(settings: Settings, destination: AlertDestination) -> None:
    """Raise `OriginDenied` if the settings of the operator forbid a request to this destination."""
    if destination.kind != MAIL:
        make_policy(settings, _origin(destination.url)).check(destination.url)


def _origin(url: str) -> str:
    return str(parse_url(url).peer)


def _webhook(message: AlertMessage) -> bytes:
    """Return the body of a webhook. Slack and Matrix read `text`, Discord reads `content`."""
    fields: dict[str, Any] = {"id": message.id, "event": message.event, **message.facts}
    return json.dumps({**fields, "text": message.text, "content": message.text}, ensure_ascii=False).encode()


def _ntfy(topic: str, message: AlertMessage) -> bytes:
    state = str(message.facts.get("state", ""))
    fields = {"topic": topic, "title": "VinylVault", "message": message.text, "priority": PRIORITIES.get(state, 3)}
    return json.dumps({**fields, "tags": [TAGS[state]] if state in TAGS else []}, ensure_ascii=False).encode()


def _post(settings: Settings, url: str, body: bytes, headers: dict[str, str]) -> None:
    # Private addresses are allowed for this origin alone: an operator wrote it. A redirect is an error, so it leads nowhere else.
    client = make_fetcher(settings, make_policy(settings, _origin(url)))
    sent = {"Content-Type": "application/json", "Accept": "*/*", **headers}
    try:
        with client.open(url, headers=sent, accepted=ACCEPTED, deadline_s=TIMEOUT_S, redirects=0, body=body):
            pass
    except OriginError as error:
        refused = {401: "The server refused the token or key (HTTP 401).", 403: "The server refused the request (HTTP 403)."}
        reason = refused.get(error.status or 0) or f"{error.reason[:1].upper()}{error.reason[1:]}."
        raise AlertNotSent(reason, retryable=error.retryable) from error
    finally:
        client.close()


def _send_mail(destination: AlertDestination, message: AlertMessage) -> None:
    import smtplib  # with the package email: 0.5 MB that a server without mail never needs
    import ssl
    from email.message import EmailMessage
    from email.utils import formatdate

    mail = EmailMessage()
    mail["From"], mail["To"] = destination.sender, destination.recipient
    mail["Subject"] = message.text.partition(": ")[0].rstrip(".")
    mail["Date"] = formatdate(message.created_at)
    # The same for every try, so that a mailbox can drop a second copy.
    domain = destination.sender.rpartition("@")[2]
    mail["Message-ID"] = f"<alert-{message.id}-{int(message.created_at)}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(f"{message.text}\n\n{time.strftime('%Y-%m-%d %H:%M', time.localtime(message.created_at))}\n")
    context = ssl.create_default_context()
    server: smtplib.SMTP
    try:
        if destination.port == TLS_PORT:
            server = smtplib.SMTP_SSL(destination.host, destination.port, timeout=TIMEOUT_S, context=context)
        else:
            server = smtplib.SMTP(destination.host, destination.port, timeout=TIMEOUT_S)
        with server:
            if destination.port != TLS_PORT:
                server.starttls(context=context)
            if destination.login:
                server.login(destination.login, destination.secret)
            server.send_message(mail)
    except smtplib.SMTPAuthenticationError as error:
        raise AlertNotSent(f"{destination.host} refused the login.", retryable=False) from error
    except smtplib.SMTPNotSupportedError as error:
        raise AlertNotSent(f"{destination.host} offers no STARTTLS or no login.", retryable=False) from error
    except ssl.SSLError as error:
        raise AlertNotSent(f"Invalid TLS certificate or connection of {destination.host}.") from error
    except smtplib.SMTPResponseException as error:
        is_for_good = error.smtp_code >= 500
        raise AlertNotSent(f"{destination.host} refused the mail ({error.smtp_code}).", retryable=not is_for_good) from error
    except smtplib.SMTPRecipientsRefused as error:
        raise AlertNotSent(f"{destination.host} refused the recipient.", retryable=False) from error
    except (OSError, smtplib.SMTPException) as error:
        raise AlertNotSent(f"{destination.host} does not respond.") from error
