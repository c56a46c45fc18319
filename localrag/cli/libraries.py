"""`localrag libraries`, `status`, `show` and `forget`: look at what is stored, and delete it."""

from __future__ import annotations

import sys
from typing import Literal

import click

from localrag.cli.options import complete_library, document_option, json_option, print_json, shown
from localrag.errors import LocalragError, UsageError
from localrag.settings import load_settings


@click.command("libraries")
@json_option
def libraries_command(as_json: bool) -> None:
    """List the libraries and where they lie."""
    from localrag import api, policy

    settings = load_settings()
    rows = []
    for name in api.library_names(settings):
        try:
            with policy.quietly():
                status = api.open_library(name, settings=settings).status()
            told = ("name", "documents", "chunks", "bytes", "roots", "folder", "encrypted", "not_ours")
            rows.append({key: status[key] for key in told})
        except LocalragError as error:
            rows.append({"name": name, "problem": error.message})
    if as_json:
        print_json({"libraries": rows, "folder": str(settings.indexes_dir)})
        return
    if not rows:
        click.echo(f"No libraries in {settings.indexes_dir}. Make one: localrag ingest FOLDER", err=True)
    for row in rows:
        if "problem" in row:
            click.echo(f"{row['name']}: {row['problem']}")
        else:
            size = f"{row['bytes'] / 1e6:.1f} MB"
            how = ", encrypted" if row["encrypted"] else ""
            how += ", read only by a checked copy" if row["not_ours"] else ""
            click.echo(f"{row['name']}: {row['documents']} documents, {size}{how}, from {', '.join(row['roots'])}")


@click.command("status")
@click.argument("name", shell_complete=complete_library)
@json_option
def status_command(name: str, as_json: bool) -> None:
    """Tell what the library NAME holds, what could not be read, and who made its vectors."""
    from localrag import api

    status = api.open_library(name, settings=load_settings()).status()
    if as_json:
        print_json(status)
        return
    embedder = status["embedder"]
    click.echo(f"{name}: {status['documents']} documents, {status['pages']} pages, {status['chunks']} passages")
    click.echo(f"lies in   {status['folder']} ({status['bytes'] / 1e6:.1f} MB)")
    if status["not_ours"]:
        click.echo(f"not yours {status['not_ours']}: it is read by a checked copy, and never written to")
    click.echo(f"kept      {'encrypted' if status['encrypted'] else 'in clear (localrag vault encrypt)'}")
    click.echo(f"read from {', '.join(status['roots']) or '-'}")
    click.echo(f"embedder  {embedder['model']} ({embedder['precision']}, {embedder['engine']})")
    click.echo(f"index     {status['index']['said'] if status['index'] else 'made at the next search'}")
    click.echo(f"answers   {shown(status['instructions']) or 'as the model words them (localrag instruct)'}")
    for item in status["list"]:
        pages = f"{item['pages']} pages" if item["pages"] is not None else f"{item['characters']:,} characters"
        skipped = f", no text on {len(item['skipped_pages'])}" if item["skipped_pages"] else ""
        click.echo(f"  {shown(item['document'])}  ({pages}{skipped})")
    for pair in status["near_duplicates"]:
        click.echo(f"  {shown(pair['document'])} is nearly the same as {shown(pair['of'])} ({pair['similarity']:.0%})")
    for remark in status["remarks"]:
        page = "" if remark["page"] is None else f" p. {remark['page']}"
        click.echo(f"  note {shown(remark['document'])}{page}: {shown(remark['text'])}")
    for failure in status["failed"]:
        click.echo(f"  FAILED {shown(failure['document'])}: {shown(failure['reason'])}")


@click.command(
    "show",
    epilog="""\b
Examples:
  localrag show msa.pdf --library contracts --page 12
  localrag show handbook.docx --library people --json""",
)
@click.argument("document")
@click.option("-l", "--library", required=True, metavar="NAME", shell_complete=complete_library, help="The library.")
@click.option("-p", "--page", type=int, metavar="N", help="Page number, from 1; left out where there are no pages.")
@json_option
def show_command(document: str, library: str, page: int | None, as_json: bool) -> None:
    """Print a page of DOCUMENT as it is stored: the text that the offsets of citations count in."""
    from localrag import api

    found, stored = api.open_library(library, settings=load_settings()).page(document, page)
    if as_json:
        print_json(
            {
                "library": library, "document": found.path, "page": stored.number, "label": stored.label,
                "pages": found.pages if found.paged else None, "text": stored.text,
            }
        )  # fmt: skip
    else:
        click.echo(shown(stored.text))


@click.command(
    "forget",
    epilog="""\b
Examples:
  localrag forget contracts --document 'old/*.pdf'
  localrag forget contracts --yes""",
)
@click.argument("name", shell_complete=complete_library)
@document_option
@click.option(
    "--conversations",
    type=click.Choice(("redact", "remove", "keep")),
    default="redact",
    show_default=True,
    help="Of conversations with answers made from them: take these answers out, delete them whole, or neither.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def forget_command(
    name: str, documents: tuple[str, ...], conversations: Literal["redact", "remove", "keep"], yes: bool, as_json: bool
) -> None:
    """Delete the library NAME, or documents of it, for good. The files they were read from stay.

    Deleted from text, full-text index, vectors, kept model states and conversations; freed space is overwritten. Later
    ingests pass the documents over, also under other names (ingest --include-forgotten lets them back in). A whole
    library takes its conversations and its record with it. What an SSD, a copying file system or a backup keeps is
    beyond localrag; of an encrypted library it cannot be read after `localrag vault rotate`.
    """
    from localrag import api

    settings = load_settings()
    library = api.open_library(name, settings=settings)
    gone = [document.path for document in library.documents(list(documents) or None)]
    what = f"{len(gone)} document(s) of {name!r}" if documents else f"the library {name!r} with {len(gone)} document(s)"
    if not documents and settings.foreign(name):
        what = f"the checked copy of {name!r}, which is not yours (the original stays)"
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"not deleting {what} without being sure", "Add --yes.")
        click.confirm(f"Delete {what} for good?", abort=True, err=True)
    gone = library.forget(list(documents) or None, conversations=conversations)
    if as_json:
        print_json({"library": name, "forgotten": gone, "whole": not documents})
    else:
        click.echo(f"Deleted {what}.", err=True)
