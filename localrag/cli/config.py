"""`localrag config`: show and change settings in the person's own file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from localrag import policy, settings
from localrag.cli.options import json_option, print_json, shown
from localrag.errors import LocalragError


def complete_setting(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    found = [knob for knob in settings.setting_infos() if knob.name.startswith(incomplete)]
    return [CompletionItem(knob.name, help=knob.about) for knob in found]


def complete_value(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    found = [knob for knob in settings.setting_infos() if knob.name == ctx.params.get("name")]
    return [CompletionItem(choice) for knob in found for choice in knob.choices if choice.startswith(incomplete)]


_name = click.argument("name", metavar="NAME", shell_complete=complete_setting)


@click.group("config", no_args_is_help=True)
def config_command() -> None:
    """Show and change settings.

    Changes go to your own localrag.toml; its comments and other lines stay. The terminal app has the same on F8. What
    an administrator's policy fixes goes before all of them and cannot be changed: localrag config policy.
    """


@config_command.command(
    "show",
    epilog="""\b
Examples:
  localrag config show
  localrag config show --changed
  localrag config show read
  localrag config show --json | jq '.settings[] | select(.origin != "default")'""",
)
@click.argument("words", nargs=-1, metavar="[WORD]...")
@click.option("--changed", is_flag=True, help="Only settings that differ from their default.")
@json_option
def show_config(words: tuple[str, ...], changed: bool, as_json: bool) -> None:
    """List the settings, with what each does and where its value comes from; only those that have every WORD."""
    held, given = settings.load_settings(), settings.origins()
    chosen = [
        knob for knob in settings.setting_infos()
        if all(word.lower() in f"{knob.name} {knob.group} {knob.about}".lower() for word in words)
        and (not changed or getattr(held, knob.name) != knob.default)
    ]  # fmt: skip
    if as_json:
        print_json({"settings": [_row(knob, held, given) for knob in chosen]})
        return
    if not chosen:
        click.echo("No setting differs from its default." if changed and not words else "No such setting.", err=True)
    group = ""
    for knob in chosen:
        if knob.group != group:
            click.secho(f"{'' if not group else chr(10)}{knob.group}", bold=True)
            group = knob.group
        origin = given.get(knob.name, "default")
        origin = f"fixed by the policy {origin}" if policy.fixes(knob.name) else origin
        click.echo(f"  {knob.name} = {_said(getattr(held, knob.name))}  ({shown(origin)})\n      {knob.about}")


@config_command.command("get", epilog="Example: localrag config get theme")
@_name
@json_option
def get_config(name: str, as_json: bool) -> None:
    """Print the value of one setting; an empty line where it is not set."""
    knob = _knob(name)
    held = settings.load_settings()
    if as_json:
        print_json(_row(knob, held, settings.origins()))
    else:
        click.echo(shown(settings.as_text(getattr(held, name))))


@config_command.command(
    "set",
    epilog="""\b
Examples:
  localrag config set theme contrast
  localrag config set answer_tokens 800
  localrag config set ocr_languages de,en""",
)
@_name
@click.argument("value", shell_complete=complete_value)
@json_option
def set_config(name: str, value: str, as_json: bool) -> None:
    """Save VALUE in your localrag.toml; a list is written with commas."""
    from localrag.lifecycle import audit_events

    path = audit_events.save_setting(name, value)
    _tell(name, path, as_json, f"{name} = {_said(settings.check(name, value, 'command'))} is saved in {path}.")
    if name == "retention_days" and not as_json:
        _tell_older()


@config_command.command("unset", epilog="Example: localrag config unset answer_tokens")
@_name
@json_option
def unset_config(name: str, as_json: bool) -> None:
    """Take a setting out of your localrag.toml, so that its default holds again."""
    from localrag.lifecycle import audit_events

    path = settings.user_file()
    was = audit_events.unset_setting(name)
    _tell(name, path, as_json, f"{name} is no longer in {path}." if was else f"{name} was not in {path}.")


@config_command.command("path", epilog='Example: nano "$(localrag config path)"')
@json_option
def path_config(as_json: bool) -> None:
    """Print where your localrag.toml lies (or would), and on stderr which files are read."""
    path, read = settings.user_file(), [str(file) for file in settings.config_files()]
    if as_json:
        print_json({"path": str(path), "there": path.is_file(), "read": read})
        return
    click.echo(str(path))
    click.echo(f"Read, the later winning: {', '.join(read)}." if read else "There is no settings file yet.", err=True)


@config_command.command(
    "policy",
    epilog="""\b
