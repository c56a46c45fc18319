"""How questions ask for calculations: patterns over their words, one for each kind (pure).

Of English what people write, of German, French and Spanish the plainest forms.
"""

from __future__ import annotations

import re

PERCENT = r"(?:percent(?:age)?s?|per cent|%|relative|proportional)"
MOVE = r"(?:change|increase|decrease|growth|decline|drop|rise|fall|reduction|gain|movement)"
MOVES = rf"{MOVE}(?: ?/ ?\(?{MOVE}\)?)?"
MOVED = r"(?:change|increase|decrease|grow|decline|drop|rise|fall|shrink|go (?:up|down)|gain)"
# A decrease that is asked for, and not "the increase / (decrease)".
FALL = re.compile(
    r"^(?!.*\b(?:increase|rise|growth|grow|change)\b).*\b(?:decrease|decline|drop|fall|reduction|shrink|abnahme|rückgang|"
    r"baisse|diminution|disminución)\b",
    re.I,
)
RATE = re.compile(
    rf"\b(?:{PERCENT} (?:annual |yearly |year[- ](?:on|over)[- ]year )?(?:{MOVES}|difference)"
    rf"|(?:year[- ](?:on|over)[- ]year )(?:{PERCENT} )?{MOVES}|(?:growth|change) rate"
    rf"|{MOVES} (?:in|as|by) (?:an? )?{PERCENT}(?! of (?:total|net|all)))\b"
    r"|\b(?:prozentuale[nrs]? (?:veränderung|änderung|zunahme|abnahme|steigerung|wachstum))\b"
    r"|\b(?:variation|évolution|hausse|baisse) en (?:pourcentage|%)|\bcambio porcentual\b|\bvariación porcentual\b",
    re.I,
)
BY_PERCENT = re.compile(rf"\bby (?:what|how many|which) {PERCENT}\b(?P<rest>.*\b{MOVED})", re.I)
AS_PERCENT = re.compile(r",? (?:(?:expressed )?as an? |in )(?:percentage|percent|%)(?: (?:terms|value))?(?! of)", re.I)
CHANGE = re.compile(
    rf"\b(?:(?:net|total|absolute|nominal|annual|yearly|overall) )?{MOVES}(?!\w)|\b(?:veränderung|änderung|zunahme|"
    r"abnahme|anstieg|rückgang)\b|\b(?:hausse|baisse|variation|augmentation|diminution)\b|\b(?:cambio|aumento|"
    r"disminución|variación)\b",
    re.I,
)
HOW_MUCH = re.compile(
    rf"\b(?:by )?how much (?:more |less )?(?:did|has|have|had|was|were)\b(?P<subject>.+?)\b{MOVED}(?:e?d|n)?\b(?: by)?",
    re.I,
)
DIFFERENCE = re.compile(
    r"\b(?:(?:net|total|absolute|nominal) )?difference\b|\bunterschied\b|\bdifferenz\b|\bdifférence\b|\bdiferencia\b",
    re.I,
)
MORE = re.compile(
    r"^\W*how much (?:more|less|higher|lower|larger|smaller|greater) (?:is|was|were|are|did) "
    r"(?P<a>.+?) than (?P<b>.+)$",
    re.I,
)
AVERAGE = re.compile(
    r"\b(?:average|durchschnitt(?:liche[nrs]?)?|moyenne|promedio)\b|\bmean (?:of|value)\b|(?<=\bthe )mean\b(?! of)|"
    r"\bmedia de\b",
    re.I,
)
WEIGHTED = re.compile(r"\b(?:weighted|moving|daily|remaining)[- ]average|average (?:of )?(?:the )?remaining\b", re.I)
SUM = re.compile(
    r"\b(?:sum|total sum|total|combined total|combined|aggregate|summe|gesamtsumme|somme|suma)\b(?: amount| value)?",
    re.I,
)
SUM_SURE = re.compile(r"\b(?:sum of|combined|together|summe (?:von|der|aus)|somme d|suma de)\b", re.I)
# "Total revenue" is a figure of its own, unless years or things are put together.
SUM_SEVERAL = re.compile(r"\b(?:both|between|from|over|through|across|combined)\b", re.I)
SUM_OF_THINGS = re.compile(r"\btotal (?:amount |value )?of\b.+\band\b", re.I)
RATIO_OF_YEARS = re.compile(r"\bratio of (?P<a>.+) (?:to|over) (?P<b>.+)$", re.I)
RATIO = (
    re.compile(r"\bratio of (?P<a>.+?) (?:to|over|and) (?P<b>.+)$", re.I),
    re.compile(r"(?P<a>.+?) (?:expressed )?as a ratio of (?P<b>.+)$", re.I),
    re.compile(r"\bverhältnis (?:von|der|des) (?P<a>.+?) zu[rm]? (?P<b>.+)$", re.I),
)
_A_SHARE = r"(?:percentages?|percent|per cent|proportion|share|fraction|portion|anteil|pourcentage|part|porcentaje)"
SHARE = re.compile(rf"\b{_A_SHARE}\b|%", re.I)
_SHARE = rf"{_A_SHARE}(?:,? (?:expressed )?(?:in|as an?) (?:percentage|percent|%),?)?"
MADE = (
    r"(?:made up (?:of|by)|comprised of|composed of|generated (?:from|by)|derived from|attribut(?:able|ed) to|"
    r"accounted for (?:by|using)?|represented by|contributed by|due to|from|related to|constituted by)"
)
_WHOLE = r"(?=total|overall|gross|net|all)"
# `b` is the part, `a` the whole.
SHARES = (
    re.compile(r"(?P<b>.+?)\W+(?:expressed )?as a (?:percentage|percent|%|share|proportion) of (?P<a>.+)$", re.I),
    re.compile(
        rf"\b(?:what|which|how much|how many) {_SHARE} of (?P<a>.+?) (?:is|are|was|were|has been|came|comes|come) "
        rf"(?:{MADE} )?(?P<b>.+)$",
        re.I,
    ),
    re.compile(
        rf"\b(?:what|which|how much|how many) {_SHARE} of (?P<a>.+?) (?:do|does|did) (?P<b>.+?) "
        r"(?:account for|make up|represent|contribute|constitute|form|comprise)(?P<rest>.*)$",
        re.I,
    ),
    re.compile(
        rf"\b{_SHARE}(?: of| constitution| (?:of )?contribution| composition)*(?: of)? (?P<b>.+?) "
        rf"(?:in (?:the )?{_WHOLE}|out of|among(?:st)?|over|relative to|to (?:the )?(?=total)|of (?:the )?{_WHOLE}|"
        r"as part of|within) ?(?:the )?(?P<a>.+)$",
        re.I,
    ),
    re.compile(r"\b(?:anteil|pourcentage) (?:von|der|des|du|de la|de) (?P<b>.+?) (?:an|am|dans|sur) (?P<a>.+)$", re.I),
    re.compile(
        rf"\b{_SHARE}(?: constitution| contribution| composition)? of (?P<b>.+?) (?:of|in|to) (?:the )?(?P<a>.+)$", re.I
    ),
)
# Why, who, which of them, how often: for a reader.
FOR_A_READER = re.compile(
    r"^\W*(?:why|how (?:did|do|does|has|have|is|are|was|were|can|will|might|would)\b(?! much)|explain|describe|"
    r"discuss|who|warum|pourquoi)|^\W*(?:\w+ ){0,6}(?:reasons?|drivers?|caused?|factors?|impacts?|significant|key|main|"
    r"major|notable)\b|\bhow many (?:years|quarters|months|times|of)\b|\bif any\b|\brespectively\b|"
    r"\b(?:which|what) (?:years?|quarters?|months?|segments?|regions?|company|companies|items?|types?)\b",
    re.I,
)
LEAD = re.compile(
    r"^\W*(?:(?:and|so|please|then),? )?(?:what(?:'s|’s| is| was| are| were| would be| will be)?|"
    r"how (?:much|many|large|big) (?:is|was|are|were)|"
    r"calculate|compute|determine|find|give me|tell me|wie (?:hoch|groß) (?:ist|war|sind|waren)|was (?:ist|war)|"
    r"quel(?:le)?s? (?:est|était|sont)|cuál (?:es|fue))\b\s*(?:the|die|der|das|la|le|el)?\s*",
    re.I,
)
OF_A_TOTAL = re.compile(
    r"^\W*(?:what|how)\b(?: (?:is|was|were|are|much))*\W+(?:the )?\s*(?:total|amount|value|number)? ?of\b", re.I
)
PERIOD = re.compile(r"((?:19|20)\d\d)\s?(?:-|–|to|through|bis|and)\s?((?:19|20)\d\d)")
# What leads to a year, at the end of what stands before it.
TO_A_YEAR = re.compile(
    r"\b(?:for|in|at|as (?:at|of)|between|from|to|of|during|over|both|(?:as )?compared (?:to|with)|versus|vs\.?|since|"
    r"and|through|years?|von|bis|zwischen|und|im|jahr|fiscal|financial|the|(?:over )?(?:the )?\d+[- ]years? period|"
    r"ended|ending|by)\b(?=\W*$)",
    re.I,
)
_AND = r"(?:and|to|und|et|y|as compared to|versus)"
_BETWEEN = r"(?:between|zwischen|entre|from(?!.*\bbetween\b))"
PAIR = re.compile(rf"\b{_BETWEEN}\b (?:the )?(?P<a>(?:(?!\bbetween\b).)+?),? \b{_AND}\b (?:the )?(?P<b>.+)$", re.I)
OF_PAIR = re.compile(
    r"\b(?:of|in|for)\b (?:the )?(?P<a>.+?),? (?:as compared to|compared to|compared with|versus)\b "
    r"(?:the )?(?P<b>.+)$",
    re.I,
)
LISTED = re.compile(r",\s+(?:and\s+)?|\s+and\s+|\s+und\s+|\s+et\s+|\s+y\s+|\s+plus\s+")
BEFORE_A_NAME = re.compile(
    r"^\W*(?:in|of|for|the|a|an|from|between|to|both|is|was|were|are|did|by|der|die|das|des|von|de|la|le|du|del|"
    r"years?)\b",
    re.I,
)
BEHIND_A_NAME = re.compile(
    r"\b(?:in|of|for|the|from|between|to|and|is|was|were|are|by|both|years?|compared|fiscal)\W*$", re.I
)
