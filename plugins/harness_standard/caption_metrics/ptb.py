r"""Penn Treebank tokens of a caption, as the COCO caption evaluation makes them.

That evaluation runs Stanford's PTBTokenizer (CoreNLP 3.4.1, lower-casing) and then drops some punctuation.
Here its behaviour is written as a table of rules: at each place the rule that reads furthest wins, context
behind the token included, and of equals the first. Held against the Java program on technical
English, about one line in seven hundred differs, nearly always in mark-up or code.

What may surprise, and is so there: brackets stay, as ``-lrb-`` and the like, since lower-casing comes
before the dropping and the list is upper case; so do ``!!``, ``&`` and ``%``; ``£`` becomes ``#`` and ``€``
becomes ``$``.

One difference in form: a phone number or mixed fraction with a space in it (``5 1/2``) is one token with a
no-break space there, and split at that space here, as BLEU and CIDEr go on to do.

Not covered: abbreviations and mark-up that captions hardly have; what a line takes from the line below it,
since the program reads all captions as one text; Arabic and Indic signs; HTML entities other than those
below; bytes of Windows-1252 in place of Unicode.
"""

from __future__ import annotations

import re

#: What tokens were made with; a figure belongs to its tokenizer.
NAME = "PTB (Python)"

_DROPPED = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", "....", ".....", ";"])

_SPELLED = {
    "(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-",
    "&lt;": "<", "&gt;": ">", "&amp;": "&", "£": "#", "€": "$", "¢": "cents",
    "¼": "1/4", "½": "1/2", "¾": "3/4", "⅓": "1/3", "⅔": "2/3",
}  # fmt: skip

_APOSTROPHE = r"(?:['\u2019]|&apos;)"
_QUOTE = r"(?:['\u2019\u2018\u201b`]|&apos;)"  # what may stand for an apostrophe inside a word
_LETTER = r"[^\W\d_\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u209c\u2150-\u218b\U00010000-\U0010ffff]"
_WORD = rf"(?:{_LETTER}|[\u00ad\u0300-\u036f])+"  # with soft hyphens and combining accents
_BOTH = rf"(?:{_LETTER}|\d)"
_CLITIC = rf"{_APOSTROPHE}(?i:[msd]|re|ve|ll)"
_OPENED = dict.fromkeys(map(ord, "\u2018\u201b"), "`")
_ENDING = re.compile(rf"{_CLITIC}|(?i:n{_QUOTE}t)")  # spelled with a plain apostrophe
_SPACE = r"[ \t\u00a0\u2000-\u200a\u3000]"
_ACRONYM = r"[A-Za-z](?:\.[A-Za-z])+"
_MORE = r"[,;:、]"  # a dot before these belongs to its word
_ELIDED = rf"(?:[dDoOlL]{_QUOTE}{_BOTH})?{_BOTH}+"  # o'clock, d'or
_SLASHED = r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}"
_COMPOUND = rf"[A-Za-z0-9][A-Za-z0-9.,\u00ad]*(?:-(?:{_ACRONYM}\.|[A-Za-z0-9\u00ad]+))+"

# Abbreviations that keep their dot. A few are words too, and count with a capital only.
_ABBREVIATIONS = (
    "jan feb mar apr jun jul aug sept? oct nov dec mon tues? wed thu(?:rs)? fri "
    "mrs? ms mme mlle drs? profs? jr sr rev st ste hon gen col lt maj capt cpl sgt pvt adm govs? sens? reps? "
    r"pres esq ph\.d ed\.d inc corp cos? ltd plc bros dept univ intl natl mfg sys elec mt ave blvd rd "
    r"etc vs al cf tel est ext sq ft a\.k\.a alex wm "
    "ala ariz calif colo conn fla ga ind kans? ky md mich minn mo mont neb nev okla penn tenn va vt wisc? wyo"
)
_CAPITAL_ABBREVIATIONS = "Ark Ill Mass Miss Ore Wash"

