"""Cases from contracts: a duty of the other party, a clause of another contract."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from entity_cases.cases import MUTUAL, Case, Texts, dice_of, squeezed

from localrag.grounding.citations import terms

# Roles that come in pairs; a contract may have others, which it defines.
ROLES = (
    ("Receiving Party", "Disclosing Party"),
    ("Recipient", "Discloser"),
    ("Landlord", "Tenant"),
    ("Licensor", "Licensee"),
    ("Franchisor", "Franchisee"),
    ("Seller", "Buyer"),
    ("Supplier", "Customer"),
    ("Lessor", "Lessee"),
    ("Recipient", "Owner"),
    ("Company", "Consultant"),
    ("Company", "Contractor"),
)
_NO_ROLE = re.compile(
    r".*\b(?:agreements?|information|date|part(?:y|ies)|term|territory|products?|services?|schedule|fees?|notice|"
    r"content|software|program|affiliates?|representatives?|act|marks?|period|law|intellectual.*|we|us|our|you|your|it)",
    re.I,
)
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_MODAL = r"(?P<modal>(?:shall|will|may|must)(?: not)?|agrees to|is required to)"
_SUFFIX = re.compile(r",? (?:Inc|Ltd|LLC|L\.L\.C|L\.P|LP|Co|Corp|Corporation|PLC|AG|Limited|Company)\b\.?.*$", re.I)


@dataclass(frozen=True, slots=True)
class Duty:
    """What a contract says that one of its parties must or may do; `sentence` is where, `other` another party."""

    document: str
    role: str
    other: str
    modal: str
    rest: str
    heading: str
    sentence: str

    @property
    def asks(self) -> str:
        """The modal verb of a question about it."""
        return {"may": "may", "will": "will"}.get(self.modal.split()[0], "must")

    @property
    def never(self) -> str:
        return " not" if self.modal.endswith(" not") else ""

    @property
    def exchanged(self) -> str:
        """What is done, with the two parties exchanged."""
        either = re.compile(f"{written(self.role)}|{written(self.other)}")
        own = self.role.lower()
        return either.sub(lambda match: self.other if match[0].lower() == own else self.role, self.rest)

    def said(self, who: str, rest: str) -> str:
        return first_capital(f"{who} {self.modal} {rest}.")


def first_capital(text: str) -> str:
    return text if text[1:2].isupper() else text[0].upper() + text[1:]  # "iPass" stays


def written(role: str) -> str:
    """Return a pattern of a defined term, which a contract may write in capitals, but not in small letters."""
    return rf"\b(?:{re.escape(role)}|{re.escape(role.upper())})\b"


def named(role: str) -> str:
    """Return a role with its article; a name has none: "the Licensee", "Aura"."""
    common = re.search(
        r"(?:or|ee|er|ant|lord|party|ent|pany|trust|fund|partner|buyer|affiliate|adviser|reseller)$", role, re.I
    )
    return f"the {role}" if (common and role[1:] == role[1:].lower().replace(" p", " P")) or " " in role else role


def parties_of(texts: Texts) -> dict[str, dict[str, str]]:
    """Return the defined terms of each document's parties with their names, which may be empty."""
    found: dict[str, dict[str, str]] = {document: {} for document in texts.pages}
    for question, documents in texts.asked:
        if question.category == "Parties":
            terms_with_names = _named_terms(question.answer)
            for document in documents:
                found[document].update(terms_with_names)
    for document, own in found.items():
        text = texts.text(document)
        if texts.name == "examples":  # in other texts, what is defined need not be a party
            defined = re.findall(r"\([^()]{0,60}?[\"“]([A-Z][A-Za-z]+),?[\"”][^()]{0,40}\)", text[:6000])
            own.update(dict.fromkeys(defined, ""))
        for role in [role for role in own if _NO_ROLE.fullmatch(role)]:
            del own[role]
        for pair in ROLES:
            if all(len(re.findall(written(role), text)) >= 3 for role in pair):
                own.update({role: own.get(role, "") for role in pair})
        longer = [role for role in own if any(one != role and one.startswith(role) for one in own)]
        for role in {*longer, *[role for role in own if len(re.findall(written(role), text)) < 4]}:
            del own[role]
    return found


