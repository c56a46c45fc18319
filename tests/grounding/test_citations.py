"""Citations: every quote stands in the text at its offsets, and what is not there is not shown as a quote."""

import random
import re

import pytest

from localrag.grounding.citations import MAX_QUOTE, cite, nearest, relevant_sentences
from localrag.grounding.locate import locate
from localrag.types import Passage

PAGE = (
    "Preamble of no interest.\n"
    "The lease of Hall 3 ends on 31 May 2030. Either party may end it with ninety (90) days’ written notice.\n"
    "The yearly rent is EUR 48,000, payable in advance. The deposit is three months’ rent.\n"
    "Late payments bear interest of 8 % a year — counted from the due date.\n"
)
OTHER = "The kennel is open from 9 to 5. Dogs are kept on a lead in all public areas of the grounds."


def passage(text, document="lease.txt", start=0, page=None):
    return Passage("papers", document, page, None, (), text, start, start + len(text), 1.0)


PASSAGES = [passage(PAGE), passage(OTHER, "dogs.txt", 500, 7)]
WHOLE = {"lease.txt": PAGE, "dogs.txt": " " * 500 + OTHER}


def verbatim(cited, whole=WHOLE):
    for number, citation in enumerate(cited.citations, 1):
        assert citation.marker == number and citation.verified is True
        assert citation.quote and citation.quote == whole[citation.document][citation.start : citation.end]
    shown = {int(mark) for mark in re.findall(r"\[(\d+)\]", cited.answer)}
    assert shown == {citation.marker for citation in cited.citations}


# --- the sentence that supports a claim ----------------------------------------------------------------------


def test_a_claim_gets_the_sentence_that_supports_it():
    cited = cite("The lease ends on 31 May 2030 [1].", "When does the lease end?", PASSAGES)
    (citation,) = cited.citations
    assert citation.quote == "The lease of Hall 3 ends on 31 May 2030."
    assert (citation.library, citation.document, citation.page) == ("papers", "lease.txt", None)
    assert cited.answer == "The lease ends on 31 May 2030 [1]."
    assert (cited.citations_dropped, cited.unsupported) == (0, ())
    verbatim(cited)


def test_a_claim_without_a_marker_is_tied_all_the_same():
    cited = cite("Dogs are kept on a lead in public areas.", "What about dogs?", PASSAGES)
    assert [(c.document, c.page, c.place) for c in cited.citations] == [("dogs.txt", 7, "p. 7")]
    verbatim(cited)


def test_a_wrong_marker_is_put_right():
    cited = cite("The yearly rent is EUR 48,000 [2].", "What is the rent?", PASSAGES)
    assert [c.document for c in cited.citations] == ["lease.txt"]
    verbatim(cited)


def test_markers_of_no_passage_are_passed_over():
    for marks in ("[3]", "[0]", "[99]", "[1000]", "[2, 77]"):
        cited = cite(f"The lease ends on 31 May 2030 {marks}.", "When does the lease end?", PASSAGES)
        assert [c.document for c in cited.citations] == ["lease.txt"], marks
        verbatim(cited) if marks != "[1000]" else None


@pytest.mark.proves("marked")
def test_a_sentence_that_nothing_supports_is_listed():
    cited = cite("The lease ends on 31 May 2030 [1]. Elephants graze near Nairobi [2].", "When?", PASSAGES)
    assert len(cited.citations) == 1
    assert len(cited.unsupported) == 1 and "Elephants" in cited.unsupported[0]
    assert cited.citations_dropped == 1
    verbatim(cited)


def test_a_number_that_is_not_there_marks_its_sentence():
    cited = cite("The yearly rent is EUR 53,500.", "How much?", PASSAGES)
    assert len(cited.unsupported) == 1 and "53,500" in cited.unsupported[0]
    verbatim(cited)


def test_the_same_place_is_cited_once():
    answer = "The lease ends on 31 May 2030 [1]. So the lease of Hall 3 ends on 31 May 2030 [1]."
    cited = cite(answer, "When does the lease end?", PASSAGES)
    assert len(cited.citations) == 1 and cited.answer.count("[1]") == 2
    verbatim(cited)