# Words that begin a sentence: before one of them the dot behind a lone letter ends the one before.
_STARTERS = (
    "A An The This That These There Then He She It We You They Her Our Here If In As At But So Since Some "
    "Such Now Once One Other Last Many More About After According Additionally Earlier However When While "
    "What Yet"
)

# Signs that are tokens of their own; any other, such as an emoji, is left out.
_SIGNS = (
    r"%&+~^|\\\u00a1\u00a6-\u00a9\u00ac-\u00ba\u00bf\u00d7\u00f7"  # Latin
    r"\u2016-\u2017\u201a\u201e-\u2023\u2030-\u2038\u203b-\u2044\u2100-\u2bff"  # marks, arrows, maths
    r"、。〒・\uff01-\uff65"  # of full width
)

_RULES = [
    # Words said as one and written as two.
    r"(?i:(can)(not)|(gon)(na)|(wan)(na)|(got)(ta)|(lem)(me)|(gim)(me))",
    r"('[tT])((?i:is|was))",
    rf"((?i:more))({_APOSTROPHE}[nN])",
    # Words, and what comes off them.
    rf"({_WORD}){_CLITIC}",
    rf"([A-Za-z\u00ad]*[A-MO-Za-mo-z]\u00ad*)[nN]{_QUOTE}[tT]",
    rf"({_WORD})",
    rf"({_CLITIC})[^A-Za-z]",
    rf"([nN]{_QUOTE}[tT])",
    # Apostrophes that stay.
    rf"((?i:{_APOSTROPHE}n{_APOSTROPHE}?|[ldj]{_APOSTROPHE}|(?:somethin|ol){_APOSTROPHE}))",
    rf"({_APOSTROPHE}(?i:em|till?|cause|[2-9]0s))",
    rf"([A-HJ-XZn]{_QUOTE}{_LETTER}{{2,}})",
    rf"({_LETTER}+[aeiouyAEIOUY]{_QUOTE}[aeiouA-Z]{_LETTER}*)",
    rf"((?i:c'mon|e'er|s'mores|ev'ry|li'l|cap{_APOSTROPHE}n|c{_APOSTROPHE}est))",
    rf"((?i:y){_APOSTROPHE}){_LETTER}",
    rf"({_APOSTROPHE}[0-9][0-9])(?:{_SPACE}|\n)",
    # Names of the net.
    r"(https?://[^\s\"<>()]*[\w/=&])",
    rf"((?:{_LETTER}{_BOTH}*\.)+(?i:com|net|org|edu)/[^\s\"<>()]*[\w/=&])",
    r"([A-Za-z0-9][\w.+-]*@[\w-]+(?:\.[\w-]+)*)",
    rf"(@[A-Za-z_]\w*|\#{_WORD})",
    # Numbers.
    r"(\d{1,2}[-/]\d{1,2}[-/]\d{2,4})",
    r"([-+]?(?:\d*(?:[.:,\u00ad]\d+)+|\d+))",
    r"((?:\d{1,4}[- \u00a0])?\d{1,4}(?:\\?/|\u2044)\d{1,4})",
    rf"(\d+(?:\.\d+)*\.[xX])(?!{_BOTH})",
    r"([¼½¾⅓-⅞])",
    r"([⁺⁻₊₋]?(?:[⁰¹²³⁴-⁹]+|[₀-₉]+))",
    r"((?:\(\d{2,3}\) ?|\+{0,2}(?:\d{2,4}[- ]){1,2})\d{3,4}[- ]?\d{3,5})",  # telephone
    r"((?:\d{2,4}\.){1,2}\d{3,4}\.\d{3,5})",
    r"([A-Z]*\$|\#)",
    r"([¢£¤¥₠€₤฿])",
    # Compounds.
    rf"({_ELIDED}(?:[-_\u2010\u2011]{_ELIDED})*)",
    rf"({_ELIDED}(?:[-_\u2010\u2011]{_ELIDED})*\.){_MORE}",
    rf"({_COMPOUND})",
    rf"({_COMPOUND}\.){_MORE}",
    rf"({_SLASHED}(?:\\?/{_SLASHED}){{1,2}})",
    r"([A-Z]+(?:(?:[+&]|&amp;)[A-Z]+)+)",
    r"((?i:pro-|anti-|c\+\+|c\#))",
    # Dots that stay.
    rf"({_WORD}\.){_MORE}",
    rf"({_LETTER}{_BOTH}*(?:[.!?]{_LETTER}{_BOTH}*)+)",
    rf"((?i:{_ACRONYM}|{_ABBREVIATIONS.replace(' ', '|')}|[a-z])\.)",
    rf"((?:{_CAPITAL_ABBREVIATIONS.replace(' ', '|')})\.)",
    r"((?i:nos?|figs?|pp|prop)\.)[ \t]*\d",
    rf"([A-Za-z])\.{_SPACE}+(?:{_STARTERS.replace(' ', '|')})\s",
    # Signs.
    r"('|'')",
    r"(')[A-Za-z][^ \t\n\u00a0]",  # opens a quotation
    rf"({_CLITIC})",
    r"(\.{3,5})",
    r"(</?[A-Za-z!?][\w.-]*(?: +[A-Za-z][\w:-]*(?:=(?:\"[^\"<>]*\"|[^ <>]+))?)*/?>)",
    r"([<>]?(?:[:;=][-o*']?[()DPdpO]|[:;][-o*']?[\[\]{@|\\]))(?![A-Za-z0-9])",
    r"(\^_+\^|'_')",
    r"(<<|>>|&lt;|&gt;|[<>\[\](){}])",
    r"(-+)",
    r"(@+|_+|\#+|\*+|(?:\\\*){1,3}|[?!]+|[=/])",
    r"(&\#\d+;|&amp;)",
    rf"([{_SIGNS}])",
]  # fmt: skip
_PATTERNS = [re.compile(rule) for rule in _RULES]

