"""A page over runs of `eval answers`: what they come to side by side, the curves, and the answers that were worst.

Runs over the same library are one set. Within it every run stands beside the plain baseline of its model, where there
is one, else beside the first run, over the questions that both have. Figures are taken from the rows as they stand: the
run's own command scores them anew (`answers.rescored`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from localrag.evaluation import comparing, plots, reading, risk, totals
from localrag.evaluation.pages import Block, Case, Heading, Plot, Table, Words
from localrag.evaluation.reading import Labels
from localrag.evaluation.risk import present
from localrag.evaluation.runs import Past, Row

# The risk at which thresholds are fitted on the other sets.
RISK = 0.2
_WORST = 12
_LONGEST = 600
_QUOTES = 4
_RUNG = 0.1  # of the table that stands for a curve
_STEPS = tuple(number / 10 for number in range(11))
_MEASURES = {
    "right": "right, as far as code can tell",
    "answered_present": "answered, of those with an answer",
    "answered_with_evidence": "answered with some of the evidence",
    "answered_from_evidence": "answered with evidence before the model",
    "declined_absent": "declined, of those without (recall)",
    "declined_rightly": "without an answer, of those declined (precision)",
    "wrong_when_answered": "wrong, of those answered (risk)",
    "choice": "the right choice",
    "f1": "F1 of the words",
    "exact": "exact match",
    "numeric": "numbers given",
    "unit": "numbers with their units",
    "citation_recall": "evidence quoted (citation recall)",
    "citation_precision": "quotes on the evidence (citation precision)",
    "unsupported_sentences": "sentences without support",
    "flagged_answers": "answers flagged",
}


@dataclass(frozen=True, slots=True)
class Side:
    """A run in the report: its name within its set, its rows that were answered, and what they come to."""

    name: str
    set: str
    past: Past
    rows: tuple[Row, ...]
    totals: Mapping[str, Any]

    @property
    def baseline(self) -> str:
        return str(self.past.settings.get("baseline", ""))

    @property
    def model(self) -> str:
        return _model(self.past)


def sides(runs: Sequence[Past], seed: int = 0) -> list[Side]:
    """Name the runs of answers by their models, ways and whatever else parts those of one set.

    Runs of other measures, and rows that an older version scored otherwise, are left out.
    """
    merged = [_merged(id, runs) for id in dict.fromkeys(run.id for run in runs)]
    kept = [(run, rows) for run, rows in merged if rows]
    found = []
    for run, rows in kept:
        own = [other for other, _ in kept if _set(other) == _set(run)]
        found.append(Side(_name(run, own), _set(run), run, rows, totals.summarize(rows, seed)))
    return sorted(found, key=lambda side: (side.set, side.model, not side.baseline))


def _merged(id: str, runs: Sequence[Past]) -> tuple[Past, tuple[Row, ...]]:
    """A run that several files hold is one; of a question answered twice the later row holds."""
    own = [run for run in runs if run.id == id]
    rows = {str(row["id"]): row for run in own for row in run.rows}
    scored = tuple(row for row in rows.values() if "error" in row or "right" in row.get("figures", {}))
    answers = own[0].settings.get("measure") == "answers"
    return own[0], scored if answers else ()


def page(found: Sequence[Side], labels: Labels | None = None, *, wanted: float = RISK, seed: int = 0) -> list[Block]:
    """The whole page."""
    blocks: list[Block] = [
        Heading("Answers", 1),
        Words(
            "95 % intervals in brackets; they draw whole documents anew. Right and wrong are what code can decide, and "
            "no judgement of free text (docs/evaluation.md)."
        ),
    ]
    for name in dict.fromkeys(side.set for side in found):
        own = [side for side in found if side.set == name]
        blocks += [Heading(name), *_set_page(own, labels, seed)]
    blocks += _transfer(found, wanted)
    for name in dict.fromkeys(side.set for side in found):
        for side in _read_through([side for side in found if side.set == name]):
            blocks += _worst(side, labels)
    return blocks


# --- a set --------------------------------------------------------------------------------------------------


def _set_page(own: Sequence[Side], labels: Labels | None, seed: int) -> Iterator[Block]:
    yield Table(["", *(side.name for side in own)], list(_headline(own, labels)))
    for side in own:
        if (differences := _differences(side, own, seed)) is not None:
            yield from differences
    for side in own:
        if (choices := side.totals["choices"]) is not None:
            yield from _choices(side, choices)
    if any(side.totals["risk"]["curve"] for side in own):
        yield Heading("Risk and coverage", 3)
        yield Words(
            "Share of wrong answers among those answered, when only the surest are given. The dot is where the run "
            "ends: all beyond it was declined."
        )
        yield _curves(own)
    yield from _histograms(own)
    yield from _categories(own)


def _headline(own: Sequence[Side], labels: Labels | None) -> Iterator[list[str]]:
    yield ["questions", *(str(side.totals["questions"]) for side in own)]
    if any(side.totals["failed"] for side in own):
        yield ["failed", *(str(side.totals["failed"]) for side in own)]
    if labels is not None:
        read = [reading.tally(side.rows, labels) for side in own]
        names = ("right", "partly", "wrong", "unread")
        yield ["read by a person: right, partly, wrong (unread)", *(_read(counts, names) for counts in read)]
        agree = [reading.code_agrees(side.rows, labels) for side in own]
        yield ["agreement of code with the reader (kappa)", *(
            "" if one is None else f"{one.agreed:.2f} ({one.kappa:.2f})" for one in agree
        )]  # fmt: skip
    for name, meaning in _MEASURES.items():
        values = [side.totals["rates"].get(name) or side.totals["figures"].get(name) for side in own]
        if any(values):
            yield [meaning, *(_interval(value) for value in values)]
    yield ["quotes that stand there as shown", *(_verbatim(side) for side in own)]
    for name, meaning in (("aurc", "mean risk by confidence (AURC)"), ("separation", "absent told from present")):
        values = [side.totals["risk"][name] for side in own]
        if any(value is not None for value in values):
            yield [meaning, *("" if value is None else f"{value:.3f}" for value in values)]
    for name, meaning in (("p50", "seconds (median)"), ("p95", "seconds (95 %)")):
        times = [side.totals["seconds"][name] for side in own]
        yield [meaning, *("" if value is None else f"{value:.1f}" for value in times)]


def _read(counts: Mapping[str, int], names: Sequence[str]) -> str:
    *given, unread = (str(counts[name]) for name in names)
    return f"{', '.join(given)} ({unread})"


def _verbatim(side: Side) -> str:
    """How many quotes stand as shown, beside what that says nothing without."""
    quotes, rates = side.totals["quotes"], side.totals["rates"]
    named = (("answered_present", "answered"), ("citation_recall", "of the evidence quoted"))
    beside = [f"{rates[name]['mean']:.0%} {words}" for name, words in named if name in rates]
    return f"{quotes['verbatim']} of {quotes['shown']}" + (f" ({', '.join(beside)})" if beside else "")


def _differences(side: Side, own: Sequence[Side], seed: int) -> list[Block] | None:
    """How a run differs from the baseline of its model, question by question."""
    plain = [other for other in own if other.baseline == "plain" and other.model == side.model]
    first = (plain or list(own))[0]
    if first is side or side.baseline:
        return None
    found = comparing.compare(totals.per_question(first.rows), totals.per_question(side.rows), seed).get("answers", {})
    rows = [
        [
            name.replace("_", " "), str(one["n"]), f"{one['a']:.3f}", f"{one['b']:.3f}",
            f"{one['difference']:+.3f} [{one['low']:+.3f}, {one['high']:+.3f}]",
            "< 0.001" if one["p"] < 0.001 else f"{one['p']:.3f}", f"{one['wins']}/{one['losses']}/{one['ties']}",
        ]
        for name, one in found.items()
    ]  # fmt: skip
    heads = ["", "n", first.name, side.name, "difference", "p", "more/less/same"]
    return [Heading(f"{side.name} beside {first.name}, same questions", 3), Table(heads, rows)] if rows else None


def _choices(side: Side, choices: Mapping[str, Any]) -> Iterator[Block]:
    made = list(dict.fromkeys([*choices["table"], *(name for row in choices["table"].values() for name in row)]))
    common, above = choices["majority"], choices["above_majority"]
    yield Heading(f"Choices, {side.name}", 3)
    yield Table(
        ["right choice \\ made", *made],
        [[name, *(str(row.get(one, 0)) for one in made)] for name, row in choices["table"].items()],
    )
    yield Words(
        f"Accuracy {_interval(choices['accuracy'])}, macro F1 {choices['macro_f1']:.3f}. Always {common['choice']!r} "
        f"has {common['accuracy']:.3f}; above that: {above['mean']:+.3f} [{above['low']:+.3f}, {above['high']:+.3f}]."
    )


def _curves(own: Sequence[Side]) -> Plot:
    found = [(side.name, risk.curve(side.rows)) for side in own]
    drawn = [(name, [(point.coverage, point.risk) for point in points]) for name, points in found if points]
    rungs = [share for share in _STEPS if share >= _RUNG]
    table = [
        [name, *(_risk_at(points, share) for share in rungs), f"{points[-1].risk:.2f} at {points[-1].coverage:.0%}"]
        for name, points in found
        if points
    ]
    return Plot(
        plots.lines(drawn, across="coverage: share of questions answered", up="risk: share wrong"),
        Table(["risk at coverage", *(f"{share:.0%}" for share in rungs), "end"], table),
    )


def _risk_at(points: Sequence[risk.Point], coverage: float) -> str:
    """The risk where at least this share is answered; empty where the run declined before."""
    return next((f"{point.risk:.2f}" for point in points if point.coverage >= coverage - 1e-9), "")


def _histograms(own: Sequence[Side]) -> Iterator[Block]:
    for side in _read_through(own):
        answered = [row for row in side.rows if "error" not in row and row["found"]]
        sure = {right: [value for row in answered if (row["figures"]["right"] >= 0.5) is right
                        and (value := risk.confidence(row)) is not None] for right in (True, False)}  # fmt: skip
        if any(sure.values()):
            yield Heading(f"Sureness, {side.name}", 3)
            yield _histogram({"right": sure[True], "wrong": sure[False]}, _STEPS, "confidence")
        f1 = [row["figures"]["f1"] for row in answered if "f1" in row["figures"]]
        if f1:
            yield Heading(f"F1 of the answers given, {side.name}", 3)
            yield _histogram({"answers": f1}, _STEPS, "F1")


def _histogram(series: Mapping[str, Sequence[float]], edges: Sequence[float], across: str) -> Plot:
    spans = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    rows = [[name, *map(str, plots.bins(values, edges))] for name, values in series.items()]
    return Plot(plots.histogram(list(series.items()), edges, across=across), Table([across, *spans], rows))


def _categories(own: Sequence[Side]) -> Iterator[Block]:
    names = sorted({name for side in own for name in side.totals["categories"]})
    if len(names) < 2:
        return
    yield Heading("By category: right, of n", 3)
    yield Table(
        ["", *(side.name for side in own)],
        [[name, *(_category(side.totals["categories"].get(name)) for side in own)] for name in names],
    )


def _category(totals: Mapping[str, Any] | None) -> str:
    return "" if totals is None else f"{_interval(totals['figures'].get('right'))} of {totals['questions']}"


# --- thresholds ---------------------------------------------------------------------------------------------


def _transfer(found: Sequence[Side], wanted: float) -> list[Block]:
    """A threshold fitted on the other sets, measured on each: what a default threshold would do on a new one."""
    rows = []
    for name in dict.fromkeys(side.name for side in found):
        own = [side for side in found if side.name == name]
        for side in own if len(own) > 1 else ():
            others = [row for other in own if other is not side for row in other.rows]
            least = risk.threshold(risk.curve(others), wanted)
            if least is not None:
                here = risk.at(side.rows, least)
                rows.append([side.set, name, f"{least:.3f}", f"{here.coverage:.3f}", f"{here.risk:.3f}"])
    if not rows:
        return []
    return [
        Heading(f"Threshold for a risk of {wanted:g}, fitted on the other sets"),
        Table(["scored on", "", "threshold", "coverage there", "risk there"], rows),
    ]


# --- answers to be read -------------------------------------------------------------------------------------


def _read_through(own: Sequence[Side]) -> list[Side]:
    """The runs whose answers are worth reading: those that are no baseline, if there are any."""
    return [side for side in own if not side.baseline] or list(own)


def _worst(side: Side, labels: Labels | None) -> list[Block]:
    """What was answered wrongly, the surest first, then what was declined in spite of an answer."""
    done = [row for row in side.rows if "error" not in row and not _is_right(row, labels)]
    order = sorted(done, key=lambda row: (not row["found"], -(risk.confidence(row) or 0.0)))
    if not order:
        return []
    cases = [Case(f"{row['id']}: {row['question']}", list(_parts(row, labels))) for row in order[:_WORST]]
    said = f"{len(order)} of {len(side.rows)} are not right; the surest ones first, at most {_WORST}."
    return [Heading(f"Worst answers, {side.set}, {side.name}"), Words(said), *cases]


def _is_right(row: Row, labels: Labels | None) -> bool:
    """As the person who read it says, else as code does."""
    label = labels.of(row) if labels is not None else None
    return label == "right" if label is not None else row["figures"]["right"] >= 0.5


def _parts(row: Row, labels: Labels | None) -> Iterator[tuple[str, str]]:
    yield "known", _short(row["known"]) if present(row) else f"(none) {_short(row['known'])}".strip()
    if row.get("evidence"):
        yield "evidence", _short(row["evidence"])
    yield "answered" if row["found"] else "declined", _short(row["answer"])
    for citation in row["citations"][:_QUOTES]:
        at = citation["document"] + (f", p. {citation['page']}" if citation["page"] is not None else "")
        yield f"quote of {at}", _short(citation["quote"])
    for working in row.get("workings", ()):
        yield "calculated", _short(working)
    if row.get("flags"):
        yield "flagged", _short("; ".join(f"{flag['text']} ({flag['reason']})" for flag in row["flags"]))
    label = labels.of(row) if labels is not None else None
    sure = risk.confidence(row)
    figures = ", ".join(f"{name} {value:g}" for name, value in row["figures"].items() if name in _MEASURES)
    known = [f"read as {label}" if label else "", "" if sure is None else f"confidence {sure:.2f}", figures]
    yield "figures", ", ".join(part for part in known if part)


def _short(text: str) -> str:
    words = " ".join(str(text).split())
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST].rstrip()} …"


# --- names --------------------------------------------------------------------------------------------------


def _set(run: Past) -> str:
    """The library's name without the digest that tells libraries of different settings apart."""
    return re.sub(r"-[0-9a-f]{8}$", "", str(run.settings.get("library", "")))


def _model(run: Past) -> str:
    return next((str(row["model"]) for row in run.rows if row.get("model")), "no model")


def _name(run: Past, own: Sequence[Past]) -> str:
    """The model, the way, and the settings that part it from runs of the same model and way."""
    way = str(run.settings.get("baseline") or run.settings.get("mode") or "")
    name = f"{_model(run)}, {way}"
    alike = [other for other in own if (_model(other), _way(other)) == (_model(run), way)]
    parting = [
        f"{key}={run.settings.get(key)}"
        for key in sorted({key for other in alike for key in other.settings})
        if key != "model" and len({repr(other.settings.get(key)) for other in alike}) > 1
    ]
    return ", ".join([name, *parting])


def _way(run: Past) -> str:
    return str(run.settings.get("baseline") or run.settings.get("mode") or "")


def _interval(figure: Mapping[str, float] | None) -> str:
    return "" if figure is None else f"{figure['mean']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"