@pytest.mark.parametrize("place", [0, 20, 39])
def test_a_long_sentence_is_cut_to_the_part_with_the_number(place):
    parts = [f"the fee of category {word} is low" for word in [f"w{chr(97 + n % 26)}{n // 26}x" for n in range(40)]]
    parts[place] = "the fee for elephants is 7,431 euros"
    text = "Whereas " + ", ".join(parts) + "."
    cited = cite("The fee for elephants is 7,431 euros.", "What is the fee for elephants?", [passage(text)])
    (citation,) = cited.citations
    assert "7,431" in citation.quote and len(citation.quote) <= MAX_QUOTE < len(text)
    verbatim(cited, {"lease.txt": text})


# --- quotes that the model wrote ----------------------------------------------------------------------------


def test_a_true_quote_keeps_its_marks_and_is_the_documents_own():
    answer = 'It says: "ninety (90) days\' written notice".'
    cited = cite(answer, "What notice?", PASSAGES)
    assert "ninety (90) days’ written notice" in [citation.quote for citation in cited.citations]
    assert "“ninety (90) days’ written notice”" in cited.answer and cited.citations_dropped == 0
    verbatim(cited)


def test_an_invented_quote_loses_its_marks_and_is_counted():
    cited = cite('It says "the tenant shall feed the lions every day".', "Who feeds the lions?", PASSAGES)
    assert cited.citations_dropped >= 1
    assert not re.search(r"[\"“”„«»]", cited.answer) and "feed the lions" in cited.answer
    assert all("lions" not in citation.quote for citation in cited.citations)
    verbatim(cited)


def test_a_quote_changed_in_one_number_is_not_shown_as_a_quote():
    cited = cite('The text says "The lease of Hall 3 ends on 30 May 2030".', "When?", PASSAGES)
    assert not re.search(r"[\"“”]", cited.answer) and cited.citations_dropped >= 1
    verbatim(cited)


def test_a_quote_does_not_begin_in_the_middle_of_a_number_or_word():
    text = "The fee is 13 percent of sales. It covers part of the dealership."
    assert locate("3 percent of sales", text) is None
    assert locate("art of the deal", text) is None
    cited = cite('It is "3 percent of sales".', "What is the fee?", [passage(text)])
    assert all(not citation.quote.startswith("3 ") for citation in cited.citations)
    assert not re.search(r"[\"“”]", cited.answer)


# --- finding words ------------------------------------------------------------------------------------------


# --- whatever the model writes ------------------------------------------------------------------------------


@pytest.mark.proves("quotes")
def test_no_answer_brings_a_quote_that_is_not_in_the_text():
    dice = random.Random(11)
    words = [*re.findall(r"\S+", PAGE + OTHER), *"[1] [2] [3] 【2】 [ ] [[1]]".split(), "[1, 2]", "[passage 1]"]
    marks = ['"', "“", "”", "«", "»", "„", "\n", "\n- ", ". ", "? ", "[1][2]", "👩🏽‍⚖️", "中文。", "\x00", " ", ""]
    for round_ in range(400):
        parts = []
        for _ in range(dice.randrange(1, 8)):
            start = dice.randrange(len(PAGE))
            parts.append(
                dice.choice(
                    [
                        " ".join(dice.choices(words, k=dice.randrange(1, 12))),
                        PAGE[start : start + dice.randrange(5, 120)],
                        dice.choice(marks) + PAGE[start : start + 40] + dice.choice(marks),
                    ]
                )
            )
            parts.append(dice.choice(marks))
        answer = "".join(parts)
        # A document that itself holds "[2]" may be quoted; the marks are checked on the texts here, which do not.
        cited = cite(answer, dice.choice(["When does it end?", "", "rent [1]"]), PASSAGES)
        for citation in cited.citations:
            assert citation.quote == WHOLE[citation.document][citation.start : citation.end], (round_, answer)
            assert citation.quote.strip() and citation.quote == citation.quote.strip(), (round_, answer)
        assert [c.marker for c in cited.citations] == list(range(1, len(cited.citations) + 1))
        places = [(c.document, c.start, c.end) for c in cited.citations]
        assert len(places) == len(set(places))


