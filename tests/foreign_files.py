"""Write small files of programs whose formats only LibreOffice reads, each with one sentence, to read them in tests."""

import struct

from containers import zipped

_XML = '<?xml version="1.0" encoding="utf-8"?>'
_APPLE = "http://developer.apple.com/namespaces"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_VISIO = "http://schemas.microsoft.com/visio/2010/relationships"
_DRAWN = (
    'xmlns="http://schemas.microsoft.com/office/visio/2012/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
)
_SIZES = '<sf:naturalSize sfa:w="400" sfa:h="100"/><sf:size sfa:w="400" sfa:h="100"/><sf:position sfa:x="9" sfa:y="9"/>'


def wordperfect(text):
    head = struct.pack("<4sIBBBBHH", b"\xffWPC", 16, 1, 10, 0, 1, 0, 0)  # of WordPerfect 5
    return head + text.encode("ascii")


def pages(text):
    body = f"<sf:section><sf:layout><sf:p>{text}</sf:p></sf:layout></sf:section>"
    storage = f'<sf:text-storage sf:kind="body"><sf:text-body>{body}</sf:text-body></sf:text-storage>'
    return zipped({"index.xml": _apple("sl", "document", f"<sl:publication-info/>{storage}")})


def numbers(text):
    cells = f'<sf:datasource><sf:t><sf:ct sfa:s="{text}"/></sf:t><sf:n sf:v="1"/></sf:datasource>'
    column = '<sf:grid-column sf:width="99"/>'
    grid = f'<sf:columns>{2 * column}</sf:columns><sf:rows><sf:grid-row sf:height="20"/></sf:rows>{cells}'
    model = f'<sf:tabular-model sf:name="T"><sf:grid sf:numcols="2" sf:numrows="1">{grid}</sf:grid></sf:tabular-model>'
    table = f"<sf:tabular-info><sf:geometry>{_SIZES}</sf:geometry>{model}</sf:tabular-info>"
    info = (
        f"<ls:page-info><sf:layers><sf:layer><sf:drawables>{table}</sf:drawables></sf:layer></sf:layers></ls:page-info>"
    )
    space = f'<ls:workspace-array><ls:workspace ls:workspace-name="S">{info}</ls:workspace></ls:workspace-array>'
    return zipped({"index.xml": _apple("ls", "document", space)})


def keynote(text):
    words = (
        f"<sf:text-storage><sf:text-body><sf:layout><sf:p>{text}</sf:p></sf:layout></sf:text-body></sf:text-storage>"
    )
    outline = '<sf:path><sf:bezier-path><sf:bezier sfa:path="M 0 0 L 400 0 L 400 100 Z"/></sf:bezier-path></sf:path>'
    shape = f'<sf:shape><sf:geometry>{_SIZES}</sf:geometry>{outline}<sf:text sf:layoutstyle-ref="x">{words}</sf:text></sf:shape>'
    kind = '<sf:type><sf:string sfa:string="BGSlideLayer"/></sf:type>'
    layers = f"<sf:layers><sf:layer>{kind}<sf:drawables>{shape}</sf:drawables></sf:layer></sf:layers>"
    size = 'size sfa:w="1024" sfa:h="768"/>'
    slide = f"<key:slide><key:page><sf:{size}{layers}</key:page></key:slide>"
    slides = f"<key:{size}<key:slide-list>{slide}</key:slide-list>"
    return zipped({"index.apxl": _apple("key", "presentation", slides, "keynote2")})


def visio(text):
    cells = {"PinX": 4, "PinY": 6, "Width": 4, "Height": 1, "LocPinX": 2, "LocPinY": 0.5}
    placed = "".join(f'<Cell N="{name}" V="{value}"/>' for name, value in cells.items())
    size = '<PageSheet><Cell N="PageWidth" V="8.5"/><Cell N="PageHeight" V="11"/></PageSheet>'
    shape = f'<Shapes><Shape ID="1" Type="Shape">{placed}<Text>{text}</Text></Shape></Shapes>'
    parts = {"document": "drawing.main", "pages/pages": "pages", "pages/page1": "page"}
    kinds = "".join(
        f'<Override PartName="/visio/{name}.xml" ContentType="application/vnd.ms-visio.{kind}+xml"/>'
        for name, kind in parts.items()
    )
    relations = '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    files = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">{relations}{kinds}</Types>',
        "_rels/.rels": _relation("document", "visio/document.xml"),
        "visio/document.xml": f"<VisioDocument {_DRAWN}><DocumentSettings/></VisioDocument>",
        "visio/_rels/document.xml.rels": _relation("pages", "pages/pages.xml"),
        "visio/pages/pages.xml": f'<Pages {_DRAWN}><Page ID="0" Name="P">{size}<Rel r:id="r1"/></Page></Pages>',
        "visio/pages/_rels/pages.xml.rels": _relation("page", "page1.xml"),
        "visio/pages/page1.xml": f"<PageContents {_DRAWN}>{shape}</PageContents>",
    }
    return zipped({name: _XML + content for name, content in files.items()})


def _apple(prefix, name, inside, space=""):
    spaces = {"sfa": "sfa", "sf": "sf", prefix: space or prefix}
    named = " ".join(f'xmlns:{short}="{_APPLE}/{long}"' for short, long in spaces.items())
    return f'{_XML}<{prefix}:{name} {named} {prefix}:version="92008102400">{inside}</{prefix}:{name}>'


def _relation(kind, target):
    relation = f'<Relationship Id="r1" Type="{_VISIO}/{kind}" Target="{target}"/>'
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{relation}</Relationships>'
