"""What tools/check-grammar does: see there."""
import glob, itertools, json, os, random, re, subprocess, sys

import jsonschema

peer = subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
counts, wrong = {}, []


def ask(kind, is_, texts):
    peer.stdin.write(json.dumps({"kind": kind, "is": is_, "texts": texts}) + "\n")
    peer.stdin.flush()
    return json.loads(peer.stdout.readline())


def count(what):
    counts[what] = counts.get(what, 0) + 1


def compare(kind, is_, texts, allows):
    said = ask(kind, is_, texts)
    if "error" in said:
        count(kind + ": refused")
        return
    for text, here in [*zip(texts, said["accepts"]), *((t, True) for t in said["drawn"])]:
        there = allows(text)
        count("%s: %s" % (kind, "both" if here and there else "neither" if not here and not there else
                          "there alone" if there else "HERE ALONE"))
        if here and not there:
            wrong.append((is_, text))


def by_schema(schema):
    v = jsonschema.Draft202012Validator(schema, format_checker=None)

    def allows(text):
        try:
            return v.is_valid(json.loads(text))
        except ValueError:
            return False
    return allows


r = random.Random(1)


def drawn_schema(depth=0):
    kind = r.choice(["integer", "number", "boolean", "null", "string", "enum", "any", "array", "object", "union", "ref"]
                    [:11 if depth < 3 else 6])
    if kind == "integer":
        return {"type": kind, **r.choice([{}, {"minimum": r.randint(-50, 5)}, {"exclusiveMaximum": r.randint(0, 200)}])}
    if kind == "string":
        return {"type": kind, **r.choice([{}, {"maxLength": r.randint(0, 4)}, {"minLength": 2},
                                          {"pattern": r.choice(["^a+$", "b.c", "[0-9]{2}", "^(x|yz)*$"])}])}
    if kind == "enum":
        return {"enum": r.sample(["a", 1, None, True, "é\"", 2.5, [1], {"k": 0}], 3)}
    if kind == "any":
        return {}
    if kind == "array":
        return {"type": kind, "items": drawn_schema(depth + 1), **r.choice([{}, {"maxItems": 2}, {"minItems": 1}])}
    if kind == "object":
        names = r.sample(["a", "b", "c", "long name", "é"], r.randint(0, 3))
        return {"type": kind, "properties": {n: drawn_schema(depth + 1) for n in names},
                "required": names[:r.randint(0, len(names))],
                **r.choice([{}, {"additionalProperties": False}, {"additionalProperties": drawn_schema(depth + 1)}])}
    if kind == "union":
        return {"anyOf": [drawn_schema(depth + 1), drawn_schema(depth + 1)]}
    return {"$defs": {"x": drawn_schema(3)}, "$ref": "#/$defs/x"} if depth == 0 else {"type": ["string", "null"]}


def drawn_value(depth=0):
    kind = r.randrange(9 if depth < 3 else 6)
    if kind == 0:
        return r.choice([0, 1, -3, 7, 42, 150, 10 ** 17])
    if kind == 1:
        return r.choice([0.5, -1.25, 1e3])
    if kind in (2, 3):
        return r.choice(["", "a", "aa", "bxc", "12", "xyz", "é\"", "long"])
    if kind in (4, 5):
        return r.choice([True, False, None])
    if kind == 6:
        return [drawn_value(depth + 1) for _ in range(r.randrange(3))]
    return {n: drawn_value(depth + 1) for n in r.sample(["a", "b", "c", "long name", "é", "z"], r.randrange(4))}


def schemas():
    values = [json.dumps(drawn_value()) for _ in range(60)] + ["{", "", "[1,]", "01", "'a'", "nul", "\"\x01\""]
    for _ in range(400):
        s = drawn_schema()
        compare("schema", s, values, by_schema(s))


def normal(s):
    """BFCL's types as JSON Schema has them."""
    names = {"dict": "object", "float": "number", "tuple": "array", "any": None}
    out = {k: v for k, v in s.items() if k not in ("default", "optional")}
    t = names.get(s.get("type"), s.get("type"))
    out.pop("type", None)
    if t:
        out["type"] = t
    if "properties" in s:
        out["properties"] = {k: normal(v) for k, v in s["properties"].items()}
    if "items" in s:
        out["items"] = normal(s["items"])
    return out


def functions(folder):
    """Right arguments of real functions, in the order in which these name them."""
    for path in sorted(glob.glob(os.path.join(folder, "answers", "*.json"))):
        answers = {a["id"]: a["ground_truth"] for a in map(json.loads, open(path))}
        for row in map(json.loads, open(os.path.join(folder, os.path.basename(path)))):
            for call in answers[row["id"]]:
                name, choices = next(iter(call.items()))
                schema = next(normal(f["parameters"]) for f in row["function"] if f["name"] == name)
                keys = [k for k in schema["properties"] if k in choices and (k in schema.get("required", []) or "" not in choices[k])]
                texts = [json.dumps(dict(zip(keys, v))) for v in
                         itertools.islice(itertools.product(*[[x for x in choices[k] if x != ""] for k in keys]), 4)]
                compare("function", schema, texts, by_schema(schema)) if texts else None


def drawn_regex(depth=0):
    kind = r.randrange(8 if depth < 3 else 4)
    if kind < 2:
        return r.choice("abc01_ ") if r.random() < .8 else r.choice([r"\.", r"\[", r"\\", r"\-"])
    if kind == 2:
        return r.choice(["[a-c]", "[^a]", r"[\d_]", r"[^\s0]", ".", "[]a]", "[a-]"])
    if kind == 3:
        return r.choice([r"\d", r"\w", r"\s", r"\D", r"\W", r"\S"])
    if kind == 4:
        return "(" + drawn_regex(depth + 1) + r.choice(["|", ""]) + drawn_regex(depth + 1) + ")"
    if kind == 5:
        return "(?:" + drawn_regex(depth + 1) + ")" + r.choice(["*", "+", "?", "{2}", "{1,3}", "{,2}", "{2,}", "*?"])
    return drawn_regex(depth + 1) + drawn_regex(depth + 1)


def regexes():
    texts = ["".join(t) for n in range(4) for t in itertools.product("ab0_ .", repeat=n)]
    for _ in range(400):
        x = drawn_regex()
        try:
            compiled = re.compile(x, re.ASCII)
        except re.error:
            continue
        compare("regex", x, texts, lambda t: compiled.fullmatch(t) is not None)


schemas()
regexes()
for folder in sys.argv[2:]:
    # the kind "function" is a schema's to the peer
    ask_, ask = ask, lambda kind, is_, texts: ask_("schema" if kind == "function" else kind, is_, texts)
    functions(folder)
for what in sorted(counts):
    print("%-24s %d" % (what, counts[what]))
for is_, text in wrong[:10]:
    print("HERE ALONE", json.dumps(is_), repr(text))
sys.exit(bool(wrong))