@pytest.mark.parametrize("answer", ["", " ", "[1]", "[1].", "...", '"', "[1] [2]"])
def test_an_answer_of_nothing_cites_nothing(answer):
    cited = cite(answer, "What?", PASSAGES)
    assert cited.citations == () and cited.unsupported == ()


def test_sentences_with_the_rare_words_of_a_question_are_picked_in_reading_order():
    one = passage("The rent is due monthly. The hall has a roof. A deposit secures the rent.")
    two = passage("The hall is old. Nobody pays for the roof.")
    found = relevant_sentences("What deposit secures the rent?", [two, one], 2)
    assert [passage.text for passage in found] == ["The rent is due monthly.\nA deposit secures the rent."]
    assert relevant_sentences("What?", [], 3) == []
    (long,) = relevant_sentences(
        "Which rent?", [passage(" ".join(f"hall{n} has a roof" for n in range(300)) + " and a rent.")], 3
    )
    assert "rent" in long.text and len(long.text) <= 320


def test_without_passages_nothing_is_cited():
    cited = cite('The lease ends in May [1]. "Something quoted here".', "When?", [])
    assert cited.citations == () and "[1]" not in cited.answer


# --- quotes of other kinds ----------------------------------------------------------------------------------


def test_a_quote_of_two_sentences_is_one_quote():
    answer = 'The text says: "The lease of Hall 3 ends on 31 May 2030. Either party may end it." It is signed [1].'
    cited = cite(answer, "What does it say?", PASSAGES)
    assert "“The lease of Hall 3 ends on 31 May 2030. Either party may end it” [1]." in cited.answer
    assert cited.citations[0].quote == "The lease of Hall 3 ends on 31 May 2030. Either party may end it"
    verbatim(cited)


def test_a_careless_quote_is_shown_as_it_stands_in_the_text():
    cited = cite('It says: "The yearly rents is EUR 48,000, payable in advanced".', "What rent?", PASSAGES)
    assert "“The yearly rent is EUR 48,000, payable in advance”" in cited.answer and cited.citations_dropped == 0
    verbatim(cited)


def test_a_line_that_would_be_drawn_as_a_quote_is_checked_like_one():
    true = cite("It says:\n\n> Dogs are kept on a lead in all public areas\n", "Dogs?", PASSAGES)
    assert "“Dogs are kept on a lead in all public areas”" in true.answer
    verbatim(true)
    false = cite("It says:\n\n> Dogs may run free on all the grounds\n", "Dogs?", PASSAGES)
    assert ">" not in false.answer and "“" not in false.answer and false.citations_dropped >= 1


def test_single_quotation_marks_are_checked_too():
    true = cite("It says 'ninety (90) days' written notice'.", "What notice?", PASSAGES)
    assert "“ninety (90) days’ written notice”" in true.answer
    false = cite("It says 'ninety days of oral notice given'.", "What notice?", PASSAGES)
    assert "'" not in false.answer and false.citations_dropped >= 1
    plain = "The tenants' rent and the owners' deposit are three months' rent."
    assert cite(plain, "Rent?", PASSAGES).citations_dropped == 0


def test_a_term_quoted_in_the_text_or_the_question_keeps_its_marks():
    cited = cite('The "deposit" and the "bond" are three months’ rent, not a "pledge".', "Is it a bond?", PASSAGES)
    assert '"deposit"' in cited.answer and '"bond"' in cited.answer and '"pledge"' not in cited.answer
    assert cited.citations_dropped == 1


def test_a_marker_inside_a_quote_moves_behind_it():
    cited = cite('It says "The deposit is three months’ rent [1]."', "What deposit?", PASSAGES)
    assert cited.answer == "It says “The deposit is three months’ rent” [1]."
    verbatim(cited)


