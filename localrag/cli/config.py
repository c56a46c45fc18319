"""`localrag config`: show and change settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from localrag import policy, settings
from localrag.cli.options import completes, json_option
from localrag.cli.output import confirm, counted, echo, one_line, print_json
from localrag.errors import LocalragError, NotFoundError, UsageError
from localrag.lifecycle import audit_events
from localrag.security import storage


@completes
def complete_setting(ctx: click.Context) -> list[CompletionItem[Any]]:
    return [CompletionItem(knob.name, help=knob.about) for knob in settings.setting_infos()]


@completes
def complete_value(ctx: click.Context) -> list[str]:
    return [one for knob in settings.setting_infos() if knob.name == ctx.params.get("name") for one in knob.choices]


_name = click.argument("name", metavar="NAME", shell_complete=complete_setting)


@click.group("config", no_args_is_help=True)
def config_command() -> None:
    """Show and change settings.

    Changes go to your own localrag.toml; its comments and other lines stay. In the terminal app, press F8. An
    administrator's policy overrides every setting (localrag config policy).
    """


@config_command.command("show")
@click.argument("words", nargs=-1, metavar="[WORD]...")
@click.option("--changed", is_flag=True, help="Only settings that differ from their default.")
@json_option
def show_config(words: tuple[str, ...], changed: bool, as_json: bool) -> None:
    """List the settings that contain every WORD, with what each does and where its value comes from."""
    held, given, project = settings.load_settings(), settings.origins(), settings.project_file()
    ignored = {} if project is None else dict.fromkeys(project.ignored, str(project.path))
    chosen = [
        knob
        for knob in settings.setting_infos()
        if all(word.lower() in f"{knob.name} {knob.group} {knob.about}".lower() for word in words)
    ]
    if not chosen:
        raise UsageError(f"no setting contains {' '.join(words)!r}", "`localrag config show` lists all settings.")
    chosen = [knob for knob in chosen if not changed or getattr(held, knob.name) != knob.default]
    if as_json:
        print_json({"settings": [_row(knob, held, given, ignored.get(knob.name)) for knob in chosen]})
        return
    if not chosen:
        echo("No such setting differs from its default.", err=True)
    group = ""
    for knob in chosen:
        if knob.group != group:
            echo(f"{'' if not group else chr(10)}{knob.group}", bold=True)
            group = knob.group
        origin = given.get(knob.name, "default")
        origin = f"fixed by the policy {origin}" if policy.fixes(knob.name) else origin
        origin += f"; {ignored[knob.name]} is not trusted to set it" if knob.name in ignored else ""
        echo(f"  {knob.name} = {_text(getattr(held, knob.name))}  ({one_line(origin)})\n      {knob.about}")


@config_command.command("get")
@_name
@json_option
def get_config(name: str, as_json: bool) -> None:
    """Print the value of one setting; an empty line if it is not set."""
    knob = next((knob for knob in settings.setting_infos() if knob.name == name), None)
    if knob is None:
        settings.check(name, "", "the command")  # raises, and names a similar setting
        return
    held = settings.load_settings()
    if as_json:
        print_json(_row(knob, held, settings.origins()))
    else:
        echo(one_line(settings.as_text(getattr(held, name))))


@config_command.command("set", context_settings={"ignore_unknown_options": True})
@_name
@click.argument("value", shell_complete=complete_value)
@json_option
def set_config(name: str, value: str, as_json: bool) -> None:
    """Save VALUE in your localrag.toml; a list is written with commas."""
    path = audit_events.save_setting(name, value)
    _report(name, path, as_json, f"Saved {name} = {_text(settings.check(name, value, 'command'))} in {path}.")
    if name != "retention_days" or as_json:
        return
    from localrag.lifecycle import retention

    if count := retention.expired(settings.load_settings()):
        what = counted(count, "older conversation")
        echo(f"! The next command that opens a library or lists conversations deletes {what}.", err=True)


@config_command.command("unset")
@_name
@json_option
def unset_config(name: str, as_json: bool) -> None:
    """Remove a setting from your localrag.toml, so that its default applies again."""
    path = settings.user_file()
    was = audit_events.unset_setting(name)
    _report(name, path, as_json, f"Removed {name} from {path}." if was else f"{name} was not in {path}.")


@config_command.command("trust")
@click.option("--revoke", is_flag=True, help="Trust the file no longer.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def trust_config(revoke: bool, yes: bool) -> None:
    """Trust the localrag.toml in the current folder, after showing what it sets.

    It may have come with documents, so without trust it sets harmless things only (theme, passages, ocr and the like).
    Trust ends when the file changes or moves.
    """
    file = settings.project_file()
    if file is None:
        raise NotFoundError(f"no {settings.FILE_NAME} of the current folder is read", "Change to its folder.")
    for name, value in file.restricted.items():
        echo(one_line(f"  {name} = {value!r}"), err=True)
    if not (yes or revoke or confirm(one_line(f"Trust {file.path}?"))):
        raise click.Abort
    settings.trust(file, storage.write_bytes, revoke=revoke)
    echo(one_line(f"{'No longer trusted' if revoke else 'Trusted until it changes'}: {file.path}"), err=True)


@config_command.command("path")
@json_option
def path_config(as_json: bool) -> None:
    """Print the path of your localrag.toml, and on stderr the files that are read."""
    path, read = settings.user_file(), [str(file) for file in settings.config_files()]
    if as_json:
        print_json({"path": str(path), "there": path.is_file(), "read": read})
        return
    echo(one_line(str(path)))
    files = f"Read, later files override earlier ones: {', '.join(read)}." if read else "There is no settings file yet."
    echo(files, err=True)


@config_command.command("policy")
@json_option
def policy_config(as_json: bool) -> None:
    """Show the administrator's policy of this machine, and its file.

    The path is fixed; no setting or variable changes it. LOCALRAG_POLICY names a second file, which can forbid more but
    never allow more. A policy that cannot be read refuses everything. Refusals end with exit code 9 and are logged
    (localrag audit show --event refused).
    """
    held = policy.active()
    if as_json:
        rows = [
            {
                "file": str(one.file),
                "from": policy.VARIABLE if one.named else "system",
                "rules": {name: _rule(value) for name, value in one.rules().items()},
                "changeable": policy.writable_by(one),
            }
            for one in held
        ]
        print_json({"place": str(policy.SYSTEM), "policies": rows})
        return
    if not held:
        echo(f"There is no policy. An administrator can put one at {policy.SYSTEM}.", err=True)
    abouts = {name: about for name, about, _ in policy.explain()}
    for one in held:
        echo(one_line(f"{one.file}{f' (named by {policy.VARIABLE})' if one.named else ''}"), bold=True)
        for name, value in one.rules().items():
            text = str(value).lower() if isinstance(value, bool) else settings.as_text(_rule(value)) or "none"
            echo(f"  {name} = {text}\n      {abouts[name]}")
        if who := policy.writable_by(one):
            echo(one_line(f"! It does not bind: {who}."), err=True)


def _rule(value: Any) -> Any:
    return tuple(map(str, value)) if isinstance(value, tuple) else value


def _row(
    knob: settings.SettingInfo, held: settings.Settings, given: Mapping[str, str], ignored: str | None = None
) -> dict[str, Any]:
    value = getattr(held, knob.name)
    return {
        "name": knob.name,
        "value": _plain(value),
        "default": _plain(knob.default),
        "origin": given.get(knob.name, "default"),
        "group": knob.group,
        "about": knob.about,
        "may_be": knob.bounds,
        "fixed": policy.fixes(knob.name) is not None,
        "ignored": ignored,
    }


def _report(name: str, path: Path, as_json: bool, words: str) -> None:
    """Report a change, and what overrides it."""
    try:
        held, origin = settings.load_settings(), settings.origins().get(name, "default")
    except LocalragError as error:
        # Another line of the file is wrong; this change is saved all the same.
        held, origin = None, ""
        echo(f"! {one_line(error.message)}. {one_line(error.hint)}", err=True)
    value = None if held is None else _plain(getattr(held, name, None))
    if as_json:
        print_json({"name": name, "path": str(path), "value": value, "origin": origin})
        return
    echo(one_line(words), err=True)
    if origin in map(str, policy.files()):
        echo(f"! The policy {one_line(origin)} overrides it: {name} = {_text(getattr(held, name))}.", err=True)
    elif origin not in ("default", "", str(path)):
        echo(f"! It has no effect: {one_line(origin)} also sets {name}, and overrides it.", err=True)


def _text(value: Any) -> str:
    return one_line(settings.as_text(value)) or "not set"


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
