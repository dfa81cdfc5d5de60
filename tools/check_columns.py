"""Compares what becomes of rows with transformers' apply_chat_template; started by tools/check-columns.

The judge's way from a row to a conversation is written here once more, from what TRL, LLaMA-Factory and OpenAI say of their files. What is trained on is
the template's own mask (return_assistant_tokens_mask) where it has {% generation %}, else what a conversation up to an answer has more than the one that
asks for it (TRL's prompt and completion). White space after the token that ends a turn is left out on both sides. Where a template rewrites
earlier turns, or fails, only that both sides agree about the text, or both refuse, is compared."""
import copy
import glob
import gzip
import itertools
import json
import os
import re
import subprocess
import sys

from transformers import AutoTokenizer

MODEL, FOLDER, SHOW = sys.argv[1:4]
SETS = sys.argv[4:]
MOST = int(os.environ.get("MOST", "20"))  # rows of a real set
TOK = AutoTokenizer.from_pretrained(MODEL)
FN = {"name": "weather", "description": "The weather of a city", "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "A city"}}, "required": ["city"]}}
TOOL = {"type": "function", "function": FN}
CALL = {"id": "abcdefghi", "type": "function", "function": {"name": "weather", "arguments": {"city": "Zürich", "days": 2}}}
THOUGHTS = ["reasoning_content", "reasoning", "thinking", "thinking_content", "thoughts"]


def turn(role, content, **more):
    return dict({"role": role, "content": content}, **more)


U, A, U2, A2, S = turn("user", "Hello, who are you?"), turn("assistant", "A model."), turn("user", "And now?"), turn("assistant", "The same."), turn("system", "Be brief.")
RESULT = turn("tool", "{\"degrees\": 21}", name="weather", tool_call_id="abcdefghi")


def text_of(content):
    """A list of text parts as one text."""
    return "\n".join(p if isinstance(p, str) else p["text"] for p in content) if isinstance(content, list) else content


def load(v):
    return (json.loads(v) if isinstance(v, str) and v else v) or None


# --- from a row to (role, messages, how many of them are only asked) ---

def from_turns(turns):
    names = {"human": "user", "gpt": "assistant", "observation": "tool", "function_call": "assistant", "system": "system"}
    out = []
    for t in turns if isinstance(turns, list) else [turns]:
        if "from" not in t:
            out.append(t)
            continue
        m = turn(names[t["from"]], t["value"])
        if t["from"] == "function_call":
            thought, _, rest = t["value"].rpartition("</think>")
            calls = load(rest)
            m["content"] = t["value"][: len(t["value"]) - len(rest.lstrip())] if thought else ""
            m["tool_calls"] = [{"type": "function", "function": c} for c in (calls if isinstance(calls, list) else [calls])]
        out.append(m)
    return out


def from_v1(messages):
    """LLaMA-Factory's newer files: parts with a value, thoughts and calls among them."""
    out = []
    for m in messages:
        if not isinstance(m.get("content"), list) or not any(isinstance(p, dict) and "value" in p for p in m["content"]):
            out.append(m)
            continue
        texts = [p["value"] for p in m["content"] if p["type"] == "text"]
        n = {k: v for k, v in m.items() if k != "content"}
        n["content"] = "".join(texts)
        thoughts = [p["value"] for p in m["content"] if p["type"] == "reasoning"]
        calls = [load(p["value"]) for p in m["content"] if p["type"] == "tool_call"]
        if thoughts:
            n["reasoning_content"] = "".join(thoughts)
        if calls:
            n["tool_calls"] = [{"type": "function", "function": c} for c in calls]
        out.append(n)
    return out


def alpaca(row, answer):
    user = "\n".join(x for x in (row["instruction"], row.get("input") or "") if x)
    history = load(row.get("history")) or []
    return [m for q, a in history for m in (turn("user", q), turn("assistant", a))] + [turn("user", user), turn("assistant", answer)]


def listed(x):
    return [turn("assistant", x)] if isinstance(x, str) else x if isinstance(x, list) else [x]


def common(a, b):
    n = 0
    while n < min(len(a), len(b)) - 1 and a[n] == b[n]:
        n += 1
    return n


def documents(row):
    """[(role, messages, asked)], the columns beside them, tools are {name, parameters}. Rows of strings have no template."""
    if "chosen_messages" in row:
        c, r = from_v1(row["chosen_messages"]), from_v1(row["rejected_messages"])
        n = common(c, r)
        return [(0, c, n), (1, r, n)], row, False
    if "preferred_output" in row:
        asked = row["input"]["messages"]
        return [(i, asked + row[k], len(asked)) for i, k in enumerate(("preferred_output", "non_preferred_output"))], row["input"], False
    if "instruction" in row:
        if "chosen" in row:
            pairs = [(i, alpaca(row, row[k])) for i, k in enumerate(("chosen", "rejected"))]
            return [(i, m, len(m) - 1) for i, m in pairs], row, True
        return [(0, alpaca(row, row["output"]), 0)], row, True
    if "chosen" in row:
        key = next((k for k in ("conversations", "messages", "prompt") if k in row), None)
        chosen, rejected = (from_turns(listed(row[k])) for k in ("chosen", "rejected"))
        if key:
            asked = from_turns(row[key])
            return [(0, asked + chosen, len(asked)), (1, asked + rejected, len(asked))], row, key == "conversations"
        n = common(chosen, rejected)
        return [(0, chosen, n), (1, rejected, n)], row, False
    if "prompt" in row:
        return [(0, row["prompt"] + row["completion"], len(row["prompt"]))], row, False
    if "conversations" in row:
        return [(0, from_turns(row["conversations"]), 0)], row, True
    return [(0, from_v1(row["messages"]), 0)], row, False


def openai(m):
    m = dict(m)
    if m.get("function_call"):
        m["tool_calls"] = [{"type": "function", "function": m.pop("function_call")}]
    if m["role"] == "function":
        m["role"] = "tool"
    return m


def beside(messages, asked, row, bare):
    """With the row's columns: messages, asked, tools, variables."""
    messages = [openai(m) for m in messages]
    system = row.get("system")
    if system and messages[0]["role"] not in ("system", "developer"):
        messages, asked = [turn("system", system)] + messages, asked + (1 if asked else 0)
    tools = load(row.get("tools"))
    if not tools and row.get("functions"):
        tools, bare = load(row["functions"]), True
    if tools and bare:
        tools = [t if "function" in t or "name" not in t else {"type": "function", "function": t} for t in tools]
    more = dict(load(row.get("chat_template_kwargs")) or {})
    tools = more.pop("tools", tools)
    if row.get("parallel_tool_calls") is not None:
        more.setdefault("parallel_tool_calls", row["parallel_tool_calls"])
    return messages, asked, tools, more


# --- forms that say the same, of which a template takes one ---

def forms(messages):
    """Every form; the first that the template takes as the text says is right, so any of them may be ours."""
    def calls(m, as_text):
        m = copy.deepcopy(m)
        for c in m.get("tool_calls") or []:
            f = c.get("function", c)
            if "arguments" in f:
                v = json.loads(f["arguments"]) if isinstance(f["arguments"], str) else f["arguments"]
                f["arguments"] = json.dumps(v, ensure_ascii=False) if as_text else v
        return m

    lists = [lambda m: m]
    if any(isinstance(m.get("content"), list) for m in messages):
        lists = [lambda m: dict(m, content=text_of(m.get("content"))) if isinstance(m.get("content"), list) else m, lambda m: m]
    nulls = [lambda m: m]
    if any(m.get("tool_calls") and m.get("content") is None for m in messages):
        nulls = [lambda m: dict(m, content="") if m.get("tool_calls") and m.get("content") is None else m, lambda m: m]
    texts = [False, True] if any(m.get("tool_calls") for m in messages) else [None]
    names = [k for k in THOUGHTS if any(k in m for m in messages)]
    renames = [{}] + [{k: to} for k in names for to in THOUGHTS if k != to]
    for fl, fn, ft, r in itertools.product(lists, nulls, texts, renames):
        out = []
        for m in messages:
            m = fn(fl(m))
            m = calls(m, ft) if ft is not None else dict(m)
            out.append({r.get(k, k): v for k, v in m.items()})
        yield out


def mask_of(text, spans):
    enc = TOK(text, add_special_tokens=False, return_offsets_mapping=True)
    ids, offsets = enc["input_ids"], enc["offset_mapping"]
    mask = [0] * len(ids)
    for b, e in spans:
        inside = [i for i, (x, y) in enumerate(offsets) if b <= x and y <= e]
        while inside and text[offsets[inside[-1]][0]:offsets[inside[-1]][1]].strip() == "" and any(ids[i] in TOK.all_special_ids for i in inside):
            inside.pop()
        for i in inside:
            mask[i] = 1
    if mask:
        mask[0] = 0
    return ids, mask


def render(messages, tools, more, template, prompt=False):
    return TOK.apply_chat_template(messages, tools=tools, chat_template=template, tokenize=False, add_generation_prompt=prompt, **more)


def spans_of(messages, asked, tools, more, template, text):
    """Of the answers; None where the template rewrites one."""
    out = []
    for i, m in enumerate(messages):
        if m["role"] != "assistant" or i < asked or m.get("weight") == 0 or m.get("loss_weight") == 0 or m.get("train") is False:
            continue
        before, after = (render(messages[:i + k], tools, more, template, not k) for k in (0, 1))
        end = 0
        while end < min(len(after), len(text)) and after[end] == text[end]:
            end += 1
        if not after.startswith(before) or (end < len(after) and i + 1 < len(messages)) or len(before) > end:
            return None
        out.append((len(before), end))
    return out


def judge(row, template):
    """[(role, [(ids, mask or None)])] of each document."""
    docs, outer, bare = documents(copy.deepcopy(row))
    out = []
    for role, messages, asked in docs:
        messages, asked, tools, more = beside(messages, asked, outer, bare)
        wanted, error = [], None
        for form in forms(messages):
            try:
                text = render(form, tools, more, template)
            except Exception as e:
                error = e
                continue
            try:
                if re.search(r"{%-?\s*generation", template):
                    got = TOK.apply_chat_template(form, tools=tools, chat_template=template, return_assistant_tokens_mask=True, return_dict=True, **more)
                    pair = (got["input_ids"], None if asked or any(m.get("weight") == 0 for m in form) else got["assistant_masks"])
                else:
                    spans = spans_of(form, asked, tools, more, template, text)
                    pair = mask_of(text, spans) if spans is not None else (TOK(text, add_special_tokens=False)["input_ids"], None)
            except Exception:
                pair = (TOK(text, add_special_tokens=False)["input_ids"], None)
            if pair not in wanted:
                wanted.append(pair)
        if not wanted:
            raise error
        out.append((role, wanted))
    return out


# --- rows ---

def made():
    """Rows of each shape with each column."""
    t = json.dumps([TOOL])
    bare = json.dumps([FN])
    base = {"messages": [U, A, U2, A2]}
    yield "messages", base
    yield "tools", dict(base, tools=[TOOL])
    yield "tools as text", dict(base, tools=t)
    yield "no tools", dict(base, tools=[])
    yield "no tools as text", dict(base, tools="[]")
    yield "null tools", dict(base, tools=None, system=None, chat_template_kwargs=None)
    yield "functions", dict(base, functions=[FN], parallel_tool_calls=False)
    yield "functions as text", dict(base, functions=bare)
    yield "system", dict(base, system="Be brief.")
    yield "system twice", dict({"messages": [S, U, A]}, system="Other.")
    yield "developer", {"messages": [turn("developer", "Be brief."), U, A]}
    yield "variables", dict(base, chat_template_kwargs={"enable_thinking": False, "date_string": "1 Jan 2025", "custom_instructions": "Do so.", "system_message": "S"})
    yield "variables as text", dict(base, chat_template_kwargs="{\"enable_thinking\": false, \"reasoning_effort\": \"high\", \"thinking\": true}")
    yield "tools among variables", dict(base, chat_template_kwargs={"tools": [TOOL]})
    yield "weight", {"messages": [U, dict(A, weight=0), U2, dict(A2, weight=1)]}
    yield "weight null", {"messages": [U, dict(A, weight=None), U2, A2]}
    yield "train", {"messages": [U, dict(A, train=False), U2, A2]}
    for k in THOUGHTS:
        yield k, {"messages": [U, dict(A, **{k: "So it is."})]}
        yield k + " twice", {"messages": [U, dict(A, **{k: "So it is."}), U2, dict(A2, **{k: "Again."})]}
    calls = [U, turn("assistant", None, tool_calls=[CALL]), RESULT, A]
    yield "call", {"messages": calls, "tools": [TOOL]}
    yield "call, no tools", {"messages": calls}
    yield "call, empty", {"messages": [U, turn("assistant", "", tool_calls=[CALL]), RESULT, A], "tools": t}
    yield "call, no content", {"messages": [U, {"role": "assistant", "tool_calls": [CALL]}, RESULT, A], "tools": [TOOL]}
    yield "call, text", {"messages": [U, turn("assistant", "Looking.", tool_calls=[CALL]), RESULT, A], "tools": [TOOL]}
    text = copy.deepcopy(CALL)
    text["function"]["arguments"] = "{\"city\": \"Zürich\", \"days\": 2}"
    yield "call, arguments as text", {"messages": [U, turn("assistant", None, tool_calls=[text]), RESULT, A], "tools": [TOOL]}
    yield "function_call", {"messages": [U, turn("assistant", None, function_call={"name": "weather", "arguments": "{\"city\": \"Zürich\"}"}), turn("function", "21", name="weather"), A], "functions": [FN]}
    yield "parts", {"messages": [turn("user", [{"type": "text", "text": "Look"}]), turn("assistant", [{"type": "text", "text": "Yes."}])]}
    yield "several parts", {"messages": [turn("user", [{"type": "text", "text": "Look"}, {"type": "text", "text": "here"}]), A]}
    yield "names", {"messages": [dict(U, name="Ada"), A]}
    yield "prompt,completion", {"prompt": [U], "completion": [A]}
    yield "prompt,completion of more", {"prompt": [S, U, A, U2], "completion": [A2], "tools": t, "chat_template_kwargs": {"enable_thinking": False}}
    yield "prompt,completion with a call", {"prompt": [U], "completion": calls[1:], "tools": [TOOL]}
    yield "prompt,chosen,rejected", {"prompt": [U], "chosen": [A], "rejected": [A2], "tools": [TOOL]}
    yield "chosen,rejected", {"chosen": [U, A], "rejected": [U, A2], "system": "Be brief."}
    yield "chosen,rejected of more", {"chosen": [S, U, A, U2, A2], "rejected": [S, U, A, U2, turn("assistant", "No.")], "chat_template_kwargs": {"enable_thinking": True}}
    yield "messages,chosen,rejected", {"messages": [U], "chosen": A, "rejected": A2}
    yield "openai", {"input": {"messages": [U], "tools": [TOOL], "parallel_tool_calls": True}, "preferred_output": [A], "non_preferred_output": [A2]}
    share = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]
    yield "conversations", {"conversations": share, "system": "Be brief.", "tools": bare}
    yield "conversations, tools wrapped", {"conversations": share, "tools": t}
    yield "conversations, call", {"conversations": [share[0], {"from": "function_call", "value": "{\"name\": \"weather\", \"arguments\": {\"city\": \"Zürich\"}}"}, {"from": "observation", "value": "21"}, share[1]], "tools": bare}
    yield "conversations, calls", {"conversations": [share[0], {"from": "function_call", "value": json.dumps([{"name": "weather", "arguments": {"city": c}} for c in "ab"])}, {"from": "observation", "value": "21"}, share[1]], "tools": ""}
    yield "conversations, call behind thoughts", {"conversations": [share[0], {"from": "function_call", "value": "<think>\nso\n</think>\n\n{\"name\": \"weather\", \"arguments\": {}}"}, {"from": "observation", "value": "21"}, share[1]], "tools": bare}
    yield "conversations, chosen", {"conversations": share[:1], "chosen": share[1], "rejected": {"from": "gpt", "value": "No"}, "system": "S"}
    yield "alpaca", {"instruction": "Add.", "input": "2, 2", "output": "4", "system": "Count.", "history": [["1, 1", "2"]]}
    yield "alpaca, history as text", {"instruction": "Add.", "input": "", "output": "4", "history": "[[\"1, 1\", \"2\"]]"}
    yield "alpaca, nothing beside", {"instruction": "Add.", "input": None, "output": "4", "system": "", "history": []}
    yield "alpaca, chosen", {"instruction": "Add.", "input": "2, 2", "chosen": "4", "rejected": "5", "system": "Count."}
    v1 = [turn("user", [{"type": "text", "value": "Hi"}], loss_weight=0.0), turn("assistant", [{"type": "reasoning", "value": "So."}, {"type": "text", "value": "Ho"}], loss_weight=1.0)]
    yield "v1", {"messages": v1}
    yield "v1, call", {"messages": [v1[0], turn("assistant", [{"type": "text", "value": "Look"}, {"type": "tool_call", "value": "{\"name\": \"weather\", \"arguments\": {\"city\": \"a\"}}"}]), turn("tool", [{"type": "text", "value": "21"}]), v1[1]], "tools": t}
    yield "v1, weight", {"messages": v1[:1] + [dict(v1[1], loss_weight=0.0)] + v1}
    yield "v1, chosen", {"chosen_messages": v1, "rejected_messages": v1[:1] + [turn("assistant", [{"type": "text", "value": "No"}], loss_weight=1.0)]}


