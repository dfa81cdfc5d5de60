"""Calls every method, filter, test and global function of a chat template with 0 to 4 arguments and with keywords on many
values, in Jinja2 as transformers sets it up and here, and compares: the same text, or a mistake on both sides. What
Jinja2 computes and kungfu refuses is counted by name; what both compute must be equal, and what Jinja2 refuses must be
refused.

    tools/check-builtins PYTHON [BUILD] [--golden FILE] [--most N] [--only WORD]
        --golden: writes a part of them, for test_template; --most: tries N of them; --only: those with the word
"""
import inspect
import itertools
import json
import random
import subprocess
import sys

from jinja2 import filters, tests
from transformers.utils import chat_template_utils

RENDER = sys.argv[1]
GOLDEN = sys.argv[sys.argv.index("--golden") + 1] if "--golden" in sys.argv else None
VARIABLES = {
    "s": "Hello, World", "u": " ßtraße \u00a0ΟΔΟΣ\u2003İ٣\u2028x\n", "e": "", "l": [3, 1, 2], "m": ["b", "A", "a"], "k": [], "d": {"b": 1, "a": [True, None]},
    "o": {}, "i": 7, "z": -3, "f": 2.5, "t": True, "n": None, "p": [{"x": 1, "y": "b"}, {"x": 2, "y": "a"}], "c": "one\ttwo  three\r\nfour",
}
VALUES = ["s", "u", "e", "l", "m", "k", "d", "o", "i", "z", "f", "t", "n", "p", "c", "w", "range(3)", "(1, 'a')", "d.items()", "d.keys()", "d.values()", "(l|map('string'))", "'12'", "' 7 '", "1.0", "'<a&b>'", "'a-b_c'", "[[1, 2], [0]]"]
WORDS = ["'o'", "' '", "''", "'x'", "none", "0", "1", "-1", "3", "true", "2.5", "['a', 'b']", "('H', 'a')", "missing", "'upper'", "'x,y'", "{'a': 1}"]
KEYWORDS = ["sep", "maxsplit", "chars", "count", "old", "new", "keepends", "start", "end", "default", "attribute", "reverse", "case_sensitive", "width", "first", "indent", "sort_keys", "boolean",
            "by", "base", "precision", "method", "d", "fillchar", "tabsize", "x", "separators", "ensure_ascii", "fill_with", "key", "autospace", "trim_url_limit", "nofollow", "target", "rel", "extra_schemes", "wrapstring",
            "break_long_words", "break_on_hyphens", "binary"]
ONLY = sys.argv[sys.argv.index("--only") + 1] if "--only" in sys.argv else ""
MOST = int(sys.argv[sys.argv.index("--most") + 1]) if "--most" in sys.argv else 0
LEVEL = 1
CHOICES = 32  # no value has more items
ENVIRONMENT = chat_template_utils._compile_jinja_template("").environment


# Texts for filters that lay out or read them, pieces of which are put together by chance.
PIECES = {
    "striptags": ["<b>", "</b>", "<!-- x", "-->", "<", ">", " ", "\n\t", "&amp;", "&lt", "&notit;", "&#x41;", "&#0;", "&#128;", "&#xD800;", "&#1114112", "&nosuch;", "&", "&#;", "&AElig", "&fjlig;", "word", "ä",
                  "&NotEqualTilde;", "&#11;", "&#xFFFE;", "\u2003"],
    "urlize": ["http://", "https://", "www.", "example", ".com", ".org", ".xn--p1ai", "/a?b=1&c=2", ":8080", "(", ")", "<", ">", ",", ".", " ", "\n", "mailto:", "joe@", "x-y", "[::1]", "127.0.0.1", "ftp://", "tel:12", "ä", "#f",
               "EXAMPLE.NET", "@", "_"],
    "wordwrap": ["word", " ", "  ", "-", "--", "---", "two-part", "a-b-c", "x", "\n", "\t", "\r\n", "ä", "²", "1-2", "(", "!", "long" * 9, "\u2003", "_"],
    "pprint": ["word ", "x" * 30, "\n", "  ", "'", '"', "ä", "\u2028", "\\"],
}
GIVEN = {
    "striptags": [""], "urlize": ["", "12", "nofollow=true", "target='_blank'", "rel='a b a'", "extra_schemes=['ftp://', 'tel:']", "-4", "0", "rel='<', target='\"'", "extra_schemes='tel:'"],
    "wordwrap": ["", "8", "12, false", "5, true, '|'", "10, true, none, false", "1", "3, false, '', false", "0", "-1"], "pprint": [""],
}


