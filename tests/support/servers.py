"""Whether this run may start server processes: one without the tests that are marked `server` may not."""

_are_allowed = True


def forbid() -> None:
    """Let every start of a server fail from now on, so that no test that starts one is without its mark."""
    global _are_allowed  # noqa: PLW0603  # one run of pytest, one answer
    _are_allowed = False


def about_to_start() -> None:
    """Called by everything that starts a server process or a browser."""
    assert _are_allowed, "this test starts a server process: mark it `server`"
