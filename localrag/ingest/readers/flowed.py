"""Mail text that was broken into lines for the way (format=flowed, RFC 3676), with its paragraphs put together."""

from __future__ import annotations


def joined(text: str, *, delsp: bool = False) -> str:
    """Lines that end in a space go on in the next, as long as that is quoted as deeply."""
    lines: list[str] = []
    depth, open_ = 0, False
    for raw in text.splitlines():
        stripped = raw.lstrip(">")
        quoted = len(raw) - len(stripped)
        line = stripped.removeprefix(" ")
        flows = line.endswith(" ") and line != "-- "
        if delsp and flows:
            line = line[:-1]
        if open_ and quoted == depth and line != "-- ":
            lines[-1] += line
        else:
            lines.append(">" * quoted + (" " if quoted else "") + line)
        depth, open_ = quoted, flows
    return "\n".join(lines)
