"""Code takes the questions that plainly ask for it, and leaves all others to the model."""

from __future__ import annotations

import random
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

import pytest
from waiting import cheap

from localrag.answer.exact import parsing
from localrag.answer.exact.parsing import DocumentList, IdentifierSearch, Task, TermSearch, parse

TASKS: dict[str, Task] = {
    # words and phrases
    'How often does "notice" occur?': TermSearch("notice"),
    "How many times does the word notice appear in the contracts?": TermSearch("notice"),
    "How many times is “force majeure” mentioned?": TermSearch("force majeure"),
    "How many times is Delaware mentioned?": TermSearch("Delaware"),
    "How many times does notice appear in the Orlo lease?": TermSearch("notice", within="Orlo lease"),
    'How many times does "notice" appear in the Orlo lease?': TermSearch("notice", within="Orlo lease"),
    'Count the word "notice"': TermSearch("notice"),
    "count occurrences of indemnify in the lease": TermSearch("indemnify", within="lease"),
    "How many mentions of Acme Ltd are there?": TermSearch("Acme Ltd"),
    "Which documents mention 'Delaware'?": TermSearch("Delaware", kind="documents"),
    "Which documents mention Delaware?": TermSearch("Delaware", kind="documents"),
    'Which contracts contain "force majeure"?': TermSearch("force majeure", kind="documents"),
    "Which contracts contain Delaware?": TermSearch("Delaware", kind="documents"),
    'Which documents do not mention "insurance"?': TermSearch("insurance", kind="without"),
    "how many documents mention arbitration?": TermSearch("arbitration", kind="documents"),
    "How many contracts contain the word arbitration?": TermSearch("arbitration", kind="documents"),
    'which document says "X"': TermSearch("X", kind="documents"),
    'In which documents does "Hesprin" appear?': TermSearch("Hesprin", kind="documents"),
    "List all documents that mention Hesprin": TermSearch("Hesprin", kind="documents"),
    "Find every 'notice'": TermSearch("notice", kind="find"),
    "Find all occurrences of notice": TermSearch("notice", kind="find"),
    'Find "force majeure"': TermSearch("force majeure", kind="find"),
    "Find the word notice in the contracts": TermSearch("notice", kind="find"),
    "Where is “Acme Ltd” mentioned?": TermSearch("Acme Ltd", kind="find"),
    "Where is Acme mentioned?": TermSearch("Acme", kind="find"),
    "Where does Delaware appear?": TermSearch("Delaware", kind="find"),
    'Does "force majeure" appear anywhere?': TermSearch("force majeure"),
    "Is there any mention of Delaware?": TermSearch("Delaware"),
    'Does any document mention "Delaware"?': TermSearch("Delaware"),
    'On which pages does "notice" appear?': TermSearch("notice", kind="find"),
    'Wie oft kommt "Frist" vor?': TermSearch("Frist"),
    "Wie oft kommt das Wort Frist im Mietvertrag vor?": TermSearch("Frist", within="Mietvertrag"),
    "Wie oft wird Müller erwähnt?": TermSearch("Müller"),
    "Welche Dokumente enthalten „Kündigung“?": TermSearch("Kündigung", kind="documents"),
    'Wo steht "Kaution"?': TermSearch("Kaution", kind="find"),
    "find clause 7": TermSearch("clause 7", kind="find"),
    "Where is COVID-19 mentioned?": TermSearch("COVID-19", kind="find"),
    'How many times does "arbitration" occur in the contracts?': TermSearch("arbitration"),
    "how many times is “force majeure” used": TermSearch("force majeure"),
    "How often does the word indemnify appear in all documents?": TermSearch("indemnify"),
    "How many times does the term Confidential Information come up?": TermSearch("Confidential Information"),
    'How many times does the phrase "best efforts" appear in the Orlo lease?': TermSearch(
        "best efforts", within="Orlo lease"
    ),
    "How many times is Acme Ltd. mentioned in the library?": TermSearch("Acme Ltd"),
    "how often is Delaware mentioned": TermSearch("Delaware"),
    "How many times does notice appear in the documents?": TermSearch("notice"),
    "How many times does arbitration occur in lease.pdf?": TermSearch("arbitration", within="lease.pdf"),
    "Number of times 'notice' appears": TermSearch("notice"),
    'Count "notice"': TermSearch("notice"),
    'count how often "notice" occurs': TermSearch("notice"),
    "How many occurrences of notice are there in the contracts?": TermSearch("notice"),
    'How many times do the contracts mention "arbitration"?': TermSearch("arbitration"),
    'How many times does the Orlo lease say "notice"?': TermSearch("notice", within="Orlo lease"),
    'Is "force majeure" mentioned in the lease?': TermSearch("force majeure", within="lease"),
    "Is there any mention of arbitration?": TermSearch("arbitration"),
    "Find all mentions of Acme": TermSearch("Acme", kind="find"),
    'Find every instance of "time is of the essence"': TermSearch("time is of the essence", kind="find"),
    'Search for "liquidated damages"': TermSearch("liquidated damages", kind="find"),
    "search for the word arbitration": TermSearch("arbitration", kind="find"),
    "Look for 'governing law' in the MSA": TermSearch("governing law", kind="find", within="MSA"),
    'Please find "force majeure"': TermSearch("force majeure", kind="find"),
    'Can you find "force majeure" in the contracts?': TermSearch("force majeure", kind="find"),
    "Show me every occurrence of indemnify": TermSearch("indemnify", kind="find"),
    'locate "Schedule 2"': TermSearch("Schedule 2", kind="find"),
    'Where does "notice" occur?': TermSearch("notice", kind="find"),
    "Where is arbitration mentioned?": TermSearch("arbitration", kind="find"),
    "Where does the word notice appear in the handbook?": TermSearch("notice", kind="find", within="handbook"),
    'Where can I find "Net Asset Value"?': TermSearch("Net Asset Value", kind="find"),
    "which documents contain 'liquidated damages'?": TermSearch("liquidated damages", kind="documents"),
    'Which of the contracts mention "arbitration"?': TermSearch("arbitration", kind="documents"),
    'Which files include the phrase "best efforts"?': TermSearch("best efforts", kind="documents"),
    "What documents mention Hesprin?": TermSearch("Hesprin", kind="documents"),
    "which documents use the term Affiliate?": TermSearch("Affiliate", kind="documents"),
    'Which documents don\'t contain "arbitration"?': TermSearch("arbitration", kind="without"),
    'How many documents contain "notice"?': TermSearch("notice", kind="documents"),
    'List the documents that contain "notice"': TermSearch("notice", kind="documents"),
    "Show me all contracts mentioning Delaware": TermSearch("Delaware", kind="documents"),
    'documents containing "notice"': TermSearch("notice", kind="documents"),
    'In how many documents does "notice" appear?': TermSearch("notice", kind="documents"),
    'In welchen Dokumenten steht "Kaution"?': TermSearch("Kaution", kind="documents"),
    "Welche Verträge erwähnen Müller?": TermSearch("Müller", kind="documents"),
    "Wie oft wird „Kaution“ im Mietvertrag erwähnt?": TermSearch("Kaution", within="Mietvertrag"),
    "Suche nach „höhere Gewalt“": TermSearch("höhere Gewalt", kind="find"),
    "Wo wird Müller erwähnt?": TermSearch("Müller", kind="find"),
    "Find § 7": TermSearch("§ 7", kind="find"),
    "Where is clause 9 mentioned?": TermSearch("clause 9", kind="find"),
    'count all the times "shall" is used': TermSearch("shall"),
    'How frequently does "shall" appear?': TermSearch("shall"),
    'Which pages of the Orlo lease mention "notice"?': TermSearch("notice", "find", "Orlo lease"),
    'On which page is "notice"?': TermSearch("notice", "find"),
    "Is Acme mentioned?": TermSearch("Acme"),
    'Does the lease mention "pets"?': TermSearch("pets", within="lease"),
    # identifiers
    "find invoice number INV-2024-0117": IdentifierSearch("INV-2024-0117", label="invoice number"),
    "Find IBAN DE44 5001 0517 5407 3249 31": IdentifierSearch("DE44 5001 0517 5407 3249 31", label="IBAN"),
    "Where is INV-2024-0117?": IdentifierSearch("INV-2024-0117"),
    "find jane.doe@example.com": IdentifierSearch("jane.doe@example.com"),
    "Where is case number 12 O 345/23 mentioned?": IdentifierSearch("12 O 345/23", label="case number"),
    "find clause 12.3": IdentifierSearch("12.3", label="clause"),
    "Find +49 30 123456": IdentifierSearch("+49 30 123456"),
    "Which document contains invoice INV-2024-0117?": IdentifierSearch("INV-2024-0117", label="invoice"),
    "find account number 4711-0815": IdentifierSearch("4711-0815", label="account number"),
    "Where is policy no. 77-1234-X?": IdentifierSearch("77-1234-X", label="policy no."),
    "search for claim number 2023/4711 in the letters": IdentifierSearch("2023/4711", label="claim number"),
    "Find serial number AB12-9931": IdentifierSearch("AB12-9931", label="serial number"),
    "find DE89 3704 0044 0532 0130 00": IdentifierSearch("DE89 3704 0044 0532 0130 00"),
    "Find jane@example.com in the mails": IdentifierSearch("jane@example.com"),
    "which documents contain invoice number RE-2025-0042?": IdentifierSearch("RE-2025-0042", label="invoice number"),
    "Find section 4.2(b)": IdentifierSearch("4.2(b)", label="section"),
    # documents as files
    "please list the documents": DocumentList("list"),
    "Wie viele Dateien gibt es?": DocumentList("count", noun="dateien"),
    "Zeige alle PDFs nach Größe": DocumentList("list", noun="pdfs", types=("pdf",), order="size", descending=True),
    "How many emails are there?": DocumentList("count", noun="emails", types=("mail",)),
    "how many Word documents do we have": DocumentList("count", noun="word documents", types=("word",)),
    "Count the PDFs": DocumentList("count", noun="pdfs", types=("pdf",)),
    "How many spreadsheets are in the folder?": DocumentList("count", noun="spreadsheets", types=("sheet",)),
    "list all files": DocumentList("list", noun="files"),
    "show the documents sorted by size, smallest first": DocumentList("list", order="size"),
    "list the documents alphabetically": DocumentList("list"),
    "list contracts by date": DocumentList("list", noun="contracts", order="date", descending=True),
    "show all PDFs, largest first": DocumentList("list", noun="pdfs", types=("pdf",), order="size", descending=True),
    "order the files by type": DocumentList("list", noun="files", order="type"),
    "what is the most recent document?": DocumentList("list", noun="document", order="date", descending=True, limit=1),
    "which file is the largest?": DocumentList("list", noun="file", order="size", descending=True, limit=1),
    "the 3 newest documents": DocumentList("list", order="date", descending=True, limit=3),
    "documents since 2022": DocumentList("list", since="2022"),
    "PDFs from 2023": DocumentList("list", noun="pdfs", types=("pdf",), since="2023", until="2023"),
    "which documents are from March 2024?": DocumentList("list", since="2024-03", until="2024-03"),
    "show me a list of all documents": DocumentList("list"),
    "give me a list of the documents": DocumentList("list"),
    "list the documents": DocumentList("list"),
    "How many contracts are there?": DocumentList("count", noun="contracts"),
    "How many PDFs do I have?": DocumentList("count", noun="pdfs", types=("pdf",)),
    "list the files by date": DocumentList("list", noun="files", order="date", descending=True),
    "which is the newest document?": DocumentList("list", noun="document", order="date", descending=True, limit=1),
    "What is the oldest file in the library?": DocumentList("list", noun="file", order="date", limit=1),
    "documents from 2023": DocumentList("list", since="2023", until="2023"),
    "List the documents from March 2024": DocumentList("list", since="2024-03", until="2024-03"),
    "documents between 2020 and 2022": DocumentList("list", since="2020", until="2022"),
    "Wie viele Dokumente gibt es?": DocumentList("count", noun="dokumente"),
    "Welches ist das neueste Dokument?": DocumentList("list", noun="dokument", order="date", descending=True, limit=1),
}