def layouts(rng):
    for f, pieces in PIECES.items():
        for _ in range(400):
            text = json.dumps("".join(rng.choice(pieces) for _ in range(rng.randint(1, 14))))
            yield "|" + f, f"{text} | {f}({rng.choice(GIVEN[f])})"
            if f == "pprint":
                yield "|" + f, f"{{'b': [{text}, {{{text}: (1, {text})}}], 1: {text}, 'a': {{'k': ({text},)}}, none: [[{text}]], 'c' * 40: {text}}} | pprint"
    for v in ["0", "1", "999", "999.9", "1000", "1023", "1024", "12345", "-5", "1e24", "999999999999999999999999.0", "1e27", "1e30", "2**53", "'1e5'", "' 7 '", "1e15 * 999.95", "1048576 * 1.5", "true"]:
        for a in ("", "true", "binary=1"):
            yield "|filesizeformat", f"{v} | filesizeformat({a})"
    people = "[{'n': 'b', 'c': {'t': 'X'}}, {'n': 'B', 'c': {'t': 'y'}}, {'n': 'a', 'c': {'t': 'x'}}, {'c': {}}]"
    for a in ("'n'", "'n', 'zz'", "'n', default='B'", "'n', 'b', true", "'c.t', 'q'", "'c.t', case_sensitive=true, default='x'", "'c.t'", "0", "'n', none"):
        yield "|groupby", f"{people} | groupby({a})"
        yield "|groupby", f"({people}[:3] | groupby({a}))[0].grouper"
        yield "|groupby", f"({people}[:3] | groupby({a}))[-1].list | length"
        yield "|groupby", f"({people}[:3] | groupby({a}))[0][::-1]"
    for v in ("{'id': 'a<b', 'n': none, 'x': missing, 'c': 1}", "{'a b': 1}", "{'a=': 1}", "{'': 1}", "{1: 2}", "{1: none}", "{'a': ['x', '\"']}", "{}"):
        for a in ("", "false", "autospace=0"):
            yield "|xmlattr", f"[{v} | xmlattr({a})]"


def methods_of(value):
    return [n for n in dir(value) if not n.startswith("_")]


def arguments(rng):
    """Lists of arguments: none, each word, and some of two to four, with keywords."""
    yield ""
    for a in WORDS:
        yield a
    for n in (2, 3, 4):
        for _ in range(10 * LEVEL):
            yield ", ".join(rng.choice(WORDS) for _ in range(n))
    for k in KEYWORDS:
        yield f"{k}={rng.choice(WORDS)}"
    for _ in range(8 * LEVEL):
        a, b = rng.sample(KEYWORDS, 2)
        yield f"{rng.choice(WORDS)}, {a}={rng.choice(WORDS)}"
        yield f"{a}={rng.choice(WORDS)}, {b}={rng.choice(WORDS)}"
    for _ in range(6 * LEVEL):
        yield f"{rng.choice(WORDS)}, {rng.choice(WORDS)}, {rng.choice(KEYWORDS)}={rng.choice(WORDS)}"


