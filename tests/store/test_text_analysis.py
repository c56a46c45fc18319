import random
import unicodedata

import pytest
from hostile import LONG, texts

from localrag.store.text_analysis import (
    COMMON,
    FALLBACK,
    LANGUAGES,
    folded,
    foreign,
    language,
    sentences,
    stem,
    tokens,
    written,
)


def terms(text, spoken="english"):
    return {token.term for token in tokens(text, spoken)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Müller’s Straße, Ærø", "muller strasse ærø"),
        ("ﬁnal ① ２０２４", "final 1 2024"),
        ("don’t and the tenants' and TENANT’S", "don't and the tenants and tenant"),
        ("snake_case a\x00b c\ud800d", "snake case a b c d"),
        ("合同第三条 租 and 租期", "合同 同第 第三 三条 租 and 租期"),
        ("?! — …", ""),
        ("1,234, 1,234,567.89; 1'234'567 and 1’234", "1234 1234567.89 1234567 and 1234"),
        ("the list 1,2,3 and 100,200,30 12,3456", "the list 1 2 3 and 100 200 30 12 3456"),
        ("clause 12.3.4, 3.5 percent.", "clause 12.3.4 3.5 percent"),
        ("x\u0323\u0307y", "xy"),  # no letter is composed of these
    ],
)
def test_words_are_folded_and_numbers_lose_their_thousands_separators(text, words):
    assert written(text) == words.split()


def test_marks_cut_no_word_and_composed_letters_and_capitals_are_one():
    assert len(written("हिन्दी में अनुबंध")) == 3
    assert written("שָׁלוֹם") == written("שלום") and written("العَقْد") == written("العقد")
    for text in ("étude Å Ω", "Ünïcödé", "ΣΊΣΥΦΟΣ", "가나다 がぎ"):
        forms = {form: written(unicodedata.normalize(form, text)) for form in ("NFC", "NFD", "NFKC", "NFKD")}
        assert len({tuple(words) for words in forms.values()}) == 1, text
        assert written(text.upper()) == written(text.lower()) == written(text)


def test_each_language_has_its_stems_and_a_text_shows_its_language():
    for spoken, one, other in (
        ("english", "leases", "lease"),
        ("german", "Verträge", "Vertrag"),
        ("russian", "договоры", "договор"),
        ("arabic", "العقود", "عقود"),
    ):
        assert terms(one, spoken) == terms(other, spoken), spoken
    assert terms("leases", "") == {"leases"}
    assert all(stem("word", spoken) for spoken in LANGUAGES)
    for spoken, words in COMMON.items():
        if words and spoken not in ("danish", "norwegian"):  # which have the same common words
            assert language(" ".join(sorted(words))) == spoken
    assert language("Der Mieter hat die Miete am ersten Tag des Monats zu zahlen.") == "german"
    for text in ("", "2018 2019", "zzz qqq", "\x00\ud800"):
        assert language(text) == FALLBACK


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("合同第三条 (Appendix 3)", "chinese"),
        ("契約は終了する。", "japanese"),
        ("계약은 종료된다", "korean"),
        ("ينتهي العقد", "arabic"),
        ("החוזה מסתיים", "hebrew"),
        ("अनुबंध समाप्त", "hindi"),
        ("สัญญาสิ้นสุด", "thai"),
        ("The contract with 東京電力 ends here and is not renewed.", "english"),
    ],
)
def test_a_text_without_common_words_shows_its_language_by_its_script(text, spoken):
    assert language(text) == spoken
    assert tokens(text, spoken)


@pytest.mark.parametrize(
    "parts",
    [
        ("Der Mieter zahlt z. B. Heizkosten.", "Dr. Weber unterschrieb gem. § 5 Abs. 2 am 3. März 2024.", "Ende."),
        ("El Sr. Pérez firmó el 3 de marzo.", "La Sra. Gómez vive en EE. UU. desde 2010.", "¿Cuándo termina?"),
        ("Договор действует 3 года.", "Арендатор, т. е. Иванов И. И., платит.", "Срок истекает."),
        ("ينتهي العقد في مارس.", "هل يدفع المستأجر؟", "نعم، يدفع."),
        ("अनुबंध समाप्त होता है।", "किराया कौन देता है?", "किरायेदार देता है।"),
        ("معاہدہ ختم ہو گیا۔", "کرایہ کون دے گا؟", "کرایہ دار۔"),
        ("It is plan B.", "The board met.", "See Vitamin C."),
    ],
)
def test_sentences_end_where_each_language_ends_them(parts):
    text = " ".join(parts)
    assert [text[start:end] for start, end in sentences(text)] == [*parts]