@pytest.mark.parametrize("question", TASKS)
def test_a_question_for_code_is_understood(question: str) -> None:
    assert parse(question) == TASKS[question]


# Real questions about documents, and what comes close to a question for code.
FOR_A_READER = [
    "How many years did the percentages of net sales from EMEA of total net sales exceed 20%?",
    "How many times was the experiment repeated?",
    "How many days of annual leave does a full-time employee with eight years of service receive?",
    "How many days is the incubation period?",
    "How many times more did the other nations have to pay for oil after the surprise attack?",
    "How often does Doctor Who travel by himself?",
    "How often do Parliament elections take place?",
    "Where is Kenya place on the scale in 2012?",
    "Where is the highest risk of  HPAI H5N1 like disease emergence?",
    "Where is the fire assembly point for Corravane Wharf?",
    "Where is Energiprojekt AB based?",
    "Where is corporal punishment no longer practiced?",
    "Where is Brazil ranked globally in soybean production?",
    "Which reporting units are analyzed by the company in their annual goodwill impairment test?",
    "Name a luxury division of Toyota.",
    "Name an extra that was added to the production of the compacts.",
    "Which directive mentioned was created in 1994?",
    "What legal proceedings or potential risks were mentioned in Amazon's Q2 2023 10-Q, and how could they affect the company?",
    'What was named "The Tesla" in his honor?',
    "Welche Schulen werden seit Ende der Apartheid als „Model C“-Schulen bezeichnet?",
    '¿Cuál es un significado adicional cuando se usa la palabra "primo"?',
    'What are the treatments for Parasites - Lice - Pubic "Crab" Lice ?',
    "What percentage does the Amazon represents in rainforests on the planet?",
    "What percentage of patients tested positive for HBoV1?",
    "what is the percentage increase in interest expanse and penalties in 2009?",
    "What is the percentage change in revenues from 2018 to 2019?",
    "what percentage did the balance increase from 2007 to 2009?",
    "what is the percentage increase in base rent for danvers , massachusetts facility from the period 2008-2010 to 2010 - 2014?",
    "What is the total number of warrants oustanding as of December 31, 2019 that were issued in August 2019?",
    "What is the average Gross Profit for 2017-2019?",
    "What is the total cost of goods sold for years ended December 31, 2018 and 2019 respectively?",
    "For the latest quarter, what was the total revenue generated from Apple's iPhone sales?",
    "What was Amazon's gross margin in the most recent 10-Q filing?",
    "Which is the largest customer of the company?",
    "Which party is currently the largest among political party lines?",
    "What is the difference between 1-90 and 91-180 days past due in low risk country?",
    "What is the difference between 181-360 and >360 due for all countries?",
    "What is the average global regional films (excluding Tamil films) from 2017-2019?",
    "What happens to the norm when a number is multiplied by p?",
    "What is the number of shares outstanding as of September 30, 2018?",
    "What is the estimate of the basic reproduction number?",
    "Completing Q with respect to what will produce the field of real numbers?",
    "Welches Messgerät wird zur Analyse der Leistung einer Dampfmaschine eingesetzt?",
    "Wo steht Kenia auf dem CPI-Maßstab?",
    "How long is a mental health file kept?",
    "How long do the confidentiality duties in the agreement with Hesprin Laboratories last?",
    "How long is the amortization period for underlying rights (including easements)?",
    "Within how many days must the Trust now pay Quillfen's invoices?",
    "The two or more parties who signed the contract",
    "The name of the contract",
    "Does this agreement say the following: Receiving Party shall not reverse engineer any objects.",
    "How many cases were reported between 3 March 2020 and 17 May 2020?",
    "When does the lease end?",
    "What is the notice period?",
    "How many contracts renew automatically?",
    "Which contracts renew automatically?",
    "which document says X",
    "Which document says that the rent may rise?",
    "Which contracts contain indemnification?",
    "Which documents mention the notice period?",
    "Which reports mention climate change?",
    "Which contracts name Acme as a party?",
    "List all contracts with Acme",
    'List all contracts that mention "arbitration" and "Delaware"',
    "List the parties to the contract",
    "How often does fever occur?",
    "How often does fever occur in children?",
    "How many times does notice appear?",
    "How many times does the king appear in the play?",
    "How many times does Beyoncé appear in the video?",
    'How many times was "The Simpsons" cited in 2019?',
    "How many times is he mentioned?",
    "Where does cancer occur?",
    "Where does COVID-19 occur?",
    'Where is "Effective Date" defined?',
    'What does "Affiliate" mean?',
    'What is "force majeure"?',
    "Find the rent",
    "Find the invoice",
    "Find COVID-19",
    "Find 2018 revenue",
    "Find the date of the agreement",
    "What is the invoice number?",
    "What does clause 12.3 say?",
    "What is the phone number of the landlord?",
    "What is the e-mail address of Jane Doe?",
    "What happened on 2024-05-31?",
    "When was the amendment of 3 March 2024 signed?",
    "How many words are there?",
    "How many words in English?",
    "How many pages may the brief have?",
    "How many pages are in section 5?",
    "How many letters did he write?",
    "How many letters are in the English alphabet?",
    "How many documents are there about leases?",
    "How many documents must the tenant deliver?",
    "How many contracts were signed in the last quarter?",
    "What is the number of contracts signed in 2023?",
    "How many employees are there?",
    "What is the longest lease?",
    "Which is the largest contract?",
    "Which is the latest report",
    "What is the oldest agreement about?",
    "What is the total of the invoices from 2024?",
    "documents",
    "contracts",
    "Which documents",
    "How many pages is the limit for briefs?",
    "How many characters are in the play?",
    "Find the phone number of the clinic",
    "Find the e-mail address of Jane Doe",
    "Show me section 12.3",
    "Where is room 101?",
    "Where is flight BA2490?",
    "Where is John Smith named as a director?",
    "Is Acme named in the suit?",
    "Is Paris named after the tribe?",
    'Does this agreement say the following: "the Term"',
    "Find contracts signed in 2023",
    "Find section 4 of the lease",
    "Which documents are in English?",
    "Which documents are confidential?",
    "What documents are required for closing?",
    "List all invoices over 5,000",
    "List all dates on which rent is due",
    "List all amounts due in 2024",
    "What amounts are owed by the tenant?",
    "Which percentages apply to late payment?",
    "How many emails did Jane send?",
    "How many leases are there in Dublin?",
    "How many invoices are unpaid?",
    "How many articles are there?",
    "Which policies are there?",
    "What contracts do we have with Acme?",
    "the latest document about leases",
    "largest document retention period",
    "How long is the lease in months?",
    "What is 10% of the rent?",
    "What is 30 days after the commencement date?",
    "Is 3 March 2024 the effective date?",
    "What is 2024 budget / 2023 budget?",
    "Search for termination",
    'documents with "Delaware" law',
    "What is a 10-K?",
    "What is section 4.2?",
    "2023-2024",
    "What is 12?",
    "1-2-3",
    "What is 5/0?",
    "(",
    "?",
    "",
    " ",
    "list all e-mail addresses",
    "How many r's are in strawberry?",
    "which weekday was 3 March 2024?",
    "12 of 20",
    "How many pages is the handbook?",
    "shortest document",
]


