"""XML from strangers: entities are refused, nothing outside the document is ever fetched.

Declared entities are how a small file asks for all memory ("billion laughs") or for another file. A plain document
type without them is let through: XHTML has one. So are names of pictures and the like (NDATA), as patents have them:
no text can refer to these.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from localrag.errors import ReadError

# What parsing a damaged document raises.
PARSE_ERRORS = (ElementTree.ParseError, ValueError, LookupError)


_UNPARSED = re.compile(
    rb"""<!ENTITY \s+ [\w.:-]+ \s+ (?:SYSTEM | PUBLIC \s+ (?:"[^"<>]*"|'[^'<>]*')) \s+ (?:"[^"<>]*"|'[^'<>]*')
    \s+ NDATA \s+ [\w.:-]+ \s* >""",
    re.X,
)


def parse(data: bytes) -> Element:
    """The root of a document.

    Raises:
        ReadError: it declares entities.
        PARSE_ERRORS: it is not well formed.
    """
    # Without its zero bytes, UTF-16 reads as the same letters; as other letters it could pass for a picture's name.
    plain = data.replace(b"\0", b"") if b"\0" in data else _UNPARSED.sub(b"", data)
    if b"<!ENTITY" in plain:
        raise ReadError("declares XML entities, which can hide a bomb", "Do not trust this file.")
    return ElementTree.fromstring(data)
