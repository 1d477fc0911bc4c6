"""Words that no page, script, message, log event, document or comment uses: each has a better one in docs/GLOSSARY.md.

Names in code are free.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A pattern, and what to write instead.
BANNED = {
    r"pictures?": "cover for that of a record, image for pixels of any kind",
    r"whoever|whomever": "the name of the role: operator, owner, subscriber, visitor",
    r"some ?body": "someone, or the name of the role",
    r"nobody": "no one, or say what happens",
    r"everybody": "everyone",
    r"behind(?! (?:a|the|your|one|its own|another|nginx|Caddy)\b)": "in the background, after, next to; a proxy may have a server behind it",
    r"anew": "again",
    r"mend(?:s|ed|ing)?": "repair",
    r"torn": "truncated",
    r"in line(?! with)": "queued",
    r"on (?:its|their) way": "downloading, loading",
    r"not to be had": "unavailable",
    r"stand-ins?": "placeholder",
    r"shall": "must, will",
    r"sign(?:ed)? in": "log in",
    r"taken in|take in": "import",
    r"(?<=[\d}]) %(?!\w)": "no space before %",
}
PATTERN = re.compile("|".join(rf"\b(?:{word})\b" if word[0] != "(" else word for word in BANNED), re.IGNORECASE)

# Text that stays, by file and by a piece of it, with the reason.
ALLOWED = {
    ("image_cache/tables/discogs_words.py", "Picture Disc"): "a kind of record: the image is pressed into the vinyl",
    ("image_cache/importers/music/tags/formats.py", "WM/Picture"): "the name of a tag of Windows Media",
    ("docs/openapi.yaml", "form field picture"): "the name of a field, which stays",
    ("docs/GLOSSARY.md", "*"): "lists the words not to use",
}
VISIBLE = re.compile(r'\b(?:aria-label|alt|title|placeholder|content|label)="([^"]*)"')
JINJA_TEXT = re.compile(r"\"([^\"{}]*)\"|'([^'{}]*)'")
SCRIPT_TEXT = re.compile(r'"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`')
SQL = re.compile(r"\b(?:SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|PRAGMA|WHERE|FROM)\b")


def is_text(piece: str) -> bool:
    """Return True for words that people read, rather than a key, a selector or a path."""
    return (" " in piece.strip() or piece[:1].isupper()) and piece[:1] not in (".", "#")


def template_text(source: str) -> Iterator[str]:
    source = re.sub(r"\{#.*?#\}|\{% block body_class %\}.*?\{% endblock %\}", " ", source, flags=re.DOTALL)
    code = re.findall(r"\{[{%](.*?)[%}]\}", source, flags=re.DOTALL)
    yield from (piece for part in code for pair in JINJA_TEXT.findall(part) for piece in pair if is_text(piece))
    html = re.sub(r"\{[{%].*?[%}]\}", " 0", source, flags=re.DOTALL)
    yield from VISIBLE.findall(html)
    yield re.sub(r"<[^>]*>", " ", html)


def script_text(source: str) -> Iterator[str]:
    source = re.sub(r"/\*.*?\*/", " ", source, flags=re.DOTALL)
    source = re.sub(r"(?m)(?:^|\s)//.*$", " ", source)
    yield from (piece for pair in SCRIPT_TEXT.findall(source) for piece in pair if is_text(piece))


def python_text(source: str) -> Iterator[str]:
    tree = ast.parse(source)
    docstrings = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node):
            is_command = isinstance(node, ast.FunctionDef) and any("command" in ast.unparse(d) for d in node.decorator_list)
            if not is_command:  # the docstring of a command is its help
                docstrings.add(id(node.body[0].value))  # type: ignore[attr-defined]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            text = node.value
            if is_text(text) and not SQL.search(text):
                yield text


def shell_text(source: str) -> Iterator[str]:
    yield from re.findall(r'\b(?:say|step|refuse|install_package|read -rp) .*?"((?:[^"\\]|\\.)*)"', source)
    yield from re.findall(r"<<'END'\n(Usage.*?)\nEND", source, flags=re.DOTALL)


def document_text(source: str) -> Iterator[str]:
    source = re.sub(r"(?ms)^ *```.*?^ *```", " ", source)
    source = re.sub(r"`[^`]+`", " ", source)
    yield re.sub(r"\]\([^)]*\)", "]", source)


def comment_text(source: str) -> Iterator[str]:
    nodes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    said = [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(source)) if isinstance(node, nodes)]
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    said += [token.string for token in tokens if token.type == tokenize.COMMENT]
    yield from (re.sub(r"`[^`]+`", " ", text) for text in said)


def unit_text(source: str) -> Iterator[str]:
    yield from re.findall(r"(?m)^\s*(#.*)$", source)


def api_text(source: str) -> Iterator[str]:
    yield from re.findall(r"(?:summary|description): (.*)", source)


READERS = {
    "templates": (template_text, ["templates/**/*.html"]),
    "scripts": (script_text, ["static/js/**/*.js", "static/app.js"]),
    "messages": (python_text, ["image_cache/**/*.py", "*.py", "systemd/*.py"]),
    "installer": (shell_text, ["systemd/*.sh"]),
    "documents": (document_text, ["*.md", "docs/**/*.md", ".github/**/*.md"]),
    "comments": (comment_text, ["image_cache/**/*.py", "*.py", "systemd/*.py", "tests/**/*.py", "benchmarks/**/*.py"]),
    "comments of units": (unit_text, ["systemd/*", "Makefile", "Containerfile", "compose*.yaml"]),
    "API": (api_text, ["docs/openapi.yaml"]),
}


def is_allowed(name: str, text: str, at: int) -> bool:
    around = text[max(0, at - 30) : at + 30]
    return any(name.startswith(file) and (piece == "*" or piece in around) for file, piece in ALLOWED)


def found(kind: str) -> list[str]:
    read, places = READERS[kind]
    lines = []
    for path in sorted({path for place in places for path in ROOT.glob(place) if path.is_file()}):
        name = str(path.relative_to(ROOT))
        if name.startswith("image_cache/demo/") or "/vendor/" in name:
            continue
        for text in read(path.read_text(encoding="utf-8")):
            for hit in PATTERN.finditer(text):
                if not is_allowed(name, text, hit.start()):
                    lines.append(f"{name}: {' '.join(text[max(0, hit.start() - 40) : hit.end() + 40].split())}")
    return lines


@pytest.mark.parametrize("kind", READERS)
def test_what_people_read_has_none_of_the_banned_words(kind: str) -> None:
    assert found(kind) == []


@pytest.mark.parametrize(
    ("kind", "source", "words"),
    [
        (
            "templates",
            '<p class="picture">{{ "A picture" if x }} {# torn #}<img alt="nobody" data-picture="1">Come behind</p>',
            3,
        ),
        ("scripts", '// nobody\nshow("Mended it"); const picture = `on its way, ${n} torn`; pick("picture");', 3),
        ("messages", 'def f():\n    """Nobody."""\n    raise E(f"{x} is torn and in line with it")\n', 1),
        ("installer", 'say "Somebody shall mend it"; nobody=1', 3),
        ("documents", "A picture. `picture`\n```\nnobody\n```\n40 % behind a proxy, [torn](behind.md)", 3),
        ("API", "summary: Take in a file\nname: picture", 1),
    ],
)
def test_the_readers_read_what_people_see(kind: str, source: str, words: int) -> None:
    read, _ = READERS[kind]
    assert sum(len(PATTERN.findall(text)) for text in read(source)) == words