@pytest.mark.parametrize("question", FOR_A_READER)
def test_a_question_about_documents_is_left_to_the_model(question: str) -> None:
    assert parse(question) is None


def test_every_task_has_a_verb() -> None:
    assert {task.verb for task in TASKS.values()} == {"count", "find", "look up", "list", "sort"}


HOSTILE = [
    "how many times does " * 40,
    'find "' * 100,
    "'" * 600,
    '"' * 600,
    "list the documents from " * 25,
    "in the " * 80,
    "how many " * 60,
    "which documents mention " + "A " * 280,
    "find " + "A1-" * 190,
    "find invoice number " + "1 " * 280,
    "how many days between " + "3 March 2024 and " * 30,
    "documents from " + "2 " * 290,
    "what day " * 60,
    "How many words does " + "the lease " * 55,
    "a@" * 300,
    "\x00" * 500,
    "wie oft kommt " * 40,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_question_takes_long_to_understand(text: str) -> None:
    with cheap(10):  # a runaway pattern takes hours
        parse(text)
        parse(text + '?"')


def sample(tree: Any, chance: random.Random) -> str:
    """A text that a pattern may match, drawn from its parse tree."""
    return "".join(drawn(op, value, chance) for op, value in tree)


def drawn(op: Any, value: Any, chance: random.Random) -> str:
    if op is _constants.LITERAL:
        return chr(value)
    if op is _constants.IN and value[0][0] is not _constants.NEGATE:
        kind, one = chance.choice(value)
        return {_constants.LITERAL: chr, _constants.RANGE: lambda ends: chr(ends[0])}.get(kind, lambda _: "a")(one)
    if op in (_constants.IN, _constants.NOT_LITERAL, _constants.ANY):
        return chance.choice("zQ7")
    if op is _constants.BRANCH:
        return sample(chance.choice(value[1]), chance)
    if op is _constants.SUBPATTERN:
        return sample(value[3], chance)
    if op in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
        count = chance.randint(value[0], min(value[1], value[0] + 2))
        return "".join(sample(value[2], chance) for _ in range(count))
    return ""


@pytest.mark.parametrize(
    ("cue", "groups"),
    [
        ("_ABOUT_A_TERM", "count_in count find holding"),
        ("_ABOUT_FILES", "first_files count_files list_files list_some"),
    ],
)
def test_what_a_form_matches_has_the_cue_of_its_group(cue: str, groups: str) -> None:
    chance, seen = random.Random(1), 0
    for form in [form for group in groups.split() for form in getattr(parsing, f"_{group.upper()}")]:
        tree = _parser.parse(form.pattern, form.flags)
        for text in {" ".join(sample(tree, chance).split()) for _ in range(100)}:
            if form.match(text):
                seen += 1
                assert getattr(parsing, cue).search(text), (form.pattern[:60], text)
    assert seen > 300