@pytest.mark.parametrize(
    ("text", "spoken", "term"),
    [
        ("l’avocat", "french", "avocat"),
        ("dell'anno", "italian", "anno"),
        ("D'Angelo", "english", "d'angelo"),
        ("aujourd'hui", "french", "aujourd'hui"),
    ],
)
def test_what_french_and_italian_write_together_is_found_without_it(text, spoken, term):
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
        ("12.3 (b)(ii)", {"12.3(b)(ii)", "12.3", "b"}),
        ("1,000(a)", {"1000"}),
    ],
)
def test_compounds_are_found_as_a_person_may_write_them(text, found):
    assert terms(text) >= found


def test_any_text_has_words_that_can_be_kept_and_found():
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
def test_no_text_takes_more_than_its_length(name):
    tokens(LONG[name], "english")
    language(LONG[name])


def split(text):
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    "parts",
    [
        ["Acme Inc. pays the fee of Delta Corp. in U.S. dollars.", "The U.S. government agrees."],
        ["See No. 5 and Art. 12, e.g. § 3.2 of the Act.", "Mr. J. P. Smith signed."],
        ["It was sold to Acme Inc.", "The price was 3.5 million."],
        ["Is it due?", "Yes!", "“It is.”", "(So he said.)", "Then he left."],
        ["It grew by 3.14 percent in 2023.", "15 people came."],
        ["本合同自签字之日起生效。", "租金为每月一千元！", "是吗？"],
        ["They meet at 5 p.m. on Monday.", "He is at p. 4 ff. of it."],
        ["12. Termination is allowed.", "Notice is needed."],
        ["Er endet am 31. Mai 2030.", "Die Frist beginnt am 1. Juni."],
        ["The answer is no.", "The question stands."],
        ["Wait... and see.", "Well…", "Done."],
        ["- first item\n", "- second item that\n", "- third"],
        ["The parties agree:\n", "(a) to meet;\n", "(b) to pay; and\n", "(c) to part."],
        ["| Item | Fee |\n", "| --- | --- |\n", "| Mill. House | 1,200 |\n", "| Barn | 300 |"],
        ["Products $ 63,355 $ 63,948\n", "Services 19,604 17,486\n", "Total net sales 82,959 81,434"],
        ["# Heading\n", "Text below it."],
    ],
)
def test_prose_is_parted_at_its_stops_only_and_rows_and_items_by_themselves(parts):
    between = "" if "。" in parts[0] or "\n" in parts[0] else " "
    assert split(between.join(parts)) == [part.rstrip("\n") for part in parts]


def test_wrapped_lines_are_one_sentence():
    text = (
        "This agreement is made between the parties that are named in the first schedule and\n"
        "Acme Widgets of Springfield, who agree that the rent which is due on the first day of\n"
        "each month will be paid in advance."
    )
    assert split(text) == [text]


def test_nothing_is_lost_whatever_the_text():
    chance = random.Random(7)
    alphabet = ["a", "B", "word", "Inc.", *".!?。|”)", "\n", "\n\n", " ", "   ", "(a) ", "- ", "1.2 ", "$ 5"]
    for _ in range(400):
        text = "".join(chance.choice(alphabet) for _ in range(chance.randrange(80)))
        end = 0
        for start, stop in sentences(text):
            assert end <= start < stop and not text[end:start].strip()
            assert text[start:stop] == text[start:stop].strip()
            end = stop
        assert not text[end:].strip()


@pytest.mark.parametrize(
    ("question", "spoken"),
    [
        ("amzn op margin q3 23", ""),
        ("micoa agency e&o insurance minimum", ""),
        ("sabco swap driver w/o prolong ok?", ""),
        ("Who signed for Deutsche Bank?", ""),
        ("Wann endet der Vertrag, und wer kann ihn kündigen?", "german"),
        ("¿Cuándo termina el contrato y quién puede rescindirlo?", "spanish"),
        ("合同何时结束？", "chinese"),
    ],
)
def test_only_a_question_plainly_in_another_language_counts_as_foreign(question, spoken):
    assert foreign(question) == spoken
