"""The system user who typed a command."""

import os
import pwd
from collections.abc import Callable, Mapping


def user_name(environment: Mapping[str, str] = os.environ, uid: Callable[[], int] = os.getuid) -> str:
    """Return the name of the system user who typed the command; with `sudo` that of the user who called it.

    `sudo` passes it in a variable. Any user who can write the vault could set it as well, and edit the log.
    """
    name = environment.get("SUDO_USER", "")
    try:
        return pwd.getpwnam(name).pw_name if name else pwd.getpwuid(uid()).pw_name
    except (KeyError, ValueError):
        return f"user {uid()}"
