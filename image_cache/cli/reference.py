"""The reference of all commands as Markdown: `python -m image_cache.cli.reference > docs/reference/commands.md`; a test compares."""

import textwrap
from collections.abc import Iterator

import click

from image_cache.cli.main import COMMANDS, vinylvault

WIDTH = 130
MARK = "\\|"  # a bar that ends no cell
INTRODUCTION = """\
# Commands

Generated from the commands themselves by `python -m image_cache.cli.reference > docs/reference/commands.md`.

Which words to type depends on how VinylVault was installed:

| installed with | type |
|---|---|
| `sudo systemd/install.sh` | `sudo vinylvault COMMAND`; `sudo vinylvault help` lists the additional commands of the installer |
| `pipx`, `uv tool` or `pip` | `vinylvault COMMAND` |
| nothing, in a checkout | `.venv/bin/python -m image_cache.cli COMMAND` |

Exit status: 0 healthy or done, 1 degraded or partly done, 2 unhealthy or not done. The older forms
`cache_monitor.py --action ACTION` and `flask --app app GROUP COMMAND` run the same commands.
[OPERATIONS.md](../OPERATIONS.md) explains their messages.
"""


def document() -> str:
    """Return the text of docs/reference/commands.md."""
    parts = [INTRODUCTION]
    for heading, entries in COMMANDS.items():
        parts.append(f"## {heading}\n")
        parts += [text for name in entries for text in _described(vinylvault, name, "vinylvault")]
    return "\n".join(parts)


def _described(group: click.Group, name: str, path: str) -> Iterator[str]:
    """Yield a command and, for a group, its commands: heading, usage, help, table of options."""
    path = f"{path} {name}"
    context = click.Context(group)
    command = group.get_command(context, name)
    if command is None:
        raise KeyError(path)
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            yield from _described(command, child, path)
        return
    arguments = [parameter.make_metavar(context) for parameter in command.params if isinstance(parameter, click.Argument)]
    options = [option for option in command.params if isinstance(option, click.Option) and not option.hidden]
    usage = " ".join([path, *(["[OPTIONS]"] if options else []), *arguments])
    yield f"### `{usage}`\n"
    yield f"{_prose(command.help or '')}\n"
    if options:
        yield "| option | meaning |\n|---|---|"
        for option in options:
            names, help = option.get_help_record(context) or ("", "")
            cells = [f"`{names}`", help]
            yield f"| {' | '.join(cell.replace('|', MARK) for cell in cells)} |"
        yield ""


def _prose(text: str) -> str:
    """Fill the lines of each paragraph."""
    return "\n\n".join(textwrap.fill(" ".join(paragraph.split()), WIDTH) for paragraph in text.split("\n\n"))


if __name__ == "__main__":
    print(document(), end="")
