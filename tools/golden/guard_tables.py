#!/usr/bin/env python3
"""Writes src/guard/letters_table.h and src/guard/confusables_table.h.

usage: guard_tables.py BOOKS CONFUSABLES > /dev/null   (writes into src/guard/ of this repository)

BOOKS: a folder of public-domain books in English, .md or .txt. CONFUSABLES: Unicode's confusables.txt (UTS 39).
Letters: how many quarter bits a character costs after the two before it. The alphabet has 27 symbols, a to z in any
case and the blank, which is whatever stands between words; add-half trigrams over add-half bigrams.
Confusables: single characters that UTS 39 maps to one ASCII letter or digit, less those that NFKC or the removal of
marks makes ASCII anyway."""
import math, pathlib, re, sys, unicodedata

books, confusables = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
here = pathlib.Path(__file__).resolve().parents[2] / "src" / "guard"

tri = [[[0] * 27 for _ in range(27)] for _ in range(27)]
for path in sorted(books.rglob("*")):
    if path.suffix not in (".md", ".txt") or path.name in ("SOURCE.txt", "LICENSE"):
        continue
    text = re.sub(r"[^a-z]+", " ", path.read_text(errors="replace").lower().replace("’", "").replace("'", ""))
    a = b = 26
    for ch in text:
        c = 26 if ch == " " else ord(ch) - 97
        tri[a][b][c] += 1
        a, b = b, c
pair = [[sum(tri[a][b][c] for a in range(27)) for c in range(27)] for b in range(27)]
one = [sum(pair[b][c] for b in range(27)) for c in range(27)]
total = sum(one)

def p1(c): return (one[c] + 0.5) / (total + 13.5)
def p2(b, c):
    n = sum(pair[b])
    return (pair[b][c] + 5 * p1(c)) / (n + 5)
def p3(a, b, c):
    n = sum(tri[a][b])
    return (tri[a][b][c] + 5 * p2(b, c)) / (n + 5)

out = ["/* letters_table: quarter bits that a letter costs after two others in English: row 27·a + b, column c, each of",
       " * a … z and the blank; '0' + quarter bits. Counted in public-domain books by tools/golden/guard_tables.py; for",
       " * language.c alone. */", "static const char letter_costs[27 * 27][28] = {"]
row = []
for a in range(27):
    for b in range(27):
        s = "".join(chr(48 + min(74, round(-4 * math.log2(p3(a, b, c))))) for c in range(27))
        row.append('"' + s.replace("\\", "\\\\").replace('"', '\\"') + '",')
for i in range(0, len(row), 3):
    out.append("\t" + " ".join(row[i:i + 3]))
out.append("};")
(here / "letters_table.h").write_text("\n".join(out) + "\n")

def ascii_anyway(c):
    s = unicodedata.normalize("NFKD", chr(c))
    s = "".join(x for x in s if not unicodedata.combining(x))
    return all(ord(x) < 128 for x in s)

table, version = {}, "?"
for line in confusables.read_text(encoding="utf-8-sig").splitlines():
    if line.startswith("# Version:"):
        version = line.split()[-1]
    if not line.strip() or line.startswith("#"):
        continue
    source, target = [f.strip() for f in line.split("#")[0].split(";")[:2]]
    if " " in source or " " in target:
        continue
    s, t = int(source, 16), chr(int(target, 16))
    if s < 128 or ascii_anyway(s) or not (t.isascii() and t.isalnum()):
        continue
    table[s] = t
# What the skeleton maps to another look-alike: the letter that a reader of Latin takes it for. Capitals of Greek and
# Cyrillic go to their capitals there already; these are small letters that UTS 39 joins with l or leaves to others.
for s, t in {0x0456: "i", 0x0458: "j", 0x0131: "i", 0x03B9: "i", 0x0261: "g", 0x0501: "d", 0x0475: "v", 0x051B: "q",
             0x051D: "w", 0x03B1: "a", 0x0430: "a", 0x0435: "e", 0x043E: "o", 0x0440: "p", 0x0441: "c", 0x0443: "y",
             0x0445: "x", 0x0455: "s", 0x04BB: "h", 0x04CF: "l", 0x03BF: "o", 0x03C1: "p", 0x03BD: "v"}.items():
    table[s] = t
out = ["/* confusables_table: characters that look like a Latin letter or a digit of ASCII, ascending. The facts are",
       f" * Unicode's confusables.txt, version {version} (Unicode Technical Standard 39, unicode.org/reports/tr39), as",
       " * tools/golden/guard_tables.py picks them; for fold.c alone. */",
       "static const struct confusable { uint32_t from; char to; } confusables[] = {"]
line = "\t"
for s in sorted(table):
    item = "{ 0x%X, '%s' }, " % (s, table[s])
    if len(line) + len(item) > 108:
        out.append(line.rstrip())
        line = "\t"
    line += item
out += [line.rstrip(), "};"]
(here / "confusables_table.h").write_text("\n".join(out) + "\n")