def _named_terms(parties: str) -> dict[str, str]:
    """Return the defined terms of a list of parties: 'About.com, Inc. ("About"); ebix.com, Inc. ("ebix")'."""
    quoted = r"([^;()\"“”]{3,80}?),?\s*\([\"“]([A-Za-z][\w.& -]{1,28}?)[\"”]\)"
    plain = r"([^;()\"“”]{3,80}?),?\s*\(([A-Za-z][\w.& -]{1,28}?)\)"
    names = {
        term: squeezed(name).strip(" ,") for name, term in re.findall(quoted, parties) or re.findall(plain, parties)
    }
    # "Each Party receiving services ("Recipient")" may be either; of "... (Shanghai) Co Ltd" only the end was taken.
    known = {term: name for term, name in names.items() if not re.match("(?:each|any|either) ", name, re.I)}
    return {term: "" if re.match(r"(?:Co|Ltd|Inc)\b", name) else name for term, name in known.items()}


def _rivals(role: str, roles: dict[str, str]) -> list[str]:
    """Return the parties that a role cannot be at once: its counterpart, or the others with a name if it has one."""
    for pair in ROLES:
        if role in pair and all(one in roles for one in pair):
            return [one for one in pair if one != role]
    paired = {one for pair in ROLES if all(each in roles for each in pair) for one in pair}
    return [one for one in roles if one not in {role, *paired} and bool(roles[one]) == bool(roles[role])]


def duties_of(texts: Texts, document: str, roles: dict[str, str]) -> Iterator[Duty]:
    """Yield what only one of the parties must or may do, as far as words show."""
    number, end = r"(?:\(?[\dA-Za-z.]{1,6}[.)] )?(?:\d[\d.]* )?", r"(?:[;:]|, provided|\.$)"
    for heading, sentence in texts.headed[document]:
        for role in roles:
            match = re.match(rf"{number}(?:[Tt]he |THE )?{written(role)} {_MODAL} (?P<rest>.+?){end}", sentence)
            together = MUTUAL.search(sentence) or re.search(r"\b(?:share|jointly|together)\b", sentence)
            if not match or together or re.search(r"[\[\]_*|]|--", sentence):
                continue
            rest = match["rest"]
            others = _rivals(role, roles)
            inside = [one for one in others if re.search(written(one), rest)]
            if others and len(inside) <= 1 and 6 <= len(rest.split()) <= 40 and len(terms(rest)) >= 5:
                duty = Duty(document, role, (inside or others)[0], match["modal"], rest, heading, sentence)
                if not _also_said(texts, duty):
                    yield duty


def _also_said(texts: Texts, duty: Duty) -> bool:
    """Whether a sentence says much the same of the other party, or of both."""
    wanted = terms(duty.rest) - terms(f"{duty.role} {duty.other}")
    of_other = re.compile(rf"{written(duty.other)}[^.;]{{0,60}}?\b(?:shall|will|may|must|agrees?|is|has|hereby)\b")
    return any(
        (of_other.search(sentence) or MUTUAL.search(sentence))
        and sentence != duty.sentence
        and len(wanted & terms(sentence)) >= 0.5 * len(wanted)
        for _, sentence in texts.headed[duty.document]
    )


def contracts_of(texts: Texts) -> dict[str, str]:
    """Return how people would call each contract ("the Adams Golf endorsement agreement"), if that is only one."""
    titles = {doc: one.answer for one, docs in texts.asked if one.category == "Document Name" for doc in docs}
    called: dict[str, str] = {}
    for document, parties in parties_of(texts).items():
        name = next((name for name in parties.values() if name), "")
        short = _SUFFIX.sub("", re.sub("^The ", "", name)).strip(" ,")
        title = re.sub(r"\W*\b(?:by and|between|among|exhibit).*$", "", squeezed(titles.get(document, "")), flags=re.I)
        if short and "amendment" not in title.lower() and 1 <= len(title.split()) <= 5:
            called[document] = f"the {short.title() if short.isupper() else short} {title.lower()}"
    many = Counter(called.values())
    return {document: name for document, name in called.items() if many[name] == 1}


