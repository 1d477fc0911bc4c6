"""Logins for origins: sent to their origin alone, kept with mode 0600, never shown or logged."""

import base64
import logging
import stat
from pathlib import Path

import pytest

from image_cache.errors import OriginError, StorageError, UnknownFile
from image_cache.files.cache import FileCache
from image_cache.files.download.logins import BadLogin, Login, Logins, netrc_logins, origin_of
from tests.files.conftest import Make, noise
from tests.support.origin import Origin
from tests.support.volumes import serve

SECRET = "s3cret-Token_0123456789"


@pytest.fixture
def logins(tmp_path: Path) -> Logins:
    return Logins(tmp_path / "state/origin_credentials", lambda: 5.0)


@pytest.fixture
def cache(make: Make, tmp_path: Path) -> FileCache:
    return make(STATE_DIR=tmp_path / "state")


def sent(origin: Origin, path: str) -> list[str | None]:
    return [asked.headers.get("authorization") for asked in origin.requests if asked.path == path]


def test_a_token_is_sent_to_its_origin_and_to_no_other(origin: Origin, cache: FileCache, logins: Logins) -> None:
    with Origin() as other:
        logins.add(origin.base, SECRET)
        mine, _ = serve(origin, "/mine.bin", noise(100))
        assert cache.get(mine).stat().st_size == 100
        assert sent(origin, "/mine.bin") == [f"Bearer {SECRET}"]
        logins.remove(origin.base)
        logins.add(other.base, SECRET)
        cache.get(mine, is_anew=True)
        assert sent(origin, "/mine.bin")[1:] == [None]


def test_a_redirect_to_another_origin_ends_the_login_also_on_its_way_back(tmp_path: Path, make: Make, logins: Logins) -> None:
    with Origin() as origin, Origin() as other:
        cache = make(STATE_DIR=tmp_path / "state", TRUSTED=(origin.base, other.base))
        logins.add(origin.base, SECRET)
        logins.add(other.base, "another-secret")
        serve(origin, "/end.bin", noise(100))
        other.redirect("/there", origin.url("/end.bin"))
        origin.redirect("/start.bin", other.url("/there"))
        origin.redirect("/near.bin", "/end.bin")
        cache.get(origin.url("/start.bin"))
        assert sent(origin, "/start.bin") == [f"Bearer {SECRET}"]
        assert sent(other, "/there") == [None]
        assert sent(origin, "/end.bin") == [None]
        cache.get(origin.url("/near.bin"))
        assert sent(origin, "/end.bin")[1:] == [f"Bearer {SECRET}"]


def test_an_origin_that_needs_a_login_says_so(origin: Origin, cache: FileCache, logins: Logins) -> None:
    origin.put("/closed.bin", b"", status=401)
    with pytest.raises(OriginError, match="HTTP 401: the origin needs a login"):
        cache.get(origin.url("/closed.bin"))
    logins.add(origin.base, SECRET)
    with pytest.raises(OriginError, match="HTTP 401: the origin refused the login"):
        cache.get(origin.url("/closed.bin"))


def test_a_name_and_a_password_are_sent_as_basic(origin: Origin, cache: FileCache, logins: Logins) -> None:
    logins.add(origin.base, "pässword: x", user="ada")
    url, _ = serve(origin, "/x.bin", noise(100))
    cache.get(url)
    assert sent(origin, "/x.bin") == ["Basic " + base64.b64encode("ada:pässword: x".encode()).decode()]


def test_every_part_of_a_cut_download_has_the_login(origin: Origin, cache: FileCache, logins: Logins) -> None:
    logins.add(origin.base, SECRET)
    url, _ = serve(origin, "/x.bin", noise(500_000), cuts=[200_000])
    cache.get(url)
    assert sent(origin, "/x.bin") == [f"Bearer {SECRET}"] * 2


def test_the_secret_is_in_no_log_no_message_and_no_file_but_one(
    origin: Origin, cache: FileCache, logins: Logins, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logins.add(origin.base, SECRET)
    origin.put("/denied.bin", b"", status=403)
    with pytest.raises(OriginError) as caught:
        cache.get(origin.url("/denied.bin"))
    cache.get(serve(origin, "/x.bin", noise(500_000), cuts=[200_000])[0])
    cache.close()
    assert SECRET not in caplog.text + repr(caught.value) + repr(logins.all()) + repr(vars(logins))
    holders = [path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert holders == [tmp_path / "state/origin_credentials"]
    assert stat.S_IMODE(holders[0].stat().st_mode) == 0o600


def test_logins_are_listed_without_their_secrets_and_removed(logins: Logins) -> None:
    assert logins.all() == []
    logins.add("Volumes.Example", SECRET)
    logins.add("http://nas.example:8080/path", "pw", user="ada")
    assert logins.all() == [Login("http://nas.example:8080", "ada", 5.0), Login("https://volumes.example", "", 5.0)]
    assert logins.headers("http://volumes.example/x") == {}, "a token was sent without TLS"
    assert logins.headers("https://volumes.example:444/x") == {}
    assert logins.headers("https://volumes.example/x") == {"Authorization": f"Bearer {SECRET}"}
    logins.remove("volumes.example")
    with pytest.raises(UnknownFile, match=r"no login for https://volumes\.example"):
        logins.remove("volumes.example")


@pytest.mark.parametrize(
    ("origin", "user", "secret"),
    [
        ("", "", "x"),
        ("ftp://host.example", "", "x"),
        ("ada:pw@host.example", "", "x"),
        ("host.example", "", ""),
        ("host.example", "", "two words"),
        ("host.example", "", "x\r\nHost: evil.example"),
        ("host.example", "a:b", "x"),
        ("host.example", "ada", "x\ny"),
    ],
)
def test_a_login_that_cannot_be_sent_is_refused_and_none_is_lost(logins: Logins, origin: str, user: str, secret: str) -> None:
    logins.add("kept.example", SECRET)
    with pytest.raises(BadLogin) as caught:
        logins.add(origin, secret, user=user)
    assert "evil" not in str(caught.value)
    assert [login.origin for login in logins.all()] == ["https://kept.example"]


def test_a_broken_file_sends_nothing_and_says_so(logins: Logins, tmp_path: Path) -> None:
    logins.add("kept.example", SECRET)
    (tmp_path / "state/origin_credentials").write_text('{"https://kept.example": {"secret": "' + SECRET)
    with pytest.raises(StorageError, match="not readable as JSON") as caught:
        logins.headers("https://kept.example/x")
    assert SECRET not in str(caught.value)


def test_a_netrc_file_is_imported_without_its_default(tmp_path: Path) -> None:
    path = tmp_path / "netrc"
    path.write_text("machine a.example\n login ada\n password pw1\nmachine b.example password pw2\ndefault login x password y\n")
    found, left_out = netrc_logins(path)
    assert found == {"a.example": ("ada", "pw1")}
    assert [text.partition(":")[0] for text in left_out] == ["b.example", "default"]
    path.write_text("machine a.example\nlogin ada\npassword pw1\nnonsense s3cret\n")
    with pytest.raises(BadLogin, match=r"line 4: not a netrc file\.$"):
        netrc_logins(path)


def test_a_host_means_https() -> None:
    assert origin_of("host.example") == "https://host.example"
    assert origin_of("host.example:8443") == "https://host.example:8443"
    assert origin_of("http://host.example:80/path?q") == "http://host.example"
