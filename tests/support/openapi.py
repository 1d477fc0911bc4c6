"""Reads `docs/openapi.yaml` and checks values against its schemas: as much YAML and JSON Schema as that document uses."""

import re
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/openapi.yaml"
KEY = re.compile(r"""('[^']*'|"[^"]*"|[^\s:{}\[\],'"][^:{}\[\],]*|/[^:]*):(?:\s+(.*))?$""")
TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def load(path: Path = DOCUMENT) -> dict[str, Any]:
    """Return the document. Raises `ValueError` for YAML that this reader does not know."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found, rest = _block(lines, 0)
    if rest:
        raise ValueError(f"unexpected indentation: {rest[0]!r}")
    return found


def _block(lines: list[str], indent: int) -> tuple[dict[str, Any], list[str]]:
    found: dict[str, Any] = {}
    while lines:
        depth = len(lines[0]) - len(lines[0].lstrip())
        if depth < indent:
            break
        key = KEY.match(lines[0].strip())
        if depth > indent or key is None:
            raise ValueError(f"not understood: {lines[0]!r}")
        name, lines = _plain(key[1]), lines[1:]
        if name in found:
            raise ValueError(f"twice: {name}")
        if key[2]:
            found[name], left = _flow(key[2].strip(), is_line=True)
            if left:
                raise ValueError(f"not understood: {left!r}")
        elif lines and lines[0].startswith(" " * (indent + 2) + "- "):
            found[name], lines = _items(lines, indent + 2)
        else:
            found[name], lines = _block(lines, indent + 2)
    return found, lines


def _items(lines: list[str], indent: int) -> tuple[list[Any], list[str]]:
    """Return the list that the lines begin with, one item on each, and the lines after it."""
    items: list[Any] = []
    while lines and lines[0].startswith(" " * indent + "- "):
        item, left = _flow(lines[0].strip().removeprefix("- "), is_line=True)
        if left:
            raise ValueError(f"not understood: {left!r}")
        items.append(item)
        lines = lines[1:]
    return items, lines


def _flow(text: str, *, is_line: bool = False) -> tuple[Any, str]:
    """Return the value that the text begins with, and what follows it."""
    if text[0] == "{":
        values, text = {}, text[1:].lstrip()
        while not text.startswith("}"):
            key = re.match(r"""('[^']*'|[^:{}\[\],]+):\s*""", text)
            if key is None:
                raise ValueError(f"not understood: {text!r}")
            values[_plain(key[1])], text = _flow(text[key.end() :])
            text = text.removeprefix(",").lstrip()
        return values, text[1:].lstrip()
    if text[0] == "[":
        items, text = [], text[1:].lstrip()
        while not text.startswith("]"):
            item, text = _flow(text)
            items.append(item)
            text = text.removeprefix(",").lstrip()
        return items, text[1:].lstrip()
    if text[0] == "'":
        end = text.index("'", 1)
        return text[1:end], text[end + 1 :].lstrip()
    if is_line:
        return _scalar(text), ""
    word = re.match(r"[^,{}\[\]]+", text)
    if word is None:
        raise ValueError(f"not understood: {text!r}")
    return _scalar(word[0].strip()), text[word.end() :]


def _plain(text: str) -> str:
    return text.strip().strip("'\"")


def _scalar(text: str) -> Any:
    """Return the value of a scalar without quotes. Raises `ValueError` for one that YAML reads only in quotes."""
    if ": " in text or " #" in text:
        raise ValueError(f"needs quotes: {text!r}")
    if text in ("true", "false"):
        return text == "true"
    return int(text) if re.fullmatch(r"-?\d+", text) else text


def resolved(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Follow a `$ref`."""
    while "$ref" in part:
        found: Any = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


def check(document: dict[str, Any], value: Any, schema: dict[str, Any], where: str = "answer") -> None:
    """Raise `AssertionError` that says where a value is not what the schema promises."""
    schema = resolved(document, schema)
    if "type" in schema:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        # True is an int to Python, not to JSON.
        fits = any(isinstance(value, TYPES[kind]) and isinstance(value, bool) == (kind == "boolean") for kind in kinds)
        assert fits, f"{where} is {value!r}, not {kinds}"
    assert value in schema.get("enum", [value]), f"{where} is {value!r}, none of {schema['enum']}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        assert schema.get("minimum", value) <= value <= schema.get("maximum", value), f"{where} is {value}"
    if isinstance(value, str):
        assert schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)), (
            f"{where} has {len(value)} characters"
        )
        assert re.search(schema.get("pattern", ""), value), f"{where} is {value!r}"
    if isinstance(value, list):
        assert len(value) <= schema.get("maxItems", len(value))
        for at, item in enumerate(value):
            check(document, item, schema.get("items", {}), f"{where}[{at}]")
    if isinstance(value, dict):
        known, further = schema.get("properties", {}), schema.get("additionalProperties", True)
        assert set(schema.get("required", ())) <= set(value), f"{where} has only {sorted(value)}"
        for name, item in value.items():
            assert name in known or further is not False, f"{where}.{name} is not documented"
            if name in known or further is not True:
                check(document, item, known.get(name, further), f"{where}.{name}")