def cases(texts: Texts, per_document: int) -> Iterator[Case]:
    """Yield cases from the duties of each contract's parties, from its clauses, and from statements about it."""
    called, parties = contracts_of(texts), parties_of(texts)
    for document in sorted(texts.pages):
        dice, duties = dice_of(document), list(duties_of(texts, document, parties[document]))
        dice.shuffle(duties)
        for duty in duties[:per_document]:
            yield from _duty_cases(texts, duty, parties[document], called.get(document, ""), dice)
    yield from document_cases(texts, called)
    yield from statement_cases(texts, 150)


def _duty_cases(texts: Texts, duty: Duty, names: dict[str, str], called: str, dice: random.Random) -> Iterator[Case]:
    head, asks = f"in {called}, " if called else "", duty.asks
    role, other = named(duty.role), named(duty.other)
    who = first_capital(f"{head}who {asks}{duty.never} {duty.rest}?")
    whether = first_capital(f"{head}{asks} {role}{duty.never} {duty.rest}?")
    whether_other = first_capital(f"{head}{asks} {other}{duty.never} {duty.exchanged}?")
    true, false = duty.said(role, duty.rest), duty.said(other, duty.exchanged)
    rights = {
        "short": (who, first_capital(f"{role}.")),
        "full sentence": (who, true),
        "yes": (whether, "Yes."),
        "yes and a sentence": (whether, f"Yes, {role}{true[len(role) :]}"),
    }
    wrongs = {
        "answer": (who, first_capital(f"{other}.")),
        "full answer": (who, false),
        "question": (whether_other, dice.choice(["Yes.", f"Yes, {other}{false[len(other) :]}"][bool(duty.never) :])),
    }
    if duty.never:
        del rights["yes"]  # to "must it not?" a bare "yes" may mean either
    topic = re.sub(r"^(?:article|section)?\s*[\d.IVX()]+[.)]?\s*|[^\w\s]+$", "", duty.heading, flags=re.I).strip()
    if 0 < len(topic.split()) <= 5:
        of, of_other = (
            first_capital(f"{head}what does it say about {one} and {topic.lower()}?") for one in (role, other)
        )
        rights |= {"of a topic": (of, true), "pronoun": (of, duty.said("it", duty.rest))}
        wrongs |= {"of a topic": (of, false), "of the other and a topic": (of_other, false)}

    def case(kind: str, form: str, right: bool, question: str, answer: str) -> Case:
        needs = ((duty.document, duty.sentence[:120]),)
        return Case(texts.name, kind, form, right, duty.document, question, answer, needs, only=not called)

    for form in dice.sample(sorted(rights), 2):
        yield case("role", form, True, *rights[form])
    for form in dice.sample(sorted(wrongs), 2):
        yield case("role", form, False, *wrongs[form])
    own, theirs = names.get(duty.role, ""), names.get(duty.other, "")
    if own and theirs and own != theirs:
        yield case("party", "name for the role", True, who, duty.said(own, duty.rest))
        yield case("party", "answer", False, who, duty.said(theirs, duty.exchanged))
        by_name = first_capital(f"{head}{asks} {own}{duty.never} {duty.rest}?")
        yield case("party", "role for the name", True, by_name, f"Yes, {role}{true[len(role) :]}")
        by_other_name = first_capital(f"{head}{asks} {theirs}{duty.never} {duty.exchanged}?")
        yield case("party", "question", False, by_other_name, f"Yes, {other}{false[len(other) :]}")


# --- contracts: document --------------------------------------------------------------------------------------

# Clauses with one value: how it is asked for, and said of a contract.
CLAUSES = {
    "Governing Law": ("Which law governs {}?", "{} law.", "{} is governed by the laws of {}."),
    "Agreement Date": ("What is the date of {}?", "{}.", "{} is dated {}."),
    "Effective Date": ("When does {} take effect?", "{}.", "{} takes effect on {}."),
    "Notice Period To Terminate Renewal": (
        "How much notice is needed to end the renewal of {}?",
        "{}.",
        "{} needs a notice of {} to end its renewal.",
    ),
    "Warranty Duration": ("How long is the warranty under {}?", "{}.", "{} has a warranty of {}."),
}


