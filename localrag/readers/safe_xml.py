"""XML from strangers: entities are refused, nothing outside the document is ever fetched.

Declared entities are how a small file asks for all memory ("billion laughs") or for another file. A plain document
type without them is let through: XHTML has one.
"""

from __future__ import annotations

from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from localrag.errors import ReadError

# What parsing a damaged document raises.
PARSE_ERRORS = (ElementTree.ParseError, ValueError, LookupError)


def parse(data: bytes) -> Element:
    """The root of a document.

    Raises:
        ReadError: it declares entities.
        PARSE_ERRORS: it is not well formed.
    """
    # Without its zero bytes, UTF-16 reads as the same letters.
    if b"<!ENTITY" in data.replace(b"\0", b"") if b"\0" in data else b"<!ENTITY" in data:
        raise ReadError("declares XML entities, which can hide a bomb", "Do not trust this file.")
    return ElementTree.fromstring(data)