# --- other languages ----------------------------------------------------------------------------------------

CHINESE = "本合同自2024年5月3日起生效。租金为每月人民币3,000元，于每月5日前支付。承租人不得将房屋转租给第三方。"
GERMAN = "Der Mietvertrag endet am 31. Mai 2030. Die jährlichen Mieten betragen 48.000 Euro. Hunde sind anzuleinen."


@pytest.mark.parametrize(
    ("answer", "question", "text", "quote"),
    [
        ("租金是每月3,000元 [1]。", "租金是多少？", CHINESE, "租金为每月人民币3,000元，于每月5日前支付。"),
        ("房屋不得转租。", "可以转租吗？", CHINESE, "承租人不得将房屋转租给第三方。"),
        ("“于每月5日前 支付”", "什么时候付租金？", CHINESE, "于每月5日前支付"),
        (
            "Die jährliche Miete beträgt 48.000 Euro.",
            "Wie hoch?",
            GERMAN,
            "Die jährlichen Mieten betragen 48.000 Euro.",
        ),
    ],
)
def test_a_claim_is_tied_in_other_languages(answer, question, text, quote):
    cited = cite(answer, question, [passage(OTHER, "dogs.txt"), passage(text)])
    assert [citation.quote for citation in cited.citations] == [quote]
    assert cited.unsupported == () and cited.citations_dropped == 0


def test_a_long_chinese_sentence_is_cut_to_the_part_that_bears_the_claim():
    text = (
        "，".join(f"第{number}类货物的价格由双方协商确定" for number in "甲乙丙丁戊己庚辛壬癸" * 3) + "，运费为7431元。"
    )
    cited = cite("运费为7431元。", "运费是多少？", [passage(text)])
    assert "7431" in cited.citations[0].quote and len(cited.citations[0].quote) <= MAX_QUOTE < len(text)


def test_a_row_of_a_table_is_a_place():
    table = "| | 2019 | 2018 |\n|---|---|---|\n| Net sales | 5,363 | 5,100 |\n| Cost of sales | 3,012 | 2,950 |\n"
    cited = cite("Net sales were 5,363.", "What were net sales in 2019?", [passage(table)])
    assert [citation.quote for citation in cited.citations] == ["| Net sales | 5,363 | 5,100 |"]


def test_an_answer_that_repeats_the_question_cites_the_best_passages():
    text = (
        "The Tenant shall keep the roof in repair. The Landlord may inspect the roof twice a year. Notice of an inspection "
        "is given a week ahead."
    )
    cited = cite("Yes, the Landlord may inspect the roof.", "May the Landlord inspect the roof?", [passage(text)])
    assert cited.citations[0].quote == "The Landlord may inspect the roof twice a year."
    assert len(cited.citations) <= 2 and cited.unsupported == ()
    assert cite("Yes.", "Is a dog allowed?", [passage(text)]).citations == ()


def test_a_yes_that_no_sentence_bears_out_is_listed():
    cited = cite("Yes, there is a non-compete.", "Is there a non-compete?", [passage("The rent is due in May.")])
    assert cited.citations == () and cited.unsupported == ("Yes, there is a non-compete.",)


def test_an_answer_that_repeats_the_question_is_tied_to_what_is_nearest_by_meaning():
    text = "The car park opens at six. Assignment needs the consent of Orlo. The contract may pass to the car park."
    meant = "Assignment needs the consent of Orlo."
    similar = lambda texts: [[float(one.text[a:b] == meant) for a, b in one.spans] for one in texts]  # noqa: E731
    question = "May the contract pass to the car park?"
    found = cite("Yes, the contract may pass to the car park.", question, [passage(text)], similar)
    assert found.citations[0].quote == meant
    assert [one.quote for one in nearest(question, [passage(text)], similar, 1)] == [meant]
    assert nearest(question, [passage(text)])[0].quote != meant
