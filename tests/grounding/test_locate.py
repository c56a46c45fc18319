"""Words are found where they stand, however they were typed, and nothing else is taken for them."""

import random

import pytest

from localrag.grounding.locate import fold, locate, quoted

RENT = (
    "The Tenant shall pay the yearly rent of EUR 48,000 in advance to the Landlord not later than 30 days after receipt "
    "of the invoice, unless the parties agree otherwise in writing. Notices are sent by registered letter."
)


def found(words, text=RENT):
    return [text[place.start : place.end] for place in quoted(words, [fold(text)])]


@pytest.mark.parametrize(
    ("words", "text", "shown"),
    [
        ("ends on 31 May", "It ends\non  31\tMay.", "ends\non  31\tMay"),
        ("the agreement ends", "When the agree-\nment ends.", "the agree-\nment ends"),
        ("the agreement ends", "the agree\u00adment ends", "the agree\u00adment ends"),
        ("long-term lease", "a long-\nterm lease", "long-\nterm lease"),
        ("longterm lease", "a long‑term lease", "long‑term lease"),
        ("pages 10-12 only", "see pages 10 – 12 only", "pages 10 – 12 only"),
        ('he said "no" twice', "he said „no“ twice", "he said „no“ twice"),
        ("the straße is fine", "THE STRASSE IS ﬁNE", "THE STRASSE IS ﬁNE"),
        ("Café de Flore", "at Cafe\u0301 de Flore", "Cafe\u0301 de Flore"),
        ("Rent 48,000", "| Rent | 48,000 |", "Rent | 48,000"),
        ("pay within 30 days", "shall pay within **30 days** of", "pay within **30 days"),
        ("中文合同", "见 中文 合\n同 。", "中文 合\n同"),
        ("公司应当在30日内付款", "第三条 公司应当在 30 日内付款。", "公司应当在 30 日内付款"),
        ("契約の期間は三年", "本契約の期間は三年とする。", "契約の期間は三年"),
        ("（乙方）,付款", "甲方(乙方)，付款期限", "(乙方)，付款"),
        ("3층에 있다", "사무실은 3층에 있다.", "3층에 있다"),
    ],
)
def test_print_and_typing_make_no_difference(words, text, shown):
    place = locate(words, text)
    assert place is not None and text[slice(*place)] == shown


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("3 percent", "13 percent"),
        ("3 percent", "1.3 percent"),
        ("EUR 48", "EUR 48,000"),
        ("art of the deal", "part of the dealership"),
        ("compete clause", "a non-compete clause"),
        ("ment of the rent", "agree-\nment of the rent"),
        ("201920", "the season 2019-20"),
        ("m2", "40 m²"),
        ("the rent", "therent"),
    ],
)
def test_a_part_of_a_word_or_another_number_is_not_found(words, text):
    assert locate(words, text) is None


@pytest.mark.parametrize(
    "words",
    [
        "The tenant shall pay yearly rent of EUR 48,000 in advance",  # an article left out
        "the tenant shall pay the yearly rents of EUR 48,000 in advnace to the landlord",  # inflection, a slip
        "pay the yearly rent in advance to the Landlord not later than 30 days",  # see below
    ],
)
def test_a_careless_quote_is_shown_in_the_words_of_the_text(words):
    places = found(words)
    if "EUR" in words:
        assert len(places) == 1 and "EUR 48,000 in advance" in places[0] and places[0] in RENT
    else:
        assert places == []  # what it leaves out is an amount


@pytest.mark.parametrize(
    "words",
    [
        "The Tenant shall pay the yearly rent of EUR 58,000 in advance to the Landlord",
        "The Landlord shall pay the yearly rent of EUR 48,000 in advance to the Tenant",
        "to the Landlord later than 30 days after receipt of the invoice",
        "The Tenant may pay the yearly rent of EUR 48,000 in advance to the Landlord",
        "The Tenant shall pay the yearly rent of USD 48,000 in advance to the Landlord",
        "in advance to the Landlord not later than thirty days after receipt of the invoice",
        "after receipt of the invoice, if the parties agree otherwise in writing",
        "The Tenant shall pay the monthly rent of EUR 48,000 in advance to the Landlord",
        "Tenants of the building feed the lions every day of the year",
    ],
)
def test_a_quote_that_says_something_else_is_none(words):
    assert found(words) == []


