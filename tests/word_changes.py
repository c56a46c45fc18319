"""What Word makes of a file with tracked changes: all of them accepted, or all rejected."""

import copy
import io
import zipfile

from lxml import etree

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_COMMENTS = {f"{W}{name}" for name in ("commentRangeStart", "commentRangeEnd")}


def body(data):
    return etree.fromstring(zipfile.ZipFile(io.BytesIO(data)).read("word/document.xml")).find(f"{W}body")


def accepted(data):
    """The body with insertions in it and deletions gone, runs joined."""
    return _settled(body(data), keep="ins", drop="del")


def rejected(data):
    return _settled(body(data), keep="del", drop="ins")


def text_of(root):
    """The paragraphs that have text, one a line."""
    return [text for one in root.iter(f"{W}p") if (text := _text(one)).strip()]


def _text(paragraph):
    signs = {f"{W}tab": "\t", f"{W}br": "\n"}
    found = (one for one in paragraph.iter(f"{W}t", *signs) if one.getparent().tag == f"{W}r")
    return "".join(signs.get(one.tag) or one.text or "" for one in found)


def form_of(root):
    """A body as text, in which runs that differ in nothing are one and comments are left out."""
    root = copy.deepcopy(root)
    _without_comments(root)
    _join(root)
    return etree.tostring(root, method="c14n").decode()


def _settled(root, keep, drop):
    _without_comments(root)
    for one in [*root.iter(f"{W}{drop}")]:
        parent = one.getparent()
        if parent.tag == f"{W}rPr" and parent.getparent().tag == f"{W}pPr":
            one.set("gone", "yes")
        else:
            parent.remove(one)
    for one in [*root.iter(f"{W}{keep}")]:
        parent = one.getparent()
        if parent.tag == f"{W}rPr":
            parent.remove(one)
        else:
            for child in [*one]:
                one.addprevious(child)
            parent.remove(one)
    for one in root.iter(f"{W}delText"):
        one.tag = f"{W}t"
    for one in reversed([*root.iter(f"{W}p")]):
        if one.find(f"{W}pPr/{W}rPr/{W}{drop}") is not None:
            following, inside = one.getnext(), [each for each in one if each.tag != f"{W}pPr"]
            if not inside and following is not None:  # a whole paragraph, perhaps before a table
                one.getparent().remove(one)
                continue
            assert following is not None and following.tag == f"{W}p", "no paragraph follows"
            at = 1 if len(following) and following[0].tag == f"{W}pPr" else 0
            for child in reversed(inside):
                following.insert(at, child)
            one.getparent().remove(one)
    _join(root)
    return root


def _without_comments(root):
    for one in [*root.iter()]:
        if one.tag in _COMMENTS or (one.tag == f"{W}r" and one.find(f"{W}commentReference") is not None):
            one.getparent().remove(one)


def _join(root):
    """Join runs of equal properties; drop properties that hold nothing."""
    for tag in ("rPr", "pPr"):
        for one in [*root.iter(f"{W}{tag}")]:
            if not len(one) and not one.attrib:
                one.getparent().remove(one)
    for one in [*root.iter(f"{W}r")]:
        before = one.getprevious()
        if before is not None and before.tag == f"{W}r" and _properties(before) == _properties(one):
            for child in [each for each in one if each.tag != f"{W}rPr"]:
                before.append(child)
            one.getparent().remove(one)
    for one in [*root.iter(f"{W}t")]:
        before = one.getprevious()
        one.attrib.clear()
        if before is not None and before.tag == f"{W}t":
            before.text = (before.text or "") + (one.text or "")
            one.getparent().remove(one)


def _properties(run):
    found = run.find(f"{W}rPr")
    return (dict(run.attrib), b"" if found is None else etree.tostring(found, method="c14n"))
