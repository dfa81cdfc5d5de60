"""Compares the template interpreter with Jinja2 as transformers sets it up; started by tools/check-templates."""
import glob
import json
import os
import subprocess
import sys

from transformers.utils import chat_template_utils

FOLDER, RENDER = sys.argv[1:3]
NOW = "%d %b %Y"
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather of a city <now> & 'later'", "parameters": {"type": "object", "properties": {
    "city": {"type": "string", "description": "A \"city\""}, "days": {"type": "integer", "enum": [1, 2, 3]}, "exact": {"type": "boolean", "default": True}}, "required": ["city"]}}}
CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "abcdefghi", "type": "function", "function": {"name": "weather", "arguments": {"city": "Zürich", "days": 2, "share": 0.5, "x": None}}}]}
U, A, S = ({"role": r, "content": c} for r, c in (("user", "Hello, who  are you? 🙂"), ("assistant", " I am a model.\n<think>so\nso</think> Fine \n"), ("system", "Be  brief.\n")))
CONVERSATIONS = {
    "user": [U], "system": [S, U], "turns": [U, A, dict(U, content="And now?\n\n")], "system turns": [S, U, A, U, A], "assistant first": [A, U], "twice user": [U, U],
    "empty": [], "empty content": [dict(U, content=""), dict(A, content="")], "unusual role": [dict(U, role="wizard")], "system later": [U, S, A],
    "call": [U, CALL, {"role": "tool", "name": "weather", "tool_call_id": "abcdefghi", "content": "{\"degrees\": 21}"}, A],
    "call text": [U, dict(CALL, content="Looking."), {"role": "tool", "name": "weather", "content": {"degrees": 21.0, "list": [1, "a", None]}}],
    "parts": [{"role": "user", "content": [{"type": "text", "text": "Look"}, {"type": "image"}]}],
    "unicode": [dict(U, content="ÄÖÜ ßẞ — «ok» 漢字 ' \" \\ \t end")], "numbers": [dict(U, content=5)], "no content": [{"role": "user"}],
}
EXTRA = [{}, {"tools": [TOOL]}, {"tools": [TOOL], "date_string": "1 Jan 2025", "documents": [{"title": "T", "text": "Some text"}]}, {"tools": [], "tools_in_user_message": False, "enable_thinking": False}]


def templates():
    for path in sorted(glob.glob(os.path.join(FOLDER, "*.jinja"))):
        yield os.path.basename(path), open(path, encoding="utf-8", newline="").read()
    lines = os.path.join(FOLDER, "templates.jsonl")
    if os.path.exists(lines):
        for i, line in enumerate(open(lines, encoding="utf-8")):
            for name, text in json.loads(line).items():
                for j, t in enumerate(text if isinstance(text, list) else [text]):
                    yield f"{i}:{name}:{j}", t if isinstance(t, str) else t["template"]


def theirs(compiled, variables):
    """Jinja's text and spans, or its error."""
    try:
        if "{% generation" in compiled[1] or "{%- generation" in compiled[1]:
            environment = compiled[0].environment
            tracker = next(e for e in environment.extensions.values() if hasattr(e, "activate_tracker"))
            blocks, spans = [], []
            with tracker.activate_tracker(blocks, spans):
                for block in compiled[0].generate(**variables):
                    blocks.append(block)
            text = "".join(blocks)
            at = lambda n: len(text[:n].encode())
            return {"text": text, "spans": [[at(b), at(e)] for b, e in spans]}
        return {"text": compiled[0].render(**variables), "spans": []}
    except Exception as e:  # any error of the template is an error there and here
        return {"error": f"{type(e).__name__}: {e}"}


def main():
    jobs, wants, names = [], [], []
    for name, text in templates():
        try:
            compiled = (chat_template_utils._compile_jinja_template(text), text)
        except Exception as e:
            compiled = None
            broken = {"error": f"{type(e).__name__}: {e}"}
        for key, messages in CONVERSATIONS.items():
            for n, extra in enumerate(EXTRA):
                for prompt in (False, True):
                    variables = dict({"messages": messages, "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": prompt}, **extra)
                    jobs.append(json.dumps({"template": text, "variables": variables}))
                    wants.append(theirs(compiled, json.loads(json.dumps(variables))) if compiled else broken)
                    names.append(f"{name} [{key}, {n}, {prompt}]")
    out = subprocess.run([RENDER], input="\n".join(jobs) + "\n", capture_output=True, text=True, check=True).stdout.splitlines()
    wrong, errors, by_template = 0, 0, {}
    for name, want, line in zip(names, wants, out):
        got = json.loads(line)
        errors += "error" in want
        same = ("error" in want and "error" in got) or want == got
        if not same:
            wrong += 1
            template = name.split(" [")[0]
            by_template[template] = by_template.get(template, 0) + 1
            if by_template[template] <= 2:
                print(f"{name}\n  Jinja2: {str(want)[:700]}\n  here:   {str(got)[:700]}")
    print(f"{len(set(n.split(' [')[0] for n in names))} templates, {len(jobs)} renderings ({errors} errors on both sides or one), {wrong} differ")
    for t, n in by_template.items():
        print(f"  {n} of {t}")
    return wrong != 0


sys.exit(main())
