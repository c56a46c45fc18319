"""What is said of reading files and of keeping documents ready: while it runs, and when it is done."""

from __future__ import annotations

from collections.abc import Sequence

from localrag.events import IngestProgress, IngestReport, Warmed
from localrag.tui.inert import clean_line

STAGES = {
    "wait": "waiting",
    "scan": "looking",
    "read": "reading",
    "embed": "indexing",
    "store": "saving",
    "index": "finishing",
}


def at_hand(progress: IngestProgress) -> str:
    """The file at hand and what is done with it."""
    if progress.stage == "wait":
        return clean_line(progress.document)
    return f"{STAGES[progress.stage]}: {clean_line(progress.document)}"


def remarks(report: IngestReport) -> list[str]:
    """What was not read and why, a line each."""
    lines = [f"! Not read: {clean_line(item.document)}: {clean_line(item.reason)}" for item in report.failed]
    lines += [
        f"! No text on p. {page.number} of {clean_line(document)}: {clean_line(page.reason)}"
        for document, page in report.skipped_pages
    ]
    return lines


def summed_up(report: IngestReport) -> list[str]:
    """What an ingest did, a line for the whole and one for everything that a person should look at."""
    did = [
        f"{len(paths):,} {word}"
        for word, paths in (("read", report.read), ("moved", report.moved), ("removed", report.removed))
        if paths
    ]
    did += [f"{report.unchanged:,} unchanged"] if report.unchanged else []
    did += [f"{len(report.failed):,} not read"] if report.failed else []
    head = "" if report.complete else "Stopped; the next reading goes on. "
    lines = [f"{head}{clean_line(report.root)}: {', '.join(did) or 'nothing to read'}."]
    if report.kept:
        lines.append(
            f"! {len(report.kept):,} files are gone, too many at once to believe it, so nothing was removed. If they "
            f"really are: localrag ingest {clean_line(report.root)} --prune"
        )
    if report.ignored:
        lines.append(
            f"Of types that are not read: {', '.join(f'{n} {suffix}' for suffix, n in report.ignored.items())}"
        )
    lines += remarks(report)
    lines += [f"! {clean_line(document)}: {clean_line(remark.text)}" for document, remark in report.remarks]
    return lines


def kept_up(library: str, told: Sequence[Warmed]) -> list[str]:
    """What became of documents that were to be kept ready, by the last word on each piece of them."""
    kept = {event.piece.document.path for event in told if event.state == "kept"}
    full = sorted({event.piece.name for event in told if event.state == "no room"})
    lines = [f"{clean_line(library)}: {len(kept):,} document{'' if len(kept) == 1 else 's'} kept ready."]
    if full:
        lines.append(f"! No room for {len(full):,} more ({_some(full)}): set cache_bytes higher, or choose fewer.")
    lines += [
        f"! Not read: {clean_line(event.piece.name)}: {clean_line(event.piece.why_not)}"
        for event in told
        if event.state == "not read"
    ]
    return lines


def _some(names: Sequence[str], most: int = 3) -> str:
    return clean_line(", ".join(names[:most])) + (", …" if len(names) > most else "")