def document_cases(texts: Texts, called: dict[str, str]) -> Iterator[Case]:
    """Yield cases from clauses with one value, which another contract has otherwise."""
    for category in CLAUSES:
        facts: dict[str, tuple[str, str]] = {}
        for question, documents in texts.asked:
            if question.category == category and question.answerable and documents[0] in called:
                evidence = squeezed(question.evidence.split("[...]")[0])
                if value := _value_of(category, question.answer, evidence):
                    facts[documents[0]] = (value, evidence[:120])
        for document, (value, _) in sorted(facts.items()):
            # A place is named in many contracts, a date or a length of time only where it is meant.
            others = [
                one
                for one, (another, _) in facts.items()
                if another != value
                and (
                    category == "Governing Law"
                    or not (value in squeezed(texts.text(one)) or another in squeezed(texts.text(document)))
                )
            ]
            if others:
                other = dice_of(document).choice(others)
                pair = {one: (called[one], *facts[one]) for one in (document, other)}
                yield from _clause_cases(texts, CLAUSES[category], pair)


def _value_of(category: str, answer: str, evidence: str) -> str:
    if category.endswith("Date"):
        found = re.findall(rf"(?:{_MONTHS}) \d{{1,2}}, (?:19|20)\d\d", evidence)
        return found[0] if len(set(found)) == 1 else ""
    return answer if re.search(rf"\b{re.escape(answer.split()[0])}\b", evidence) and len(answer.split()) <= 3 else ""


def _clause_cases(texts: Texts, forms: tuple[str, str, str], pair: dict[str, tuple[str, str, str]]) -> Iterator[Case]:
    """Yield cases from a clause of two contracts: what each is called, its value and the evidence for it."""
    (document, (name, value, evidence)), (other, (theirs, wrong, their_evidence)) = pair.items()
    ask, theirs_ask, short = forms[0].format(name), forms[0].format(theirs), forms[1]
    own, others = (document, evidence), (other, their_evidence)

    def case(form: str, right: bool, question: str, answer: str, *needs: tuple[str, str]) -> Case:
        return Case(texts.name, "document", form, right, document, question, answer, needs)

    def said(who: str, what: str) -> str:
        return first_capital(forms[2].format(who, what))

    yield case("short", True, ask, short.format(value), own)
    yield case("full sentence", True, ask, said(name, value), own)
    yield case("this agreement", True, ask, said("this agreement", value), own)
    yield case("question", False, theirs_ask, short.format(value), own)
    yield case("answer", False, ask, said(theirs, value), own)
    yield case("figure", False, ask, said(name, wrong), others)
    yield case("short figure", False, ask, short.format(wrong), others)
    both = f"{ask[:-1]}, and {theirs_ask[0].lower()}{theirs_ask[1:]}"
    for right, first, second in ((True, value, wrong), (False, wrong, value)):
        answer = f"{said(name, first)} {said(theirs, second)}"
        yield replace(case("comparison", right, both, answer, own, others), searches=(ask, theirs_ask))


# --- statements -----------------------------------------------------------------------------------------------

_RECEIVING = re.compile(r"\b(Receiving|Disclosing) Party\b")


def statement_cases(texts: Texts, limit: int) -> Iterator[Case]:
    """Yield statements about the parties of a confidentiality agreement, in other words than its own, and exchanged."""
    asked = [(one, documents) for one, documents in texts.asked if one.label == "Entailment"]
    dice = dice_of(texts.name)
    for one, documents in dice.sample(asked, min(limit, len(asked))):
        names, document = _RECEIVING.findall(one.question), documents[0]
        if "Receiving" not in names or MUTUAL.search(one.evidence):
            continue
        statement = one.question.partition(": ")[2]
        pieces = [squeezed(piece) for piece in one.evidence.split("[...]")]
        needs = ((document, max(pieces, key=len)[:100]),)
        exchanged = _RECEIVING.sub(
            lambda match: f"{'Disclosing' if match[1] == 'Receiving' else 'Receiving'} Party", statement
        )
        # Only duties: that the other party "may" do it too need not be wrong, though nothing says it.
        duty = statement.startswith("Receiving Party shall") and "the fact that" not in statement
        for right, text in ((True, statement), *([(False, exchanged)] if duty else [])):
            form = dice.choice(["yes", "yes and a sentence"])
            answer = "Yes." if form == "yes" else f"Yes, the {text}"
            question = one.question.replace(statement, text)
            yield Case(texts.name, "role", f"statement, {form}", right, document, question, answer, needs, True)
