"""Shell completion. Names of documents come from others, so that none may run anything on the line it is put on."""

from __future__ import annotations

import os
import re
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    PowerShellComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

from localrag.cli.output import echo, one_line

_PLAIN = re.compile(r"[\w./,+@%:=-]*")
_NOT_PLAIN = re.compile(r"([^\w./,+@%:=-])")
# As click's own, but it expands no pattern in a value, and says that it takes values with backslashes.
_BASH = """\
%(complete_func)s() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            dir,*) compopt -o dirnames ;;
            file,*) compopt -o default ;;
            plain,*) COMPREPLY+=("${line#*,}") ;;
        esac
    done < <(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD="$COMP_CWORD" %(complete_var)s_ESCAPED=1 \
%(complete_var)s=bash_complete "$1")
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class _Guarded(ShellComplete):
    """Offers only what the shell's line can hold, and no name that would be read as an option."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
        found = super().get_completions(args, incomplete)
        return [
            CompletionItem(item.value, item.type, one_line(item.help) if item.help else None)
            for item in found
            if self.holds(str(item.value)) and (incomplete.startswith("-") or not str(item.value).startswith("-"))
        ]

    def holds(self, value: str) -> bool:
        return value.isprintable()  # zsh and fish quote the rest


class _Bash(_Guarded, BashComplete):
    source_template = _BASH

    def holds(self, value: str) -> bool:
        return value.isprintable() and (self._escaped() or bool(_PLAIN.fullmatch(value)))

    def format_completion(self, item: CompletionItem[Any]) -> str:
        # A backslash before each letter that is not plain holds within open quotes, too.
        value = _NOT_PLAIN.sub(r"\\\1", item.value) if self._escaped() else item.value
        return f"{item.type},{value}"

    def _escaped(self) -> bool:
        """False for the script of an earlier version, which loses backslashes."""
        return f"{self.complete_var}_ESCAPED" in os.environ


class _Zsh(_Guarded, ZshComplete):
    pass


class _Fish(_Guarded, FishComplete):
    source_template = FishComplete.source_template.replace("string split", "string split --max 1")  # names hold commas


class _PowerShell(_Guarded, PowerShellComplete):
    def holds(self, value: str) -> bool:
        return bool(_PLAIN.fullmatch(value))  # its script quotes nothing


def register() -> None:
    """Replace click's own completion."""
    for kind in (_Bash, _Zsh, _Fish, _PowerShell):
        add_completion_class(kind)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the shell completion script for SHELL.

    \b
    bash  localrag completion bash > ~/.local/share/bash-completion/completions/localrag
    zsh   localrag completion zsh > "${fpath[1]}/_localrag"
    fish  localrag completion fish > ~/.config/fish/completions/localrag.fish

    It takes effect in the next shell. The bash script needs bash 4.4 or later, which
    macOS does not include.
    """
    # `source()` would ask the system's bash for its version first.
    script = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}[shell](
        click.Command("localrag"), {}, "localrag", "_LOCALRAG_COMPLETE"
    )
    echo(script.source_template % script.source_vars())