Examples:
  localrag config policy
  localrag config policy --json | jq .policies[].rules""",
)
@json_option
def policy_config(as_json: bool) -> None:
    """Show what an administrator's policy says on this machine, and from which file.

    The file is read from one place that no setting and no variable changes. LOCALRAG_POLICY names one more, which can
    forbid more and never allow more. A policy that cannot be read or understood refuses everything, with exit code 9,
    as does a command that is against a policy; that it was refused is recorded (localrag audit show --event refused).
    """
    held = policy.active()
    if as_json:
        rows = [
            {
                "file": str(one.file), "from": policy.VARIABLE if one.named else "system", "rules": one.rules(),
                "changeable": policy.writable_by(one),
            }
            for one in held
        ]  # fmt: skip
        print_json({"place": str(policy.SYSTEM), "policies": rows})
        return
    if not held:
        click.echo(f"There is no policy. An administrator can put one at {policy.SYSTEM}.", err=True)
    abouts = {name: about for name, about, _ in policy.explain()}
    for one in held:
        click.secho(shown(f"{one.file}{f' (named by {policy.VARIABLE})' if one.named else ''}"), bold=True)
        for name, value in one.rules().items():
            click.echo(f"  {name} = {_ruled(value)}\n      {abouts[name]}")
        if who := policy.writable_by(one):
            click.echo(shown(f"! It does not bind: {who}."), err=True)


def _knob(name: str) -> settings.SettingInfo:
    for knob in settings.setting_infos():
        if knob.name == name:
            return knob
    settings.check(name, "", "the command")  # raises, and names the near one
    raise AssertionError(name)


def _row(knob: settings.SettingInfo, held: settings.Settings, given: Mapping[str, str]) -> dict[str, Any]:
    value = getattr(held, knob.name)
    return {
        "name": knob.name, "value": _plain(value), "default": _plain(knob.default),
        "origin": given.get(knob.name, "default"), "group": knob.group, "about": knob.about, "may_be": knob.bounds,
        "fixed": policy.fixes(knob.name) is not None,
    }  # fmt: skip


def _tell(name: str, path: Path, as_json: bool, words: str) -> None:
    """Say what was done, and what stands in the way of its having effect."""
    try:
        held, origin = settings.load_settings(), settings.origins().get(name, "default")
    except LocalragError as error:
        # Another line of the file is wrong; what was asked for is done, and the next command tells of the rest.
        held, origin = None, ""
        click.echo(f"! {shown(error.message)}. {shown(error.hint)}", err=True)
    value = None if held is None else _plain(getattr(held, name, None))
    if as_json:
        print_json({"name": name, "path": str(path), "value": value, "origin": origin})
        return
    click.echo(shown(words), err=True)
    if origin in map(str, policy.files()):
        click.echo(f"! The policy {shown(origin)} holds: {name} = {_said(getattr(held, name))}.", err=True)
    elif origin not in ("default", "", str(path)):
        click.echo(f"! It has no effect: {shown(origin)} sets {name}, too, and goes before it.", err=True)


def _ruled(value: Any) -> str:
    """The value of a rule as its file has it."""
    return str(value).lower() if isinstance(value, bool) else settings.as_text(value) or "none"


def _tell_older() -> None:
    """Say how many conversations the setting just saved takes with it; they are no surprise then."""
    from localrag.lifecycle import retention

    if count := retention.due(settings.load_settings()):
        one = "conversation is older, and goes" if count == 1 else "conversations are older, and go"
        click.echo(f"! {count} {one} with the next command that opens a library or lists conversations.", err=True)


def _said(value: Any) -> str:
    return shown(settings.as_text(value)) or "not set"


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
