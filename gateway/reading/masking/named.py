"""The values of credentials that are given by name, in whatever is written: JSON, forms, headers, YAML, XML and HTML,
tables, options of commands, sentences.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache

from gateway.reading.masking.names import (
    CONSTANTS,
    COUNTS,
    HEADER_WORDS,
    LOOKUP,
    MASK,
    explains,
    finds,
    is_credential,
    is_strong,
    looks_secret,
    words_of,
)
from gateway.reading.masking.values import (
    OPENING,
    QUOTE,
    SCHEME,
    SCHEMES,
    Replacement,
    after_brackets,
    closing,
    masked_value,
    unpunctuated,
)

LONGEST_REST_OF_NAME = 100  # characters of a name before and after the word that makes it a credential's
NAME_LETTERS = re.compile(r"[\w.%-]*+")
NAME_LETTER = re.compile(r"[\w.%-]")
# Percent-encoded, what is no part of a name: quotes, separators, brackets.
ENCODED_MARK = re.compile(r"%(?:25)*(?:2[0-9A-CFac-f]|3[A-Fa-f]|5[BDbd]|7[BDbd])")
BEFORE_FIRST_NAME = "\r\n \t<>*#|-"
ENDS_LINE_START = re.compile(r"(?:\A|[\r\n])([ \t<>*#|-]*+)\Z")

# What separates a name from its value: `name=`, `name: `, `"name": `, `\"name\":`, `user[name]=`, `name=>`, `name%3D`,
# and the pairs `"name", "value": `, `"name" type="text" value=`, `name: X⏎  value: ` and `("name", `.
PAIRED = r"(?:value|val|content|data|default)"
ASSIGNED = re.compile(
    rf"""
    (?:[\])]|%5[Dd])?
    (?:
        (?P<quote>{QUOTE})
        (?:\s*+,?\s*+(?:[\w:-]++\s*+=\s*+["'][^"'<>]{{0,80}}["']\s*+){{0,3}}{QUOTE}?{PAIRED}{QUOTE}?)?
        |(?P<line>[ \t]*+\r?\n[ \t]*+{PAIRED}(?=[ \t]*+[:=]))
    )?
    (?:\s|%20)*+(?:=>|=&gt;|={{1,3}}|:(?!:)=?|%3[AaDd])
    (?(quote)(?:\s|%20)*+|(?:[ \t]|%20)*+)
    """,
    re.VERBOSE | re.IGNORECASE,
)
LISTED = re.compile(rf"({QUOTE})\s*+,\s*+", re.VERBOSE)
BEFORE_LISTED = re.compile(r"[\[(]\s*[b\\]?[\"']\Z")
# What follows `key="` or `"key": "` when that is a label whose value comes next.
LABEL = re.compile(
    rf"""([\w.-]++)(?:{QUOTE})(?:\s*+,\s*+|\s++)(?:[\w:-]++\s*+=\s*+["'][^"'<>]{{0,80}}["']\s*+){{0,3}}{QUOTE}?{PAIRED}{QUOTE}?\s*+[:=]""",
    re.VERBOSE | re.IGNORECASE,
)
# The value before its label: `value="X" name="`, `"value": "X", "key": "`.
VALUE_BEFORE = re.compile(rf"""\b{PAIRED}["']?\s*+[:=]\s*+(?=["'])""", re.IGNORECASE)
LABELLED = re.compile(
    r"""(["'])(?P<value>(?:(?!\1)[^\\]|\\.)*+)\1(?:\s*+,\s*+|\s++)"""
    r"""(?:(?!name|key|id|header)[\w:-]++\s*+=\s*+["'][^"'<>]*+["']\s*+)*+"""
    r"""["']?(?:name|key|id|header|field)["']?\s*+[:=]\s*+["']\Z""",
    re.IGNORECASE,
)
LABEL_BEFORE = re.compile(r"""(?:name|key|id|header|field|property)["']?\s*+[:=]\s*+["']\Z""", re.IGNORECASE)
NEAR = 300
# Values without quotes: to the end of a header's line; of a header quoted in a sentence or a JSON string; in JSON;
# anywhere else, to a space or a separator.
LINE_VALUE = re.compile(r"[^\r\n]++")
HEADER_VALUE = re.compile(
    r"""(?:=\\*+"(?![\s,;}\])]|\Z)[^"\r\n]*+"?|[^\r\n"'`<\\]|\\++(?!["'`nr]))++""",
)
JSON_VALUE = re.compile(rf"""(?:{SCHEME.pattern})?[^\s,}}\])&<>"'`\\]++""", re.IGNORECASE)
OTHER_VALUE = re.compile(rf"""(?:{SCHEME.pattern})?(?:[^\s&;<>"'`\\]|\\++(?!["'`]))++""", re.IGNORECASE)
REPEATED = re.compile(r"(?:[ \t]*+=>[ \t]*+[^\s]++)?")  # phpinfo tells the local value and the master's
# A value that begins in the next line: a block of YAML, a header that is folded. Frames of a stack are none.
DEFERRED = re.compile(
    rf"(?:[|>][+-]?[0-9]?|![\w!|]++(?:[ \t]*+\|)?|&\w++|{SCHEMES})?[ \t]*+(?=\r?\n)",
    re.IGNORECASE,
)
FRAME = r"(?!at[ ]|in[ ]|File[ ]|\.\.\.|from[ ]|\^)"

# `<password type="text">`, before its content; a child's is told from it by the tag that follows.
ELEMENT = re.compile(r"(?:\s[^<>]*+)?>(?:<!\[CDATA\[)?")
ELEMENT_BEFORE = re.compile(r"<(?:[\w-]++:)?\Z")
CONTENT = re.compile(r"[^<]++")
CHILDREN = re.compile(r"(>)([^<>]*[^<>\s][^<>]*)(?=<|\Z)")
NEAREST_END = 1000  # characters of an element with children
# `<string name="password">X`, `<entry key="password">X`.
NAMED_ELEMENT = re.compile(r"""["'][^<>]{0,200}+>(?:\s*+<value>)?(?:<!\[CDATA\[)?\s*+""")
# `</td><td>`, `</b>:`: what stands between a name that is marked up and its value.
TAG_NAMES = re.compile(
    r"\s*+(?P<mark>[:=]?+)\s*+(?P<closed>(?:</\w++\s*+>\s*+)++)(?P<after>[:=]?+)\s*+"
    r"(?P<opened>(?:<(?![/!])[^<>]*+>\s*+)*+)"
)
CELL = re.compile(r"</(?:td|th|dt|key|name)\b", re.IGNORECASE)
HEADING = re.compile(r"<th\b", re.IGNORECASE)
# Columns: `| DB_PASSWORD | hunter2 |`, a tab, two spaces.
COLUMN = re.compile(r"""(?:["'`*]{0,2}[ \t]*+\|[ \t]*+|[ ]*+\t\s*+|[ ]{2,})(?P<value>[^\s|"'<>]++)""")
# `--password hunter2`.
OPTION_VALUE = re.compile(r"""[ \t]++(?!-)(?P<quote>\\*["'])?(?P<value>(?(quote)[^"'\r\n]*+|[^\s"'`<>]++))""")
# A sentence between a name and its value.
LINKS = (
    r"(?:is|was|are|were|be|equals?|to|of|set|value|provided|given|used|received|sent|supplied|got|passed|ist|lautet|war"
    r"|est|es|invalid|incorrect|wrong|unknown|key|token|by|with)"
)
SENTENCE = re.compile(
    rf"""
    (?P<mark>["'`*)\]]{{0,2}}|</\w{{1,10}}>)
    (?P<links>(?:(?:[ \t]++|:[ \t]*+){LINKS}\b(?!["'=])){{0,6}}+)[:,]?[ \t]++[(\[]?+
    (?:
        (?:\\*["'`]|[\u201c\u201e\u00ab\u2018]|&quot;|&\#39;|&\#x27;)
        (?P<quoted>[^"'`\u201d\u201c\u00bb\u2019&\\\r\n]{{1,200}}+)
        |(?P<bare>[^\s"'`<>,;()\[\]{{}}\\]++)
    )
    """,
    re.VERBOSE | re.IGNORECASE,
)
NUMBERED = frozenset({"pin", "otp", "passcode", "totp"})  # secrets of digits alone
SENTENCE_REST = re.compile(r"[^\r\n\"<>{};]{0,200}+")
NUMBER = re.compile(r"[0-9]+(?=[\s,;)\]}]|\Z)")
IDENTIFIER = re.compile(r"[A-Za-z_][\w.-]*+")
LOOKED_UP = re.compile(rf"\b(?:{'|'.join(sorted(LOOKUP))})[ ]\Z", re.IGNORECASE)
WORD_OR_MARK = re.compile(r"[a-z_]{1,20}|[^\w\s]{1,3}", re.IGNORECASE)
ITEM = re.compile(r'"((?:[^"\\]|\\.)*+)"')
FIRST_WORD = re.compile(r"\s++(?:-[ ]++)?")
ODD_NAMES = re.compile(
    r"\b(?:unexpected|unknown|illegal|missing|duplicate|unrecognized|undefined|invalid|bad|no such|unsupported|extra"
    r"|reserved|expected|foreign|primary)\s+[\"'`]?\Z",
    re.IGNORECASE,
)


Found = Sequence[Replacement] | None


def named(text: str, start: int, end: int, in_url: bool = False) -> Iterator[Replacement]:
    """Mask the value that a name in this text has, where a credential's word in it stands from `start` to `end`."""
    begin = start
    if start and NAME_LETTER.match(text, start - 1):
        begin -= NAME_LETTERS.match(text[max(0, start - LONGEST_REST_OF_NAME) : start][::-1]).end()  # type: ignore[union-attr]
    end = NAME_LETTERS.match(text, end, end + LONGEST_REST_OF_NAME).end()  # type: ignore[union-attr]
    name = text[begin:end]
    if "%" in name:
        marks = [mark.span() for mark in ENCODED_MARK.finditer(name)]
        before = [after for _, after in marks if begin + after <= start]
        after = [at for at, _ in marks if begin + at > start]
        begin, end = begin + (before[-1] if before else 0), begin + after[0] if after else end
        name = text[begin:end]
    if name[0] in "nrtb" and text[begin - 1 : begin] == "\\" and not is_credential(name, in_url):
        begin, name = begin + 1, name[1:]
    if not is_credential(name, in_url):
        return
    name = name.strip("%.")
    if name.lower() in {"key", "keys"} and LOOKED_UP.search(text[max(0, begin - 20) : begin]):
        return
    for read in IN_URL if in_url else ANYWHERE:
        found = read(text, begin, end, name)
        if found is not None:
            yield from found
            return


# Each reads what follows a name in one way: None where it does not stand so, and nothing where there is no secret.
def _tag(text: str, begin: int, end: int, name: str) -> Found:
    """`<password>X</password>`."""
    if text[max(0, begin - 1) : begin] not in {"<", ":"} or not ELEMENT_BEFORE.search(text[max(0, begin - 40) : begin]):
        return None
    found = ELEMENT.match(text, end)
    return _element(text, found.end(), name) if found else ()


def _label(text: str, begin: int, end: int, name: str) -> Found:
    """`value="X" key="password"`, `<entry key="password">X`."""
    if text[max(0, begin - 1) : begin] not in {'"', "'"}:
        return None
    near = text[max(0, begin - NEAR) : begin]
    if near[:-1].rstrip()[-1:] not in {":", "="} or not LABEL_BEFORE.search(near[-20:]):
        return None
    ends = [value.end() for value in VALUE_BEFORE.finditer(near)]
    labelled = LABELLED.match(near, ends[-1]) if ends else None
    if labelled and not explains(labelled["value"]):
        at = begin - len(near)
        return [(at + labelled.start("value"), at + labelled.end("value"), masked_value(labelled["value"]))]
    if (found := NAMED_ELEMENT.match(text, end)) and ASSIGNED.match(text, end) is None:
        return _content(text, found.end(), name)
    return None


def _listed(text: str, begin: int, end: int, name: str) -> Found:
    """`["password", "X"]`, `(b'password', b'X')`."""
    if text[max(0, begin - 1) : begin] not in {'"', "'"} or not BEFORE_LISTED.search(text[max(0, begin - 6) : begin]):
        return None
    listed = LISTED.match(text, end)
    return _value(text, begin, listed.end(), name, listed[1], listed[0]) if listed else None


def _assigned(text: str, begin: int, end: int, name: str) -> Found:
    """`password=X`, `password: X`, `"password": "X"`."""
    found = ASSIGNED.match(text, end)
    return _value(text, begin, found.end(), name, found["quote"] or "", found[0]) if found else None


def _assigned_in_url(text: str, _begin: int, end: int, name: str) -> Found:
    """The same, where nobody explains anything and no header has a line of its own."""
    found = ASSIGNED.match(text, end)
    if found is None:
        return None
    start = found.end()
    return _quoted(text, start) or _bare(text, start, name, found["quote"] or "", OTHER_VALUE)


def _value(text: str, begin: int, start: int, name: str, quote: str, separator: str) -> Found:
    """What follows a name and a separator, from `start` on."""
    if OPENING.match(text, start):
        return _quoted(text, start, lambda value: _is_shown(text, begin, name, value))
    if quote:
        return _bare(text, start, name, quote, JSON_VALUE)
    indent = _indent(text, begin) if ":" in separator else None
    if indent is None:
        return _word(text, begin, start, name, separator)
    return _line(text, begin, start, name, indent)


def _line(text: str, begin: int, start: int, name: str, indent: int) -> Found:
    """The rest of the line, where a name begins it, and the lines that continue it."""
    if deferred := DEFERRED.match(text, start):
        lines = _continued(text, deferred.end(), indent)
        return [(*lines, MASK)] if lines and not explains(text[slice(*lines)]) else ()
    line = LINE_VALUE.match(text, start)
    if line is None or _is_shown(text, begin, name, line[0]):
        return ()
    lines = _continued(text, line.end(), indent)
    return [(start, lines[1], masked_value(line[0]))] if lines else _bare(text, start, name, "", LINE_VALUE)


def _word(text: str, begin: int, start: int, name: str, separator: str) -> Found:
    """What follows within a line, up to a space or a separator."""
    sentence = SENTENCE_REST.match(text, start)[0].split(". ")[0]  # type: ignore[index]
    if explains(sentence):
        return ()
    header = {word.removesuffix("s") for word in words_of(name)} & HEADER_WORDS
    found = _bare(text, start, name, "", HEADER_VALUE if header else OTHER_VALUE)
    if found and _is_shown(text, begin, name, text[start : found[0][1]]):
        return ()
    if found and "=>" in separator:
        again = REPEATED.match(text, found[0][1]).end()  # type: ignore[union-attr]
        return [(start, again, found[0][2])]
    return found


def _quoted(text: str, start: int, is_shown: Callable[[str], bool] = lambda _: False) -> Found:
    """A value in quotes, unless it is the name of another, whose value comes next."""
    opening = OPENING.match(text, start)
    if opening is None:
        return None
    if (label := LABEL.match(text, opening.end())) and is_credential(label[1]):
        return ()
    end, after = closing(text, opening[1], opening.end())
    value = text[opening.end() : end]
    if end < len(text) and is_shown(value):
        return ()
    return [(start, after, opening[0] + masked_value(value) + text[end:after])]


def _bare(text: str, start: int, name: str, quote: str, pattern: re.Pattern[str]) -> list[Replacement]:
    """A value without quotes: brackets with all that is in them, and what follows up to a separator."""
    end = start
    if text.startswith(("[", "{", "("), start) and not text.startswith(MASK, start):
        end = after_brackets(text, start)
        if _explains_all(text[start:end]):
            return []
    found = pattern.match(text, end)
    value = text[start:end] + (unpunctuated(found[0]) if found else "")
    if value.strip(" \t.,;)]}").lower() in CONSTANTS:
        return [(start, start + len(value), value)]
    if (number := NUMBER.match(value)) and (
        COUNTS.fullmatch(name) or (name.lower() == "pass" and len(number[0]) < 4)  # of tests
    ):
        return []
    return [(start, start + len(value), quote + masked_value(value) + quote)]


def _is_shown(text: str, begin: int, name: str, value: str) -> bool:
    """Whether what stands beside a credential's name is none: a sentence about it, the place or the name that a key
    stands for, the word that a parser met.
    """
    if explains(value):
        return True
    if is_strong(name):
        return False
    near = text[max(0, begin - 20) : begin]
    if near.rstrip("\"'`")[-1:].isspace() and WORD_OR_MARK.fullmatch(value) and ODD_NAMES.search(near):
        return True
    if name.lower() not in {"key", "keys"} or len(value) > LONGEST_REST_OF_NAME:
        return False
    names = is_credential(value) and not looks_secret(value)
    return (finds(value) and not near.lower().endswith(("api ", "api-"))) or (
        names and IDENTIFIER.fullmatch(value) is not None
    )


def _explains_all(value: str) -> bool:
    """Whether an array has nothing in it but sentences: `["This field may not be blank."]`."""
    if not value.startswith("[") or len(value) > 1000 or not value.endswith("]"):
        return False
    texts = ITEM.findall(value)
    return bool(texts) and all(map(explains, texts)) and not ITEM.sub("", value).strip("[], \t\r\n")


def _indent(text: str, begin: int) -> int | None:
    """How far a name is indented that begins its line; None where it does not."""
    if begin and text[begin - 1] not in BEFORE_FIRST_NAME:
        return None
    found = ENDS_LINE_START.search(text[max(0, begin - 40) : begin])
    return (
        None if found is None or (begin > 40 and found.start() == 0 and found[0][:1] not in "\r\n") else len(found[1])
    )


def _continued(text: str, at: int, indent: int) -> tuple[int, int] | None:
    """The lines below that are indented deeper, from their first word on; or the entries of a list."""
    lines = _deeper(indent).match(text, at)
    if lines is None:
        return None
    first = FIRST_WORD.match(text, at)
    return (first.end() if first else at), lines.end()


@cache
def _deeper(indent: int) -> re.Pattern[str]:
    return re.compile(
        rf"(?:\r?\n(?:[ \t]*+(?=\r?\n))?+"
        rf"(?:[ \t]{{{indent + 1},}}+|(?<=\n)[ \t]{{{indent}}}(?=-[ ])){FRAME}(?=\S)[^\r\n]++)++",
        re.VERBOSE,
    )


def _element(text: str, start: int, name: str) -> Found:
    """The content of an XML element: its text, or that of its children up to its end."""
    content = CONTENT.match(text, start)
    if content is None or (content[0].strip() == "" and content.end() < len(text)):
        furthest = min(start + NEAREST_END, len(text))
        end = text.find("</" + name, start, furthest)
        children = [child.span(2) for child in CHILDREN.finditer(text, start - 1, furthest if end < 0 else end)]
        return [(a, b, MASK) for a, b in children if not explains(text[a:b])]
    return _content(text, start, name)


def _content(text: str, start: int, name: str) -> Found:
    content = CONTENT.match(text, start)
    if content is None:
        return ()
    value = content[0]
    shown = content.end() < len(text) and (explains(value) or (name.lower() == "key" and finds(value)))
    return () if shown else [(start, content.end(), masked_value(value))]


def _cell(text: str, _begin: int, end: int, name: str) -> Found:
    """The value in the cell, or behind the mark-up, that follows a name: `<td>password</td><td>X`, `<b>Key</b>: X`."""
    tags = TAG_NAMES.match(text, end)
    if tags is None or not (tags["mark"] or tags["after"] or CELL.match(tags["closed"])):
        return None
    content = CONTENT.match(text, tags.end())
    if HEADING.match(tags["opened"]) or content is None or not content[0].strip():
        return ()
    value = content[0]
    named = tags["mark"] or tags["after"] or len(words_of(name)) > 1
    shown = explains(value) or not (named or looks_secret(value) or not value.strip().isalpha())
    return () if shown else [(tags.end(), tags.end() + len(value.rstrip()), MASK)]


def _column(text: str, _begin: int, end: int, name: str) -> Found:
    """`| DB_PASSWORD | X |`."""
    column = COLUMN.match(text, end)
    if column is None:
        return None
    value = column["value"]
    hides = looks_secret(value) or (len(words_of(name)) > 1 and not explains(value))
    return [(*column.span("value"), MASK)] if hides else ()


def _option(text: str, begin: int, end: int, name: str) -> Found:
    """`--password X`."""
    if not name.startswith("-") and text[max(0, begin - 1) : begin] != "-":
        return None
    found = OPTION_VALUE.match(text, end)
    if found is None or not found["value"] or found["value"].lower() in {"value", "option", "flag"}:
        return ()
    is_said = explains(found["value"]) and found.end() < len(text)
    return () if is_said else [(*found.span("value"), MASK)]


def _sentence(text: str, _begin: int, end: int, name: str) -> Found:
    """The secret that a sentence tells: `the password is X`, `token "X" is not valid`."""
    found = SENTENCE.match(text, end)
    if found is None:
        return None
    quoted = found["quoted"] is not None
    part = "quoted" if quoted else "bare"
    start, value = found.start(part), unpunctuated(found[part])
    if found[part].startswith(MASK):
        return ()
    linked = found["links"].strip() != ""
    strong = is_strong(name) and not name.lower().startswith("secret")
    hides = looks_secret(value)
    if not hides and linked and value.isdecimal():
        hides = 4 <= len(value) <= 10 and not NUMBERED.isdisjoint(words_of(name))
    elif not hides and quoted:
        hides = strong and not found["mark"] and (linked or " " not in value) and not explains(value)
    elif not hides and linked and strong:  # what is short, too
        hides = any(map(str.isdigit, value)) and looks_secret(value + "x1Q")
    return [(start, start + len(value), MASK)] if hides else ()


IN_URL = (_assigned_in_url,)
ANYWHERE = (_tag, _label, _listed, _assigned, _option, _cell, _column, _sentence)