def named(function, rng):
    """Keywords that the function itself has."""
    try:
        names = [p.name for p in inspect.signature(function).parameters.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    except ValueError:
        return
    for k in names:
        for a in WORDS:
            yield f"{k}={a}"
    for _ in range(10 * LEVEL):
        some = rng.sample(names, rng.randint(1, len(names))) if names else []
        yield ", ".join(f"{k}={rng.choice(WORDS)}" for k in some)


def cases():
    rng = random.Random(7)
    seen = {"s": "", "l": [], "d": {}, "i": 1, "f": 1.5, "t": True, "(1, 'a')": (1,), "range(3)": range(3), "n": None, "d.items()": {}.items(), "d.keys()": {}.keys(), "d.values()": {}.values()}
    for value, python in seen.items():
        for m in methods_of(python):
            for a in itertools.chain(arguments(rng), named(getattr(python, m), rng) if callable(getattr(python, m)) else ()):
                for v in [value] + (rng.sample(["u", "e", "c", "'12'", "'a-b_c'"], 2) if value == "s" else ["o"] if value == "d" else ["m"] if value == "l" else []):
                    yield f"{type(python).__name__}.{m}", f"({v}).{m}({a})"
            yield f"{type(python).__name__}.{m}", f"({value}).{m} is defined"
            yield f"{type(python).__name__}.{m}", f"({value}).{m}"
    for f, function in filters.FILTERS.items():
        for v in VALUES:
            some = list(itertools.chain(arguments(rng), named(function, rng)))
            for a in [""] + rng.sample(some, min(len(some), 30 * LEVEL)):
                yield "|" + f, f"{v} | {f}({a})"
                yield "|" + f, f"{v} | {f}({a}) | list"
            for test in ("'upper'", "'replace', 'o', 'x'", "attribute='x'", "attribute='x', default=3", "'default', 'z', boolean=true", "'odd'", "'x'", "'x', 'gt', 1", "'y', 'in', ['a']", "'divisibleby', num=3"):
                yield "|" + f, f"{v} | {f}({test}) | list"
    yield from layouts(rng)
    for t in tests.TESTS:
        for v in VALUES:
            if t.isalpha():
                for a in rng.sample(list(arguments(rng)), 12 * LEVEL) + [""] + VALUES[:8]:
                    yield "is " + t, f"{v} is {t}({a})"
    for g in ("range", "dict", "namespace", "cycler", "joiner", "raise_exception", "lipsum"):
        for a in arguments(rng):
            for tail in ("", " | list"):
                yield g, f"{g}({a}){tail}"
        yield g, f"{g} is defined"
    for v in VALUES:
        for k in WORDS + ["0:2", "::2", "::-1", "-2:", ":-1", "'keys'", "'upper'", "'items'"]:
            yield "[]", f"({v})[{k}]"
        for w in VALUES:
            for op in ("+", "*", "%", "~", "==", "<", "in", "//", "-", "**", "/", "and"):
                if rng.random() < 0.5:
                    yield op, f"({v}) {op} ({w})"


def theirs(text):
    try:
        return ENVIRONMENT.from_string(text).render(**json.loads(json.dumps(VARIABLES)))
    except Exception:
        return None


def choices(text):
    """What the template may give where random chooses: with each item in turn chosen at every call."""
    given = set()
    for k in range(CHOICES):
        filters.random.choice = lambda seq: seq[k % len(seq)] if len(seq) else [][0]
        given.add(theirs(text))
    return given


def ours(texts):
    jobs = "".join(json.dumps({"template": t, "variables": VARIABLES}) + "\n" for t in texts)
    for line in subprocess.run([RENDER], input=jobs, capture_output=True, text=True, check=True).stdout.split("\n")[:-1]:
        yield json.loads(line)


def usable(want):
    return want is None or not (" at 0x" in want or "lorem" in want.lower())


def write_golden(golden, refused):
    """The variables, then a line for each builtin: what is the same here, and what is refused here alone."""
    rng = random.Random(1)
    few = lambda cases, n: [[t[3:-3], w] for t, w in sorted(rng.sample(cases, min(n, len(cases))))]
    with open(GOLDEN, "w") as f:
        f.write(json.dumps(VARIABLES, ensure_ascii=False) + "\n")
        for name in sorted(golden | refused):
            kinds = golden.get(name, {})
            f.write(json.dumps({"name": name, "same": few(kinds.get("text", []), 10) + few(kinds.get("error", []), 5), "refused": few(refused.get(name, []), 2)},
                               ensure_ascii=False, separators=(",", ":")) + "\n")


def main():
    all_cases = list(dict.fromkeys((name, "{{ " + text + " }}") for name, text in cases() if ONLY in text))
    if MOST and MOST < len(all_cases):
        all_cases = random.Random(MOST).sample(all_cases, MOST)
    wants = [theirs(t) for _, t in all_cases]
    wrong, refused, same, shown, golden = 0, {}, 0, {}, {}
    for (name, text), want, got in zip(all_cases, wants, ours([t for _, t in all_cases])):
        if not usable(want):
            want = None if "error" in got else want
        text_here = got.get("text")
        if "random" in text and text_here in (some := choices(text)):
            want = text_here
            if len(some) > 1:  # right, but no golden value
                same += 1
                continue
        if want == text_here:
            same += 1
            golden.setdefault(name, {}).setdefault("error" if want is None else "text", []).append((text, want))
        elif text_here is None:
            refused.setdefault(name, []).append((text, want, got["error"]))
        else:
            wrong += 1
            shown[name] = shown.get(name, 0) + 1
            if shown[name] <= 3:
                print(f"{text}\n  Jinja2: {want!r}\n  here:   {text_here!r}")
    for name, some in sorted(refused.items(), key=lambda x: -len(x[1])):
        print(f"refused here {len(some):5} {name}: {some[0][0]} = {some[0][1]!r:.60}: {some[0][2]:.90}")
    print(f"{len(all_cases)} calls: {same} the same ({sum(w is None for w in wants)} mistakes in Jinja2), {sum(map(len, refused.values()))} refused here alone, {wrong} differ: {shown}")
    if GOLDEN:
        write_golden(golden, {name: [(t, w) for t, w, _ in some] for name, some in refused.items()})
    return wrong != 0


sys.exit(main())
