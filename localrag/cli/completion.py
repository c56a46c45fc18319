"""`localrag completion`: the script that teaches a shell the commands and options."""

from __future__ import annotations

import click

from localrag.errors import UsageError


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash  localrag completion bash > ~/.local/share/bash-completion/completions/localrag
    zsh   localrag completion zsh > "${fpath[1]}/_localrag"
    fish  localrag completion fish > ~/.config/fish/completions/localrag.fish

    It holds in the next shell that is opened. The bash script needs bash 4.4 or later,
    which macOS does not come with.
    """
    from click.shell_completion import get_completion_class

    from localrag.cli.app import localrag

    kind = get_completion_class(shell)
    if kind is None:
        raise UsageError(f"there is no completion for {shell!r}", "Choose bash, zsh or fish.")
    # `kind.source()` would first ask the system's bash for its version; the script must not depend on that.
    script = kind(localrag, {}, "localrag", "_LOCALRAG_COMPLETE")
    click.echo(script.source_template % script.source_vars())
