"""What an ingest did, in words, for commands and the app; names in them are as documents have them."""

from __future__ import annotations

import shlex

from localrag.events import IngestReport
from localrag.security.terminal import counted


def summary(report: IngestReport) -> str:
    """Return how many documents were read, and what became of the other files."""
    others = [
        f"{report.unchanged} unchanged",
        f"{len(report.moved)} moved" if report.moved else "",
        counted(len(report.copies), "duplicate") if report.copies else "",
        f"{len(report.removed)} removed" if report.removed else "",
        f"{counted(report.recognised, 'page')} recognised in pictures" if report.recognised else "",
        f"{len(report.failed)} failed" if report.failed else "",
        f"{report.forgotten} skipped as forgotten (--include-forgotten)" if report.forgotten else "",
    ]
    return (
        f"{'Read' if report.complete else 'Stopped. Read so far:'} {counted(len(report.read), 'document')} into "
        f"{report.library!r} ({counted(report.chunks, 'passage')}), {', '.join(part for part in others if part)}, "
        f"in {report.seconds:.1f} s."
    )


def remarks(report: IngestReport) -> list[str]:
    """Return what a person should look at, a line each."""
    lines = []
    if report.kept:
        again = shlex.join(["localrag", "ingest", report.root, "--name", report.library, "--prune"])
        lines.append(
            f"{counted(len(report.kept), 'file')} are gone, more than a fifth, so no document was removed. Is a "
            f"network folder not mounted? To remove them: {again}"
        )
    if report.ignored:
        lines.append("Types not read: " + ", ".join(f"{n} {suffix}" for suffix, n in report.ignored.items()))
    if report.advice:
        lines.append(report.advice)
    return [
        *lines,
        *not_read(report),
        *(
            f"{document}{'' if remark.number is None else f' p. {remark.number}'}: {remark.text}"
            for document, remark in report.remarks
        ),
        *(f"Near duplicate: {document} and {other}" for document, other in report.near),
    ]


def not_read(report: IngestReport) -> list[str]:
    """Return what was not read and why, a line each."""
    lines = [f"Not read: {item.document}: {item.reason}" for item in report.failed]
    pages = report.skipped_pages
    return lines + [f"No text on p. {page.number} of {document}: {page.reason}" for document, page in pages]