def test_names_of_the_parties_are_no_slips_of_each_other():
    text = "In this case the lessor shall insure the whole of the premises against fire."
    assert found("In this case the lessee shall insure the whole of the premises against fire", text) == []
    assert found("In this case the lessor shall insure the whole of the premisses against fire", text) != []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("lessee", "lessor"),
        ("employer", "employee"),
        ("insured", "insurer"),
        ("consent", "content"),
        ("before", "after"),
        ("licensee", "licensor"),
        ("principal", "principle"),
        ("directly", "indirectly"),
        ("Mieter", "Vermieter"),
    ],
)
def test_a_word_that_is_nearly_another_is_another(one, other):
    text = f"In this case, as agreed between them, the {one} of the other party counts in the first place."
    assert found(text.replace(f" {one} ", f" {other} "), text) == [] and found(text, text)


def test_one_sign_more_or_less_is_another_quote_in_chinese():
    text = "承租人不得将房屋转租给第三方，违者应当承担相应的法律责任。"
    assert found("承租人不得将房屋转租给第三方", text) == ["承租人不得将房屋转租给第三方"]
    assert found("承租人得将房屋转租给第三方，违者应当承担相应的法律责任", text) == []
    assert found("出租人不得将房屋转租给第三方，违者应当承担相应的法律责任", text) == []


def test_what_an_ellipsis_leaves_out_is_seen_where_it_is_near():
    assert found("pay the yearly rent … in advance to the Landlord") == [
        "pay the yearly rent of EUR 48,000 in advance to the Landlord"
    ]
    assert found("the yearly rent [...] unless the parties agree") == [
        RENT[RENT.index("the yearly") : RENT.index(" otherwise")]
    ]
    far = "The rent is fixed. " + "It rains a lot here. " * 20 + "The deposit is paid back."
    assert found("The rent is fixed ... The deposit is paid back", far) == [
        "The rent is fixed",
        "The deposit is paid back",
    ]
    assert found("in advance to the Landlord … The Tenant shall pay") == []  # the other way round
    assert found("The Tenant … Landlord") == []  # too little to tell anything


def test_of_several_texts_the_nearest_is_taken():
    texts = [
        fold("The reports are due each quarter of the calendar year."),
        fold("The report is due every quarter of the calendar year."),
    ]
    (place,) = quoted("The reports are due each quarter of the caledar year", texts)
    assert place.text == 0


@pytest.mark.parametrize(
    "words", ["", " ", "...", "… … …", ".*", "(" * 400, "a" * 5000, "- " * 3000, "'" * 900, "|" * 900]
)
def test_odd_words_are_found_nowhere(words):
    assert quoted(words, [fold(RENT)]) == ()
    assert locate(words, "abc and so on") is None


def test_long_runs_of_anything_fold_in_linear_time():
    for run in (" ", "-", "\u00ad", "|", "*", "\n", "　", "- \n", "a-\n", "中 "):
        assert fold(run * 60_000) is not None


@pytest.mark.proves("quotes")
def test_offsets_lead_back_whatever_the_text():
    dice = random.Random(4)
    signs = [*"aBßİﬁé \n中。“…|*7，\u00ad", "e\u0301", "  ", "-", "-\n"]
    for _ in range(300):
        text = "".join(dice.choices(signs, k=dice.randrange(1, 40)))
        folded = fold(text)
        last = 0
        for at in range(len(folded.text)):
            start, end = folded.original(at, at + 1)
            assert 0 <= start < end <= len(text) and start >= last, repr(text)
            last = start


def test_true_words_are_found_wherever_they_are_cut():
    dice = random.Random(9)
    for _ in range(200):
        words = RENT.split(" ")
        first = dice.randrange(len(words) - 4)
        cut = " ".join(words[first : first + dice.randrange(3, 12)]).strip(".,")
        assert cut in found(cut)


def test_a_word_that_ends_like_its_own_beginning_breaks_nothing():
    assert found("shares a proteinein with the other cells", "It shares a protein with the other cells.") == []
