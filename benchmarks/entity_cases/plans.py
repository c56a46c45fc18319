"""Cases from benefit plans: what another plan pays or covers."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence

from entity_cases.cases import Case, Texts, dice_of

from localrag.grounding.citations import terms

_AMOUNT = re.compile(r"\$\d[\d,]*|\b(?!100%)\d+(?:\.\d+)?%|\b(?!24 h|7 d)\d+ (?:days?|visits|months|hours|weeks)\b")


def plan_of(document: str) -> str:
    match = re.fullmatch(r"(.+?)_Benefits_Details\.pdf", document)
    return match[1].replace("_", " ") if match else ""


def cases(texts: Texts, per_document: int) -> Iterator[Case]:
    """Yield cases from sentences with an amount, and from documents that compare the plans."""
    plans = {document: name for document in texts.pages if (name := plan_of(document))}
    said = {document: [(_terms(text), text) for _, text in texts.headed[document]] for document in plans}
    for document, plan in sorted(plans.items()):
        for other, theirs in plans.items():
            if other == document:
                continue
            told = texts.headed[document]
            found = [
                (heading, text)
                for (_, before), (heading, text) in zip([("", ""), *told], told, strict=False)
                if _is_of_one(theirs, text)
                and "example" not in before
                and not _is_of_other(text, plan, theirs, said[other])
            ]
            dice = dice_of(document)
            dice.shuffle(found)
            for heading, text in found[:per_document]:
                yield from _plan_cases(texts, document, (plan, theirs), heading, text, dice)
    for document in texts.pages:
        if document not in plans:
            yield from _overview_cases(texts, document, sorted(plans.values()))


def _is_of_one(theirs: str, text: str) -> bool:
    plain = text.endswith(".") and 8 <= len(text.split()) <= 40 and not re.search("example|[•?]|[Tt]ip", text)
    return plain and theirs not in text and bool(_AMOUNT.search(text))


def _is_of_other(text: str, plan: str, theirs: str, said: Sequence[tuple[frozenset[str], str]]) -> bool:
    """Whether the other plan's document says much the same with one of the amounts."""
    own, amounts = _terms(text) - terms(f"{plan} {theirs} plan"), set(_AMOUNT.findall(text))
    return any(
        len(own & found) >= 0.2 * len(own) and amounts & set(_AMOUNT.findall(sentence)) for found, sentence in said
    )


def _terms(text: str) -> frozenset[str]:
    return terms(re.sub(r"\b[Cc]o-?(?:pay(?:ment)?s?|insurance)", "coinsurance", text))


def _overview_cases(texts: Texts, document: str, plans: Sequence[str]) -> Iterator[Case]:
    """Yield cases from a document on several plans: sentences on one of them, and comparisons, with names exchanged."""
    told, question = texts.headed[document], "Which of the two health plans offers more?"
    names = dict(zip(plans, reversed(plans), strict=True))
    for _, text in told:
        inside = [plan for plan in plans if text.count(plan) == 1]
        own = terms(text) - terms(" ".join(plans))
        plain = text.endswith(".") and 8 <= len(text.split()) <= 40 and not re.search(r"\bboth\b", text, re.I)
        if not plain or not inside or len(inside) != sum(plan in text for plan in plans):
            continue
        exchanged = re.sub("|".join(plans), lambda match: names[match[0]], text)
        if len(inside) == 1:
            alike = (terms(one) for _, one in told if names[inside[0]] in one or re.search("both|plans", one, re.I))
            wrong = not any(len(own & one) >= 0.7 * len(own) for one in alike)
        else:
            wrong = " than " in text
        if wrong:
            form, needs = "comparison" if len(inside) == 2 else "of several plans", ((document, text[:80]),)
            yield Case(texts.name, "plan", form, True, document, question, text, needs)
            yield Case(texts.name, "plan", form, False, document, question, exchanged, needs)


def _plan_cases(
    texts: Texts, document: str, plans: tuple[str, str], heading: str, text: str, dice: random.Random
) -> Iterator[Case]:
    plan, other = plans
    topic = re.sub(r"[^\w\s]+$", "", heading).lower()
    ask = f"What does {{}} say about {topic}?" if 0 < len(topic.split()) <= 7 else "What does {} offer?"
    apart = text if plan in text else f"Under {plan}, {text[0].lower()}{text[1:]}"
    bare_text = text if plan not in text else text.replace(f"the {plan} plan", plan).replace(plan, "the plan")
    bare_text = bare_text[0].upper() + bare_text[1:]

    def case(form: str, right: bool, question: str, answer: str) -> Case:
        return Case(texts.name, "plan", form, right, document, question, answer, ((document, text[:80]),))

    rights = {"full sentence": (ask.format(plan), apart), "the plan": (ask.format(plan), bare_text)}
    wrongs = {
        "question": (ask.format(other), bare_text),
        "answer": (ask.format(plan), apart.replace(plan, other)),
        "both": (ask.format(other), apart.replace(plan, other)),
    }
    if re.search("[$%]", text):
        rights["no plan asked for"] = (f"How much is it for {topic}?" if topic else ask.format(plan), apart)
    for form in dice.sample(sorted(rights), 2):
        yield case(form, True, *rights[form])
    for form in dice.sample(sorted(wrongs), 2):
        yield case(form, False, *wrongs[form])
