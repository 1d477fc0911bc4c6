"""The documents have every message that an operator can see: what the code says is read from the code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.cli.cache_monitor import ACTIONS
from image_cache.db.diagnosis import _SENTENCES
from image_cache.maintenance.health.data import WORDS

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("OPERATIONS.md", "reference/health.md", "reference/log-events.md", "reference/errors.md")
DOCUMENT = "\n".join((ROOT / "docs" / page).read_text(encoding="utf-8") for page in PAGES)
PLAIN = " ".join(DOCUMENT.replace("`", "").replace("**", "").split())
LOGGED = ("info", "warning", "error", "exception", "critical", "log")  # debugging is for developers
SOURCES = [
    ROOT / "app.py",
    ROOT / "systemd/gunicorn.conf.py",
    *sorted(path for path in (ROOT / "image_cache").rglob("*.py") if "demo" not in path.parts),
]
FEWEST_LETTERS = 8  # of a piece of a sentence that is worth looking for


def calls(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield node


def event(message: str) -> str:
    """Return the words before the facts: `cover failed` of `cover failed identity=%s failures=%s`."""
    words = message.removeprefix("%s ").split()
    count = next((at for at, word in enumerate(words) if "%" in word or "=" in word), len(words))
    return " ".join(words[:count]).rstrip(":,")


def pieces(node: ast.AST) -> list[str]:
    """Return the constant parts of a sentence, without what is worked out."""
    found = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    return [" ".join(piece.split()).strip(" .,;:()") for piece in found]


def log_events() -> Iterator[tuple[str, str]]:
    for path in SOURCES:
        for call in calls(path):
            if isinstance(call.func, ast.Attribute) and call.func.attr in LOGGED and ast.unparse(call.func.value) == "logger":
                said = call.args[1 if call.func.attr == "log" else 0]
                where = f"{path.relative_to(ROOT)}:{call.lineno}"
                assert isinstance(said, ast.Constant), f"{where}: a message is a constant, its facts are arguments"
                yield where, event(str(said.value))


def error_classes() -> Iterator[tuple[str, str]]:
    known = {"CacheError", "DatabaseError"}
    trees = [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in SOURCES]
    while True:
        found = {
            node.name: f"{path.relative_to(ROOT)}:{node.lineno}"
            for path, tree in trees
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef) and {ast.unparse(base) for base in node.bases} & known
        }
        if set(found) <= known:
            return
        yield from ((where, name) for name, where in found.items() if name not in known)
        known |= set(found)


def health_sentences() -> Iterator[tuple[str, str]]:
    for path in [*sorted((ROOT / "image_cache/maintenance/health").glob("*.py")), ROOT / "image_cache/cli/context.py"]:
        for call in calls(path):
            if isinstance(call.func, ast.Name) and call.func.id == "Check" and len(call.args) >= 3:
                state = call.args[1]
                if isinstance(state, ast.Constant) and state.value in ("well", "working"):
                    continue
                longest = max(pieces(call.args[2]), key=len, default="")
                if len(longest) >= FEWEST_LETTERS:
                    yield f"{path.relative_to(ROOT)}:{call.lineno}", longest


def refusals() -> Iterator[tuple[str, str]]:
    path = ROOT / "systemd/gunicorn.conf.py"
    for call in calls(path):
        if isinstance(call.func, ast.Name) and call.func.id == "_refuse":
            longest = max(pieces(call.args[0]), key=len, default="")
            if len(longest) >= FEWEST_LETTERS:
                yield f"{path.relative_to(ROOT)}:{call.lineno}", longest


def missing(found: Iterator[tuple[str, str]], shape: str) -> str:
    """Return lines to paste into the document for what it does not have."""
    return "\n".join(f"{shape.format(words)}   <- {where}" for where, words in found if words.lower() not in PLAIN.lower())


@pytest.mark.slow
def test_every_log_event_has_a_line() -> None:
    assert missing(log_events(), "| `{}` | what it means | what to do |") == ""


@pytest.mark.slow
def test_every_error_has_a_line() -> None:
    assert missing(error_classes(), "| `{}` | what it means | what to do |") == ""


def test_every_sentence_of_health_has_a_line() -> None:
    assert missing(health_sentences(), "| {} | what it means, what to do |") == ""
    assert [sentence for sentence in _SENTENCES.values() if sentence.rstrip(".") not in PLAIN] == []
    assert [word for words in WORDS.values() for word in words[:1] if word not in PLAIN] == []


def test_every_refusal_to_start_has_a_line() -> None:
    assert missing(refusals(), "| {} | what to do |") == ""


def test_every_action_has_a_line() -> None:
    assert [name for name in ACTIONS if f"`{name}" not in DOCUMENT] == []


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("cover failed identity=%s failures=%s", "cover failed"),
        ("%s skipped reason=%s", "skipped"),
        ("Cached file: %s (%s bytes)", "Cached file"),
        ("threads still busy at shutdown", "threads still busy at shutdown"),
        ("index unavailable, serving from files reason=%s", "index unavailable, serving from files"),
    ],
)
def test_the_words_of_an_event_are_those_before_its_facts(message: str, words: str) -> None:
    assert event(message) == words


@pytest.mark.slow
def test_no_log_message_could_show_a_secret() -> None:
    """By its name: a fact called like a secret is one. What stands in addresses is cut by the formatter."""
    wrong = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in SOURCES
        for call in calls(path)
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in (*LOGGED, "debug")
        and ast.unparse(call.func.value) == "logger"
        for argument in call.args[1:]
        if re.search(r"(?i)password|secret|token|cookie|session_key|authorization", ast.unparse(argument))
    ]
    assert wrong == []
