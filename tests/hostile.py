"""Text that nobody writes but that files hold: every script, half characters, and runs that hang a careless pattern."""

import random

_PIECES = (
    *"the Lease FY2018 10-K 1,234.50 12.3(b) ChangeOfControl it’s l'avocat straße İ ﬁ 合同 租 한국 カタカナ 𝔘 🦩".split(),
    *"שָׁלוֹם العقد हिन्दी ไทย e\u0301 \u0301 ½ ² ٣ Ⅷ \x00 \ud800 \udfff \u202e \ufeff".split(" "),
    *"_ - – . , ' ’ \" “ ” „ « » ( ) | ? : % \\".split(),
    *("| ", " | ", "| --- |", "\n", "\n\n", "\t", " ", " ", "\xa0", "\u3000"),
    *("x" * 300, "7" * 300, "a-" * 40, "1," * 40),
)


def texts(seed, count):
    dice = random.Random(seed)
    for _ in range(count):
        yield "".join(dice.choice(_PIECES) for _ in range(dice.randrange(1, 40)))


_MANY = 200_000
# Each would take minutes in a pattern that tries every end for every beginning.
LONG = {
    "hyphens": "a-" * (_MANY // 2),
    "thousands": "1" + ",111" * (_MANY // 4) + ",",
    "apostrophes": "1" + "'111" * (_MANY // 4) + "'",
    "brackets": "(" * _MANY,
    "one word": "A" * _MANY,
    "bars": "| " * (_MANY // 2),
    "humps": "aA" * (_MANY // 2) + "_",
    "a figure and a word": "1" + "a" * _MANY + "_",
    "a word and a figure": "a" * (_MANY // 2) + "1" * (_MANY // 2) + "_",
    "clauses": "1." * (_MANY // 2),
    "clauses of letters": "1" + "(a)" * (_MANY // 3) + "(",
    "quotes": '"' * (_MANY + 1),
    "opened “": "“a " * (_MANY // 3),
    "opened «": "«" * _MANY,
    "opened „": "„" * _MANY,
    "marks": "a" + "\u0301" * _MANY,
    "spaces": " " * _MANY,
    "lines": "\n" * _MANY,
    "figures": "1" * _MANY,
}
