"""The commands of `flask --app app`: what they say, how they exit, and that they can run beside the server."""

import json
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result

from tests.support.inside import Inside
from tests.support.origin import Origin, jpeg
from tests.support.vault import Vault, wait_until

PASSWORD = "correct horse"


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    """A vault in which nothing runs, as a command finds it."""
    with Inside(tmp_path / "vault", settled=False) as opened:
        yield opened


def run(inside: Inside, *arguments: str, stdin: str = "") -> Result:
    before, was_running = set(threading.enumerate()), inside.services.pool.is_running
    done: Result = inside.app.test_cli_runner().invoke(args=[*arguments], input=stdin)
    # The thread of a task says that it is over a moment before it ends; one that stays would be found.
    wait_until(lambda: set(threading.enumerate()) <= before)
    assert inside.services.pool.is_running == was_running
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert "Traceback" not in done.output
    return done


def table(folder: Path, name: str, text: str | bytes) -> str:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_an_import_counts_names_bad_rows_and_changes_nothing_the_second_time(inside: Inside, tmp_path: Path) -> None:
    path = table(tmp_path, "a.csv", "artist,title,year\nA,One,1970\n,,1971\nC,Three,1972\n")
    first = run(inside, "albums", "import", path)
    assert first.exit_code == 0
    assert "3 rows read: 2 new, 0 updated, 0 unchanged, 1 rejected." in first.stdout
    assert "row 3: " in first.stderr
    second = run(inside, "albums", "import", path)
    assert "3 rows read: 0 new, 0 updated, 2 unchanged, 1 rejected." in second.stdout
    assert inside.services.library.count() == 2


def test_a_dry_run_says_what_would_happen(inside: Inside, tmp_path: Path) -> None:
    path = table(tmp_path, "a.json", json.dumps([{"artist": "A", "title": "One"}]))
    done = run(inside, "albums", "import", "--dry-run", path)
    assert done.exit_code == 0
    assert "1 rows read: 1 would be new" in done.stdout
    assert inside.services.library.count() == 0


def test_an_import_registers_the_covers_but_fetches_none(inside: Inside, origin: Origin, tmp_path: Path) -> None:
    url = origin.put("/a.jpg", jpeg())
    run(inside, "albums", "import", table(tmp_path, "a.json", json.dumps([{"artist": "A", "title": "B", "cover_url": url}])))
    assert inside.services.covers.registry.get(inside.services.covers.digest_of(url)) is not None
    assert origin.count() == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.csv", ""),
        ("no-columns.csv", "a,b,c\n1,2,3\n"),
        ("broken.json", "[{"),
        ("number.json", "7"),
        ("binary.csv", b"\x00\xff\xfe\x01" * 100),
        ("picture.jpg", jpeg()),
        ("deep.json", "[" * 100_000),
    ],
)
def test_what_is_no_table_is_refused_in_one_sentence(inside: Inside, tmp_path: Path, name: str, content: str | bytes) -> None:
    done = run(inside, "albums", "import", table(tmp_path, name, content))
    assert done.exit_code == 1, done.output
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert inside.services.library.count() == 0


@pytest.mark.parametrize("path", ["nothing.csv", "."])
def test_a_file_that_is_not_there_is_a_mistake_in_the_command(inside: Inside, path: str) -> None:
    assert run(inside, "albums", "import", path).exit_code == 2


def test_a_table_in_which_every_row_is_bad_fails(inside: Inside, tmp_path: Path) -> None:
    rows = "".join(f",,{n}\n" for n in range(30))
    done = run(inside, "albums", "import", table(tmp_path, "a.csv", "artist,title,year\n" + rows))
    assert done.exit_code == 1
    assert "30 rejected" in done.stdout
    assert "and 10 more" in done.stderr


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_an_export_is_ours_alone_and_can_be_imported_again(inside: Inside, tmp_path: Path, suffix: str) -> None:
    run(inside, "albums", "import", table(tmp_path, "a.csv", "artist,title\nBjörk,Début\n"))
    out = tmp_path / f"out.{suffix}"
    done = run(inside, "albums", "export", str(out))
    assert (done.exit_code, done.stdout) == (0, f"Exported 1 records to {out}.\n")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert "1 unchanged" in run(inside, "albums", "import", str(out)).stdout


