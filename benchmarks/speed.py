"""How far the estimate of a look-up's seconds is off: each installed generator from the measurement of each other.

    LOCALRAG_HOME=... python benchmarks/speed.py [THREADS]

Every model is measured anew. "by weights" leaves out what the catalog says of the cost of small models.
"""

import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from localrag.llm import measuring
from localrag.models import ModelStore, catalog, speed
from localrag.settings import load_settings


def main() -> None:
    here = load_settings()
    models = ModelStore(here).installed("generator")
    with TemporaryDirectory() as home:
        settings = replace(here, home=Path(home), threads=int(sys.argv[1]) if len(sys.argv) > 1 else here.threads)
        found = {model.id: one for model in models if (one := measuring.measure(model, settings)) is not None}
        print("| model | a token read | written | first look-up | again | other work |\n|---|---|---|---|---|---|")
        for model in models:
            took, one = speed.look_up(model, settings), found[model.id]
            print(f"| {model.id} | {one.read * 1000:.2f} ms | {one.write * 1000:.1f} ms ", end="")
            print(f"| {took.first:.1f} s | {took.again:.1f} s | {'yes' if one.busy else 'no'} |")
        truth = {model.id: speed.look_up(model, settings).first for model in models}
        print("\n| estimate of | from | first look-up | is | ratio | by weights |\n|---|---|---|---|---|---|")
        cards = catalog.CATALOG
        for model in models:
            for other in (one for one in models if one is not model):
                settings.speed_file.unlink()
                speed.save(found[other.id], settings)
                guessed = speed.look_up(model, settings).first
                catalog.CATALOG = tuple(replace(card, cost=(1.0, 1.0)) for card in cards)
                plain = speed.look_up(model, settings).first
                catalog.CATALOG = cards
                is_ = truth[model.id]
                print(f"| {model.id} | {other.id} | {guessed:.1f} s | {is_:.1f} s ", end="")
                print(f"| {guessed / is_:.2f} | {plain / is_:.2f} |")


if __name__ == "__main__":
    main()
