"""`completion`: the script that makes a shell complete commands and options."""

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for a shell.

    For bash, add this to ~/.bashrc: eval "$(vinylvault completion bash)"
    """
    root = ctx.find_root()
    kind = get_completion_class(shell)
    if kind is None or root.info_name is None:
        raise click.ClickException(f"Completion is not available for {shell}.")
    variable = f"_{root.info_name.replace('-', '_').upper()}_COMPLETE"
    click.echo(kind(root.command, {}, root.info_name, variable).source())
