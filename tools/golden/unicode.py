"""What Python's str says about every code point: the tables of src/base/unicode.c (where a property is more or less than
a general category, and where a letter's other case is several characters) and the values that test_base_unicode compares.

usage: python tools/golden/unicode.py src/base/unicode_tables.h test/golden/values/unicode.json"""
import json
import sys
import unicodedata

CHARACTERS = [chr(i) for i in range(0x110000) if not 0xD800 <= i <= 0xDFFF]


def category(c):
    return unicodedata.category(c)


def is_cased(c):
    """A letter goes small in a title where a cased one stands before it."""
    return (c + "A").title()[-1] == "a"


def is_ignorable(c):
    """A sigma looks through it for what stands before."""
    return ("A" + c + "Σ").lower()[-1] == "ς" and (c + "Σ").lower()[-1] != "ς"


def continues(c):
    return ("a" + c).isidentifier()


PROPERTIES = {
    "space": str.isspace, "decimal": str.isdecimal, "digit": str.isdigit, "numeric": str.isnumeric, "alpha": str.isalpha,
    "alnum": str.isalnum, "upper": str.isupper, "lower": str.islower, "title": str.istitle, "printable": str.isprintable,
    "cased": is_cased, "case_ignorable": is_ignorable, "identifier_start": str.isidentifier,
    "identifier_part": continues, "zero": lambda c: unicodedata.decimal(c, 1) == 0,
    "line_break": lambda c: len((c + "a").splitlines()) == 2,
}
CASES = {"to_lower": str.lower, "to_upper": str.upper, "to_title": str.title, "to_folded": str.casefold,
         "to_swapped": str.swapcase}


def runs(numbers):
    """[first, last, step] of ascending numbers: alternating capital and small letters are one run."""
    out = []
    for i in numbers:
        if out and (i - out[-1][1] == out[-1][2] or (out[-1][0] == out[-1][1] and i - out[-1][1] <= 2)):
            out[-1][1:] = [i, i - out[-1][1]]
        else:
            out.append([i, i, 1])
    return out


def moved(case):
    by_delta = {}
    for c in CHARACTERS:
        to = case(c)
        if len(to) == 1 and to != c:
            by_delta.setdefault(ord(to) - ord(c), []).append(ord(c))
    return [run + [delta] for delta, members in by_delta.items() for run in runs(members)]


def ranges(is_member):
    out = []
    for i in (ord(c) for c in CHARACTERS if is_member(c)):
        if out and out[-1][1] == i - 1:
            out[-1][1] = i
        else:
            out.append([i, i])
    return out


def table(name, what, is_member):
    cells = ["{ 0x%04X, 0x%04X }" % tuple(r) for r in ranges(is_member)]
    lines = [", ".join(cells[i:i + 4]) for i in range(0, len(cells), 4)]
    return "/* %s */\nstatic const struct range %s[] = {\n%s};\n" % (what, name, "".join("\t%s,\n" % x for x in lines))


def special(name, what, case, keep=lambda c: True):
    rows = [(ord(c), case(c)) for c in CHARACTERS if len(case(c)) > 1 and keep(c)]
    cells = ["{ 0x%04X, { %s } }" % (i, ", ".join("0x%04X" % ord(x) for x in to)) for i, to in rows]
    lines = [", ".join(cells[i:i + 2]) for i in range(0, len(cells), 2)]
    return "/* %s */\nstatic const struct special %s[] = {\n%s};\n" % (what, name, "".join("\t%s,\n" % x for x in lines))


def tables():
    letters = lambda c: category(c)[0] == "L" or category(c) == "Nl"
    parts = lambda c: letters(c) or category(c) in ("Mn", "Mc", "Nd", "Pc")
    ignorable = lambda c: category(c) in ("Mn", "Me", "Cf", "Lm", "Sk")
    return "\n".join([
        "/* unicode_tables: where Python's properties are not a general category's, and letters whose other case is several\n"
        " * characters. Written by tools/golden/unicode.py from Unicode %s; for unicode.c alone. */"
        % unicodedata.unidata_version,
        table("other_digit", "isdigit, not Nd", lambda c: c.isdigit() and category(c) != "Nd"),
        table("other_numeric", "isnumeric, neither Nd, Nl nor No", lambda c: c.isnumeric() and category(c)[0] != "N"),
        table("other_upper", "isupper, not Lu", lambda c: c.isupper() and category(c) != "Lu"),
        table("other_lower", "islower, not Ll", lambda c: c.islower() and category(c) != "Ll"),
        table("other_ignorable", "Case_Ignorable, neither Mn, Me, Cf, Lm nor Sk",
              lambda c: is_ignorable(c) and not ignorable(c)),
        table("other_start", "begins an identifier, neither a letter nor Nl",
              lambda c: c.isidentifier() and not letters(c)),
        table("no_start", "a letter or Nl, but begins no identifier", lambda c: letters(c) and not c.isidentifier()),
        table("other_part", "goes on an identifier, neither a letter, Nl, Mn, Mc, Nd nor Pc",
              lambda c: continues(c) and not parts(c)),
        table("no_part", "of these, but goes on none", lambda c: parts(c) and not continues(c)),
        special("upper_special", "upper: several characters", str.upper),
        special("title_special", "title: several characters", str.title),
    ])


def main(header, values):
    with open(header, "w") as f:
        f.write(tables())
    out = {"unicode": unicodedata.unidata_version, "assigned": runs(i for i in range(0x110000) if category(chr(i)) != "Cn")}
    for name, is_member in PROPERTIES.items():
        out[name] = runs(ord(c) for c in CHARACTERS if is_member(c))
    for name, case in CASES.items():
        out[name] = moved(case)
        out[name + "_many"] = {"%X" % ord(c): case(c) for c in CHARACTERS if len(case(c)) > 1}
    texts = ["ὈΔΥΣΣΕΎΣ", "ΑΣ. Σ ΣΑ Α'Σ Α\u00adΣ\u0301", "hello wORLD's ǆungla ß ﬁne", "ŉot İstanbul IŞIK", "ⅷ Ⓐb ªº", "1st ΣΑΣ",
             "ǅ", "ﬃ ΐ ᾳ ᾼ", "", " \t", "Title Case", "Title case", "A1b2", "ǲ ǲx", "abc ΣΣ΄Σ"]
    out["texts"] = [{"text": t, "lower": t.lower(), "upper": t.upper(), "title": t.title(), "capitalize": t.capitalize(),
                     "swapcase": t.swapcase(), "casefold": t.casefold(), "isupper": t.isupper(), "islower": t.islower(),
                     "istitle": t.istitle()} for t in texts]
    with open(values, "w") as f:
        f.write("{\n" + ",\n".join("%s: %s" % (json.dumps(k), json.dumps(v, separators=(",", ":")))
                                   for k, v in out.items()) + "\n}\n")


main(*sys.argv[1:])
