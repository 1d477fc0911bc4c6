"""A real mail server on loopback: SMTP with STARTTLS and a login, which keeps what it was sent."""

import base64
import contextlib
import email
import email.policy
import socketserver
import ssl
import threading
from email.message import EmailMessage
from pathlib import Path
from typing import Self


class MailServer:
    """`with MailServer(certificate, key, login=("ada", "pass")) as server:` listens on localhost; `server.mails` is what came."""

    def __init__(self, certificate: Path, key: Path, *, login: tuple[str, str], refuses: bytes = b"") -> None:
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificate, key)
        self.login = login
        self.refuses = refuses  # what it answers to every sender, if anything
        self.mails: list[EmailMessage] = []
        self.commands: list[tuple[str, bool]] = []  # each command word, and whether it came encrypted
        self._server = _SmtpServer(self)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="mail")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _SmtpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, mail: MailServer) -> None:
        self.mail = mail
        super().__init__(("127.0.0.1", 0), _Session)


class _Session(socketserver.StreamRequestHandler):
    server: _SmtpServer
    timeout = 20

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # a client that does not trust the certificate goes away
            self._serve()

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()
        self.connection.close()  # of TLS, which took the socket of the request over

    def _serve(self) -> None:
        is_encrypted = False
        is_logged_in = False
        self._say(b"220 localhost ESMTP")
        while line := self.rfile.readline(2000):
            word = line.split()[0].decode().upper()
            self.server.mail.commands.append((word, is_encrypted))
            if word in ("EHLO", "HELO"):
                self._say(b"250-localhost", b"250-AUTH PLAIN" if is_encrypted else b"250-STARTTLS", b"250 8BITMIME")
            elif word == "STARTTLS":
                self._say(b"220 ready")
                self.rfile.close()
                self.connection = self.server.mail.tls.wrap_socket(self.connection, server_side=True)
                self.rfile, self.wfile, is_encrypted = self.connection.makefile("rb"), self.connection.makefile("wb"), True
            elif word == "AUTH":
                _, name, password = base64.b64decode(line.split()[2]).decode().split("\0")
                is_logged_in = (name, password) == self.server.mail.login
                self._say(b"235 welcome" if is_logged_in else b"535 wrong")
            elif word == "MAIL" and (self.server.mail.refuses or not is_logged_in):
                self._say(self.server.mail.refuses or b"530 log in first")
            elif word == "DATA":
                self._say(b"354 go on")
                body = b"".join(iter(self.rfile.readline, b".\r\n"))
                found = email.message_from_bytes(body, policy=email.policy.default)
                assert isinstance(found, EmailMessage)
                self.server.mail.mails.append(found)
                self._say(b"250 taken")
            elif word == "QUIT":
                self._say(b"221 bye")
                return
            else:
                self._say(b"250 ok")

    def _say(self, *lines: bytes) -> None:
        for line in lines:
            self.wfile.write(line + b"\r\n")
        self.wfile.flush()