def real():
    for path in SETS:
        data = (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8").read()
        rows = json.loads(data) if data.lstrip().startswith("[") else [json.loads(x) for x in data.splitlines() if x.strip()]
        for i, r in enumerate(rows[:MOST]):
            yield f"{os.path.basename(path)}:{i + 1}", r


def templates():
    for path in sorted(glob.glob(os.path.join(FOLDER, "*.jinja"))):
        yield os.path.basename(path), open(path, encoding="utf-8", newline="").read()
    lines = os.path.join(FOLDER, "templates.jsonl")
    for i, line in enumerate(open(lines, encoding="utf-8") if os.path.exists(lines) else []):
        for name, text in json.loads(line).items():
            for j, t in enumerate(text if isinstance(text, list) else [text]):
                yield f"{i}:{name}:{j}", t if isinstance(t, str) else t["template"]


def trimmed(ids, mask):
    """Without white space at the end of a stretch that is trained on and has a special token."""
    mask = list(mask)
    for i in range(len(ids) - 1, 0, -1):
        if mask[i] and (i + 1 == len(ids) or not mask[i + 1]) and not TOK.decode([ids[i]]).strip():
            b = i
            while b and mask[b - 1]:
                b -= 1
            if any(ids[k] in TOK.all_special_ids for k in range(b, i)):
                mask[i] = 0
    return mask


def same(got, want):
    if "error" in got or len(got["documents"]) != len(want):
        return "error" if "error" in got else "number of documents"
    for d, (role, forms_) in zip(got["documents"], want):
        texts = [f for f in forms_ if f[0] == d["ids"]] or [f for f in forms_ if TOK.decode(f[0]) == TOK.decode(d["ids"])]
        if not texts:
            return "text"
        exact = [f for f in texts if f[0] == d["ids"] and f[1] is not None]
        if exact and not any(trimmed(d["ids"], f[1]) == trimmed(d["ids"], d["learn"]) for f in exact):
            return "mask"
        if d["role"] != role:
            return "role"
    return None


def shown(ids, mask):
    return "".join(("«" if m and not (i and mask[i - 1]) else "") + TOK.decode([t]) + ("»" if m and (i + 1 == len(ids) or not mask[i + 1]) else "") for i, (t, m) in enumerate(zip(ids, mask or [0] * len(ids))))


def main():
    rows = list(made()) + list(real())
    names, jobs, wants = [], [], []
    for tname, template in templates():
        for name, row in rows:
            names.append((tname, name))
            jobs.append(json.dumps({"template": template, "row": row}))
            try:
                wants.append(judge(row, template))
            except Exception as e:
                wants.append(f"{type(e).__name__}: {e}")
    out = subprocess.run([SHOW, MODEL], input="\n".join(jobs) + "\n", capture_output=True, text=True, check=True).stdout.splitlines()
    wrong, both, told = 0, 0, {}
    for (tname, name), want, line in zip(names, wants, out, strict=True):
        got = json.loads(line)
        if isinstance(want, str):
            both += "error" in got
            what = None if "error" in got else "error of theirs"
        else:
            what = same(got, want)
            if what == "error" and "what to train on cannot be told" in got["error"]:
                what = None if all(f[1] is None for _, fs in want for f in fs) else what
        if not what:
            continue
        wrong += 1
        key = (what, name if ":" not in name else name.split(":")[0])
        told[key] = told.get(key, 0) + 1
        if told[key] <= 1:
            theirs = want if isinstance(want, str) else "\n          ".join(repr(shown(*f)[:900]) for _, fs in want for f in fs[:2])
            ours = got.get("error") or "\n          ".join(repr(shown(d["ids"], d["learn"])[:900]) for d in got["documents"])
            print(f"{what}: {name} by {tname}\n  theirs: {theirs[:2500]}\n  here:   {ours[:2500]}")
    print(f"{len(set(n[0] for n in names))} templates, {len(rows)} rows, {len(jobs)} comparisons ({both} refused on both sides), {wrong} differ")
    for (what, name), n in sorted(told.items(), key=lambda x: -x[1]):
        print(f"  {n} {what}: {name}")
    return wrong != 0


sys.exit(main())
