"""Writes the table of HTML's named characters: src/base/html_entities.h, from what Python's html.unescape goes by (HTML 5).

usage: python tools/golden/html_entities.py src/base/html_entities.h"""
import html.entities
import sys


def main(header):
    names = sorted({n.rstrip(";") for n in html.entities.html5})
    cells = []
    for n in names:
        c = [ord(x) for x in html.entities.html5[n + ";"]]
        cells.append('{ "%s", 0x%X, 0x%X, %d }' % (n, c[0], c[1] if len(c) > 1 else 0, n in html.entities.html5))
    lines, line = [], "\t"
    for c in cells:
        if len(line) + len(c) > 105:
            lines.append(line.rstrip())
            line = "\t"
        line += c + ", "
    lines.append(line.rstrip())
    with open(header, "w") as f:
        f.write("/* html_entities: HTML's named characters by name: one or two code points, and whether the name may stand without its\n"
                " * semicolon. Written by tools/golden/html_entities.py; for markup.c alone. */\n"
                "#include <stdbool.h>\n#include <stdint.h>\n\n"
                "static const struct entity { const char *name; uint32_t c, second; bool bare; } entities[] = {\n")
        f.write("\n".join(lines) + "\n};\n")


main(*sys.argv[1:])
