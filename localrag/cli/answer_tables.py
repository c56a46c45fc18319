"""The tables that `localrag eval answers` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from localrag.cli.eval_tables import interval, mean, seconds, table

_FIGURES = {
    "right": "right, as far as code can tell",
    "exact": "the known answer, word for word",
    "f1": "words shared with the known answer",
    "numeric": "all numbers of the known answer given",
    "unit": "all of them with their units",
    "choice": "the right choice made",
    "cited": "has a citation",
    "cited_document": "cites the right document",
    "cited_page": "cites the right page",
    "evidence": "words of the evidence quoted",
    "evidence_given": "words of the evidence quoted or said",
    "evidence_shown": "words of the evidence in what the model was shown",
    "evidence_touched": "quotes some of the evidence",
}
_RATES = {
    "answered_present": "of questions with an answer: answered",
    "answered_with_evidence": "of these, with some of the evidence in answer or quotes",
    "answered_from_evidence": "of these, with some of the evidence before the model",
    "declined_absent": "of questions without one: declined (recall)",
    "declined_rightly": "of questions declined: without an answer (precision)",
    "wrong_when_answered": "of questions answered: wrong (risk)",
    "citation_recall": "of the evidence's words: quoted",
    "citation_precision": "of the quotes: touch the evidence",
    "unsupported_sentences": "of the sentences written: without support",
    "flagged_answers": "of the answers: say something that their quotes do not",
}


def print_answers(report: Mapping[str, Any]) -> None:
    counts = report["abstention"]
    failed = f", {report['failed']} failed" if report["failed"] else ""
    click.echo(f"{report['questions']} questions{failed}, 95 % intervals in brackets\n")
    table(
        ["", "answered", "declined"],
        [
            ["has an answer", str(counts["answered_present"]), str(counts["declined_present"])],
            ["has none", str(counts["answered_absent"]), str(counts["declined_absent"])],
        ],
    )
    for named, meanings in ((report["rates"], _RATES), (report["figures"], _FIGURES)):
        click.echo()
        table(
            ["", "n", "", ""],
            [
                [name, str(one["n"]), interval(one), meanings[name]]
                for name, one in named.items()
                if name in meanings
            ],
        )  # fmt: skip
    if report["choices"] is not None:
        _print_choices(report["choices"])
    if len(report["categories"]) > 1:
        _print_categories(report["categories"])
    _print_rest(report)


def _print_choices(choices: Mapping[str, Any]) -> None:
    made = list(dict.fromkeys([*choices["table"], *(name for row in choices["table"].values() for name in row)]))
    click.echo("\nright choice, and by column the one made\n")
    table(["", *made], [[name, *(str(row.get(one, 0)) for one in made)] for name, row in choices["table"].items()])
    common, above = choices["majority"], choices["above_majority"]
    click.echo(
        f"\naccuracy {interval(choices['accuracy'])}, macro F1 {choices['macro_f1']:.3f}; always {common['choice']!r} "
        f"has {common['accuracy']:.3f}, so {above['mean']:+.3f} [{above['low']:+.3f}, {above['high']:+.3f}]"
    )


def _print_categories(categories: Mapping[str, Any]) -> None:
    click.echo("\nby category\n")
    table(
        ["", "n", "right", "f1", "answered", "declined", "answered, has none", "declined, has none"],
        [
            [
                name, str(own["questions"]), mean(own["figures"].get("right")), mean(own["figures"].get("f1")),
                *map(str, own["abstention"].values()),
            ]
            for name, own in categories.items()
        ],
    )  # fmt: skip


def _print_rest(report: Mapping[str, Any]) -> None:
    quotes, rates, times, risk = report["quotes"], report["rates"], report["seconds"], report["risk"]
    # Who quotes nothing misquotes nothing: the figure says something beside these only.
    beside = [
        f"{rates[name]['mean']:.0%} {words}"
        for name, words in (
            ("answered_present", "of the questions with an answer were answered"),
            ("citation_recall", "of the evidence's words quoted"),
        )
        if name in rates
    ]
    click.echo(
        f"\nquotes: {quotes['verbatim']} of {quotes['shown']} stand in the document as shown, {quotes['dropped']} "
        f"left out as not found" + (f" ({', '.join(beside)})" if beside else "")
    )
    flags = ", ".join(f"{count} {kind}" for kind, count in sorted(report["flags"].items()))
    click.echo(
        f"checks: {quotes['unsupported_sentences']} sentences without support, flags: {flags or 'none'}; "
        f"{report['workings']} answers with a calculation"
    )
    if (end := risk["operating_point"]) is not None:
        apart = "" if risk["separation"] is None else f", tells absent from present {risk['separation']:.3f} (0.5: not)"
        click.echo(
            f"risk and coverage: answers {end['coverage']:.3f} of the questions, {end['risk']:.3f} of these wrong; "
            f"mean risk by confidence {risk['aurc']:.3f}{apart}"
        )
    click.echo(f"an answer: {seconds(times['p50'])} (median), {seconds(times['p95'])} (p95)")
