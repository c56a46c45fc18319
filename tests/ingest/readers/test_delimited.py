import pytest

from localrag.errors import ReadError
from localrag.ingest.readers import sheets
from localrag.ingest.readers.source import Options, Source


def read(text, name="a.csv", encoding="utf-8", **options):
    return sheets.read(Source(name, data=text.encode(encoding) if isinstance(text, str) else text), Options(**options))


def page(text, name="a.csv"):
    return read(text, name).pages[0]


def test_a_file_is_one_sheet_with_the_cells_names():
    one = page("Item,Price\nBolt,1.50\nNut,2\n")
    assert (one.unit, one.number, one.label) == ("sheet", 1, None)
    assert one.text == "| Item | Price |\n| --- | --- |\n| Bolt | 1.50 |\n| Nut | 2 |"
    assert [anchor.name for anchor in one.anchors] == ["A1", "A2", "A3"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_among_others_in_the_cells(delimiter):
    other = ";" if delimiter == "," else ","
    rows = [
        ["Name", "Town", "Amount"],
        ["Doe", f'"Bern{delimiter} old town"', f"1{other}5"],
        ["Roe", "B", f"2{other}5"],
    ]
    text = "\r\n".join(delimiter.join(row) for row in rows)
    shown = f"Bern{delimiter} old town".replace("|", "\\|").replace("\t", " ").replace("  ", " ")
    assert page(text).text.split("\n")[2] == f"| Doe | {shown} | 1{other}5 |"


def test_line_ends_inside_quotes_stay_inside_the_cell():
    one = page('Item,Note\nBolt,"first\nsecond ""line"""\nNut,x\n')
    assert one.text.split("\n")[2:] == ['| Bolt | first second "line" |', "| Nut | x |"]
    assert [anchor.name for anchor in one.anchors] == ["A1", "A2", "A3"]


def test_a_quotation_mark_that_is_never_closed_does_not_swallow_the_rest():
    reading = read('Item,Size\nBolt,"5\nNut,6\nScrew,"7, long"\nPin,8\n')
    rows = ['| Bolt | "5 |', "| Nut | 6 |", "| Screw | 7, long |", "| Pin | 8 |"]
    assert reading.pages[0].text.split("\n")[2:] == rows
    assert [r.text for r in reading.remarks] == ["A quotation mark is opened and never closed in line 2."]


def test_tabs_part_a_tsv_even_where_cells_are_missing():
    assert page("a\tb, c\n\t2, 3\n", "a.tsv").text == "| a | b, c |\n| --- | --- |\n|  | 2, 3 |"


@pytest.mark.parametrize(("data", "kind"), [(b"PK\x03\x04\x14\0", "a ZIP archive"), (b"<html><body>", "an HTML page")])
def test_another_kind_of_file_is_refused(data, kind):
    with pytest.raises(ReadError, match=kind):
        read(data)


def test_more_text_than_may_be_read_is_refused():
    with pytest.raises(ReadError, match="more than 1,000 characters"):
        read("a,b\n" + "word,5\n" * 1000, characters=1000)
