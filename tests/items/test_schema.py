"""What a table is to hold, as JSON Schema and in the short form."""

import json

import pytest

from localrag.errors import LocalragError, UsageError
from localrag.items.schema import load, parse


def test_the_short_form_names_fields_with_their_types():
    schema = parse("vendor, invoice_date date, total money, paid yes/no, status open|paid, items int")
    assert [(one.id, one.type, one.choices) for one in schema.fields] == [
        ("vendor", "text", ()),
        ("invoice_date", "date", ()),
        ("total", "money", ()),
        ("paid", "yes/no", ()),
        ("status", "choice", ("open", "paid")),
        ("items", "number", ()),
    ]
    assert schema.lines == () and schema.fields[1].title == "invoice date"
    assert schema.by_line().fields == () and schema.by_line().lines == schema.fields
    assert str(parse(str(schema))) == str(schema) and parse("due date").fields[0].headings == ("due", "due date")


def test_a_type_may_be_the_name_of_a_field_and_a_misspelt_one_is_no_name():
    assert [
        (one.id, one.type) for one in parse("vendor, date, number, interest rate, last update, party name").fields
    ] == [
        ("vendor", "text"),
        ("date", "date"),
        ("number", "number"),
        ("interest rate", "text"),
        ("last update", "text"),
        ("party name", "text"),
    ]
    for text, meant in {"total monney": "money", "due Datte": "date", "share percentage": "percent"}.items():
        with pytest.raises(UsageError) as error:
            parse(f"vendor, {text}")
        assert f" {meant}'" in error.value.hint and f"'{text} text'" in error.value.hint
    assert parse("total monney text").fields[0].id == "total monney"


def test_a_schema_is_typed_or_comes_from_a_file_called_json(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bill.json").write_text('{"properties": {"vendor": {}}}')
    (tmp_path / "bills").write_text("vendor")
    assert parse(load("bill.json")).fields == parse("vendor").fields
    assert load("vendor, total money") == "vendor, total money" and load(f"{'a' * 300}") == "a" * 300
    for named in ("other.json", "bills", "bill.yaml", "sub/bill.txt"):
        with pytest.raises(LocalragError) as error:
            load(named)
        assert named in str(error.value)


def test_a_json_schema_gives_fields_and_lines():
    given = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["vendor"],
        "properties": {
            "vendor": {"type": "string", "format": "party", "title": "Supplier", "description": "Who sends it."},
            "due": {"type": ["string", "null"], "format": "date"},
            "paid": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
            "status": {"enum": ["open", "closed", None]},
            "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}},
        },
        "$defs": {
            "Line": {
                "type": "object",
                "properties": {"item": {"type": "string"}, "amount": {"type": "number", "format": "money"}},
            }
        },
    }
    schema = parse(json.dumps(given))
    assert [(one.id, one.type, one.choices, one.headings, one.about) for one in schema.fields] == [
        ("vendor", "party", (), ("vendor", "Supplier"), "Who sends it."),
        ("due", "date", (), (), ""),
        ("paid", "yes/no", (), (), ""),
        ("status", "choice", ("open", "closed"), (), ""),
    ]
    assert schema.lines == parse("item, amount money").fields and schema.name == "lines"
    assert parse(json.dumps({"type": "array", "items": given["$defs"]["Line"]})).lines == schema.lines  # type: ignore[index]


TEXT = {"type": "string"}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"properties": {"a": {"type": "object", "properties": {"b": TEXT}}}}, "'a'"),
        ({"properties": {"a": TEXT | {"pattern": "x"}}}, "pattern"),
        ({"properties": {"a": {"type": "number", "minimum": 1}}}, "minimum"),
        ({"properties": {"a": TEXT | {"format": "email"}}}, "email"),
        ({"properties": {"a": {"anyOf": [TEXT, {"type": "number"}]}}}, "2 types"),
        ({"properties": {"a": {"type": "array", "items": TEXT}}}, "a"),
        ({"properties": {n: {"type": "array", "items": {"properties": {n + n: TEXT}}} for n in "ab"}}, "2 arrays"),
        ({"properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"$ref": "#/$defs/b"}}}, "no object"),
        ({"properties": {"a_b": TEXT, "aB": TEXT}}, "'a b'"),
        ({"properties": {"document": TEXT}}, "'document'"),
        ({"properties": {}}, "0 fields"),
        ({"oneOf": []}, "oneOf"),
        ({"properties": {"a": {"enum": 5}}}, "enum"),
        ({"properties": {"a": {"enum": {"x": 1}}}}, "enum"),
        ({"properties": {"a": {"anyOf": 5}}}, "anyOf"),
        ({"properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": [1]}, "'#/$defs/x'"),
        ({"properties": {"a": {"$ref": "#/$defs/x"}}}, "'#/$defs/x'"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(given, named):
    with pytest.raises(UsageError) as error:
        parse(json.dumps(given))
    assert named in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "total money, Total Currency text",
        "total currency, total money",
        "due date, due place",
        '{"properties": {"a": {}, "lines": {"type": "array", "items": {"properties": {"A quote": {}}}}}}',
    ],
)
def test_a_field_is_not_called_like_a_column_beside_another(text):
    with pytest.raises(UsageError) as error:
        parse(text)
    assert "column" in error.value.message


def test_a_field_may_be_called_like_a_column_that_is_not_there():
    assert len(parse("total number, total currency, quote, place").fields) == 4


@pytest.mark.parametrize("text", ["", "{", "[" * 5000, '{"properties": 1}', "a, a"])
def test_what_is_no_schema_is_refused(text):
    with pytest.raises(UsageError):
        parse(text)