# A plain word before a space needs no table, unless it is two words.
_PLAIN = re.compile(r"(?!(?i:cannot|gonna|wanna|gotta|lemme|gimme)\s)([A-Za-z]+)[ \n]")
_ENTITIES = {"&nbsp;": " ", "&quot;": '"', "&mdash;": "\u2014", "&ndash;": "\u2013"}


def tokenize(text: str) -> list[str]:
    """The lower-case tokens of one caption, without quotes, full stops, commas and their like."""
    for entity, character in _ENTITIES.items():
        text = text.replace(entity, character)
    text = " ".join(text.splitlines()) + "\n"
    tokens: list[str] = []
    place = 0
    while place < len(text):
        if plain := _PLAIN.match(text, place):
            tokens.append(plain[1].lower())
            place = plain.end()
            continue
        if text[place].isspace():
            place += 1
            continue
        best = max(
            (found for pattern in _PATTERNS if (found := pattern.match(text, place))),
            key=lambda found: found.end(),
            default=None,
        )
        if best is None:  # a quote, a dot or a sign that the tokenizer does not know
            place += 1
            continue
        parts = [part for part in best.groups() if part]
        tokens += [spelled for part in parts for spelled in _spell(part)]
        place = best.end(best.lastindex or 0)
    return [token for token in tokens if token not in _DROPPED]


def _spell(token: str) -> list[str]:
    """How a token is written out; one with a space in it gives several."""
    token = _SPELLED.get(token, token).replace("\u00ad", "")
    if 3 <= len(token) <= 4 and not token.strip("-"):
        token = "--"
    for bracket in "()":
        if len(token) > 1:
            token = token.replace(bracket, _SPELLED[bracket])
    if _ENDING.fullmatch(token):
        token = re.sub(_APOSTROPHE, "'", token).translate(_OPENED)
    return token.lower().split()
