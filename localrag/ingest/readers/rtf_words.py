"""The words of RTF, by what is done about them, and how its character sets are called in Python."""

from __future__ import annotations

import codecs
import re

TOKEN = re.compile(
    rb"\\(?P<word>[a-zA-Z]{1,32})(?P<number>-?\d{1,10})? ?|\\'(?P<hex>[0-9a-fA-F]{2})|\\(?P<sign>[^a-zA-Z'])"
    rb"|(?P<group>[{}])|(?P<text>[^\\{}\r\n]+)|[\r\n]+|\\'?",
    re.S,
)
CHARSETS = {
    0: "cp1252", 77: "mac_roman", 128: "cp932", 129: "cp949", 130: "johab", 134: "gbk", 136: "cp950", 161: "cp1253",
    162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874",
    238: "cp1250", 254: "cp437", 255: "cp850",
}  # fmt: skip
SYMBOLS = 2  # the character set of Symbol and Wingdings
SAID = {
    "tab": "\t", "line": "\n", "lbr": "\n", "emdash": "—", "endash": "–", "emspace": " ", "enspace": " ",
    "qmspace": " ", "bullet": "•", "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”", "nestcell": "\t",
    "nestrow": "\n",
}  # fmt: skip
SIGNS = {"~": " ", "_": "-", "\\": "\\", "{": "{", "}": "}", "\t": "\t"}
SKIPPED = frozenset(
    "colortbl pict header headerl headerr headerf footer footerl footerr footerf xe tc tcn rxe txe nonshppict shprslt "
    "nonesttables filetbl sp objdata operator doccomm comment keywords subject company manager category "
    "hlinkbase".split()
)
# Groups that open with \*, but hold text of the document.
ENTERED = frozenset("shpinst do nesttableprops moMath moMathPara".split())
PARAGRAPHS = frozenset("par sect page column".split())
BULLET = re.compile(r"[^\w(\[#§]|[o§]")
HEADING = re.compile(r"heading (\d)")


def codec_of(page: int) -> str:
    """Python's name of a code page, or nothing."""
    name = {10000: "mac_roman", 65001: "utf-8", 936: "gbk", 1361: "johab"}.get(page, f"cp{page}")
    try:
        return codecs.lookup(name).name
    except LookupError:
        return ""