@pytest.mark.parametrize("name", ["out.xml", "out", "no/such/folder/out.csv"])
def test_an_export_that_cannot_be_says_why(inside: Inside, tmp_path: Path, name: str) -> None:
    done = run(inside, "albums", "export", str(tmp_path / name))
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")
    assert not (tmp_path / name).exists()


@pytest.mark.slow
def test_an_account_is_added_with_a_password_from_standard_input(inside: Inside) -> None:
    done = run(inside, "users", "add", "Vera", "--role", "operator", stdin=f"{PASSWORD}\n")
    assert (done.exit_code, done.stdout) == (0, "Created operator account Vera.\n")
    assert inside.services.accounts.login("vera", PASSWORD, "192.168.1.2")
    assert inside.services.accounts.setup_code() is None
    again = run(inside, "users", "add", "VERA", "--role", "owner", stdin=f"{PASSWORD}\n")
    assert (again.exit_code, again.stderr) == (1, "Error: the name VERA is already taken\n")


@pytest.mark.parametrize(
    ("name", "password", "says"),
    [
        ("Vera", "short", "8 characters"),
        ("Vera", "", "8 characters"),
        ("", PASSWORD, "1 to 40 characters"),
        ("x" * 41, PASSWORD, "1 to 40 characters"),
        ("a\nb", PASSWORD, "characters that cannot be displayed"),
        ("password", "password", "the password must not be the same as the name"),
    ],
)
def test_what_cannot_be_an_account_is_refused(inside: Inside, name: str, password: str, says: str) -> None:
    done = run(inside, "users", "add", name, "--role", "owner", stdin=f"{password}\n")
    assert done.exit_code == 1
    assert says in done.stderr
    assert inside.services.accounts.accounts() == []


def test_an_unknown_role_or_none_is_a_mistake_in_the_command(inside: Inside) -> None:
    assert run(inside, "users", "add", "Vera", "--role", "king", stdin=PASSWORD).exit_code == 2
    assert run(inside, "users", "add", "Vera", stdin=PASSWORD).exit_code == 2


@pytest.mark.slow
def test_a_new_password_ends_the_sessions(inside: Inside) -> None:
    browser = inside.logged_in()
    done = run(inside, "users", "password", "vera", stdin="another horse\r\n")
    assert done.exit_code == 0
    assert "paused_hosts" not in browser.get("/api/cache/stats").json
    assert inside.services.accounts.login("Vera", "another horse", "192.168.1.2")
    unknown = run(inside, "users", "password", "Nobody", stdin="another horse\n")
    assert (unknown.exit_code, unknown.stderr) == (1, "Error: no account has this name\n")


def test_a_broken_catalogue_is_told_in_one_sentence(inside: Inside) -> None:
    inside.services.catalog.close()
    (inside.folder / "state/catalog.db").write_bytes(b"this is no database" * 100)
    done = run(inside, "users", "add", "Vera", "--role", "owner", stdin=PASSWORD)
    assert done.exit_code == 1
    assert done.stderr == f"Error: Cannot use the databases in {inside.folder / 'state'}: file is not a database.\n"


@pytest.mark.slow
def test_a_command_that_cannot_start_says_why(tmp_path: Path) -> None:
    bad = Vault(tmp_path / "vault", VINYL_VAULT_THREADS="many").command("albums", "export", "x.csv", ok=False)
    assert (bad.returncode, bad.stderr) == (1, "Error: VINYL_VAULT_THREADS: 'many' is invalid; use a whole number\n")
    (tmp_path / "file").write_text("")
    nowhere = Vault(tmp_path / "file").command("albums", "export", "x.csv", ok=False)
    assert nowhere.returncode == 1
    assert nowhere.stderr.startswith(f"Error: {tmp_path / 'file'}/state: cannot use this folder")


@pytest.mark.slow
def test_commands_work_beside_the_running_server(vault: Vault, origin: Origin, tmp_path: Path) -> None:
    assert b"Nothing on the wall yet" in vault.get("/", Accept="text/html").body
    vault.import_albums([{"artist": "Abba", "title": "Arrival", "cover_url": origin.put("/a.jpg", jpeg())}])
    assert b"Arrival" in vault.get("/", Accept="text/html").body
    vault.command("users", "add", "Vera", "--role", "operator", stdin=f"{PASSWORD}\n")
    assert b"Log in" in vault.get("/claim", Accept="text/html").body
    out = tmp_path / "out.csv"
    vault.command("albums", "export", str(out))
    assert "Arrival" in out.read_text(encoding="utf-8")
