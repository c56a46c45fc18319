"""Words and terms: what stands in a text is found by whoever writes it otherwise, and no text is too odd."""

from __future__ import annotations

import unicodedata

import pytest
from hostile import LONG, texts

from localrag.store.text_analysis import COMMON, FALLBACK, LANGUAGES, folded, language, stem, tokens, written


def terms(text: str, spoken: str = "english") -> set[str]:
    return {token.term for token in tokens(text, spoken)}


# --- words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The Tenant shall pay.", ["the", "tenant", "shall", "pay"]),
        ("Müller’s Straße, Ærø", ["muller", "strasse", "ærø"]),
        ("ﬁnal ① ２０２４", ["final", "1", "2024"]),
        ("don’t and don't", ["don't", "and", "don't"]),
        ("the tenants' and TENANT’S", ["the", "tenants", "and", "tenant"]),
        ("snake_case a\x00b c\ud800d", ["snake", "case", "a", "b", "c", "d"]),
        ("合同第三条", ["合同", "同第", "第三", "三条"]),
        ("租 and 租期", ["租", "and", "租期"]),
        ("", []),
        ("?! — …", []),
    ],
)
def test_words_are_what_stands_there_folded(text: str, words: list[str]) -> None:
    assert written(text) == words


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("We had 1,234, then 1,234,567.89; now 12", ["1234", "1234567.89", "12"]),
        ("1'234'567 and 1’234", ["1234567", "1234"]),
        ("the list 1,2,3 and 100,200,30", ["1", "2", "3", "100", "200", "30"]),
        ("clause 12.3.4, 3.5 percent.", ["12.3.4", "3.5"]),
        ("12,3456", ["12", "3456"]),
    ],
)
def test_a_number_loses_its_thousands_separators_and_a_list_stays_a_list(text: str, numbers: list[str]) -> None:
    assert [word for word in written(text) if word[0].isdigit()] == numbers


def test_a_word_is_not_cut_at_its_vowel_signs_and_points() -> None:
    assert len(written("हिन्दी में अनुबंध")) == 3
    assert written("שָׁלוֹם") == written("שלום") and written("العَقْد") == written("العقد")
    assert written("x\u0323\u0307y") == ["xy"]  # no letter is composed of these


def test_a_letter_composed_or_not_and_a_capital_or_not_are_one() -> None:
    for text in ("étude Å Ω", "Ünïcödé", "ΣΊΣΥΦΟΣ", "가나다 がぎ"):
        forms = {form: written(unicodedata.normalize(form, text)) for form in ("NFC", "NFD", "NFKC", "NFKD")}
        assert len({tuple(words) for words in forms.values()}) == 1, text
        assert written(text.upper()) == written(text.lower()) == written(text)


# --- terms --------------------------------------------------------------------------------------------------


def test_each_language_has_its_stems() -> None:
    pairs = {
        "english": ("leases", "lease"),
        "german": ("Verträge", "Vertrag"),
        "french": ("contrats", "contrat"),
        "spanish": ("contratos", "contrato"),
        "italian": ("contratti", "contratto"),
        "swedish": ("avtalen", "avtal"),
        "portuguese": ("contratos", "contrato"),
        "russian": ("договоры", "договор"),
        "dutch": ("huizen", "huizen"),
    }
    for spoken, (one, other) in pairs.items():
        assert terms(one, spoken) == terms(other, spoken), spoken
    assert terms("leases", "") == {"leases"}
    for spoken in LANGUAGES:
        assert stem("word", spoken)


@pytest.mark.parametrize(
    ("text", "spoken", "term"),
    [
        ("l’avocat", "french", "avocat"),
        ("d'indemnité", "french", "indemn"),
        ("qu'il", "french", "il"),
        ("dell'anno", "italian", "anno"),
        ("un'azienda", "italian", "azi"),
        ("D'Angelo", "english", "d'angelo"),
        ("aujourd'hui", "french", "aujourd'hui"),
    ],
)
def test_what_french_and_italian_write_together_is_found_without_it(text: str, spoken: str, term: str) -> None:
    (token,) = tokens(text, spoken)
    assert token.term == term and token.word == folded(text.replace("’", "'"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("non-compete", {"noncompet", "non", "compet"}),
        ("non\u2011compete", {"noncompet"}),
        ("ChangeOfControl", {"changeofcontrol", "chang", "of", "control"}),
        ("FY2018", {"fy2018", "fy", "2018"}),
        ("10-K", {"10k"}),
        ("10K", {"10k"}),
        ("Section 12.3(b)", {"12.3(b)", "12.3", "b"}),
        ("12.3 (b)(ii)", {"12.3(b)(ii)"}),
        ("1,000(a)", {"1000"}),
    ],
)
def test_compounds_are_found_as_a_person_may_write_them(text: str, found: set[str]) -> None:
    assert terms(text) >= found


# --- languages ----------------------------------------------------------------------------------------------


def test_a_text_shows_its_language() -> None:
    for spoken, words in COMMON.items():
        if spoken not in ("danish", "norwegian"):  # which have the same common words
            assert language(" ".join(sorted(words))) == spoken
    assert language("Der Mieter hat die Miete am ersten Tag des Monats zu zahlen.") == "german"
    assert language("Le locataire doit payer le loyer le premier jour du mois.") == "french"


@pytest.mark.parametrize("text", ["", "2018 2019", "合同第三条", "zzz qqq", "\x00\ud800", "1" * 1000])
def test_where_no_language_stands_out_it_is_the_fallback(text: str) -> None:
    assert language(text) == FALLBACK


# --- any text -----------------------------------------------------------------------------------------------


def test_any_text_has_words_that_can_be_kept_and_found() -> None:
    for seed, text in enumerate(texts(1, 400)):
        spoken = (*LANGUAGES, "")[seed % (len(LANGUAGES) + 1)]
        made = tokens(text, spoken)
        assert made == tokens(text, spoken)
        assert [token.word for token in made][: len(written(text))] == written(text)
        for word, term in made:
            assert word and term
            (word + term).encode()  # SQLite takes no half characters
            assert "\x00" not in word + term and not any(c.isspace() for c in word + term)
        assert language(text) in LANGUAGES


@pytest.mark.parametrize("name", LONG)
def test_no_text_takes_more_than_its_length(name: str) -> None:
    tokens(LONG[name], "english")
    language(LONG[name])
