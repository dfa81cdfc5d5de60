"""What tools/check-serve does: see there."""
import json, os, signal, subprocess, sys, tempfile, threading, time

PROGRAM, MODEL, PYTHON = sys.argv[1:4]
passed = failed = 0


def check(what, good, said=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    print("ok  " if good else "FAIL", what, said)


def clients(base, model):
    import openai
    c = openai.OpenAI(base_url=base, api_key="none", max_retries=0)
    hello = [{"role": "user", "content": "Say hello."}]
    chat = lambda **more: c.chat.completions.create(model=model, messages=hello, max_tokens=12, **more)
    check("models", [m.id for m in c.models.list()] == [model])
    whole = chat(temperature=0).choices[0].message.content
    parts = "".join(e.choices[0].delta.content or "" for e in chat(temperature=0, stream=True))
    check("a stream is the whole answer", whole and parts == whole, repr(whole))
    drawn = [[x.message.content for x in chat(n=3, seed=7).choices] for _ in range(2)]
    check("a seed is the same answers", drawn[0] == drawn[1] and len(set(drawn[0])) == 3)
    logprobs = chat(temperature=0, logprobs=True, top_logprobs=3).choices[0].logprobs.content
    check("logprobs", all(t.logprob == max(x.logprob for x in t.top_logprobs) for t in logprobs))
    usage = chat(temperature=0).usage
    check("usage", usage.completion_tokens <= 12 and usage.gas["joules"] is not None, usage.gas)
    vectors = c.embeddings.create(model=model, input=["a", "b"]).data
    plain = c.embeddings.create(model=model, input="b", encoding_format="float").data[0].embedding
    check("embeddings", max(abs(a - b) for a, b in zip(vectors[1].embedding, plain)) < 1e-6, len(plain))
    for kind, body in ((openai.NotFoundError, dict(model="other", messages=hello)),
                       (openai.BadRequestError, dict(model=model, messages=hello, max_tokens=10 ** 6)),
                       (openai.BadRequestError, dict(model=model, messages=hello, extra_body={"x": 1}))):
        try:
            c.chat.completions.create(**body)
            check(kind.__name__, False)
        except kind as e:
            check(kind.__name__, True, e.code)
    out = {}
    asked = lambda i: out.update({i: c.completions.create(model=model, prompt="%d and" % i, max_tokens=8,
                                                          temperature=0).choices[0].text})
    threads = [threading.Thread(target=asked, args=(i,)) for i in range(24)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    beside = dict(out)
    [asked(i) for i in range(24)]
    check("24 beside each other are as alone", beside == out)


def responses(base, model):
    import openai
    c = openai.OpenAI(base_url=base, api_key="none", max_retries=0)
    asked = dict(model=model, input="Say hello.", max_output_tokens=8, temperature=0)
    whole = c.responses.create(**asked)
    parts = "".join(e.delta for e in c.responses.create(**asked, stream=True) if e.type == "response.output_text.delta")
    check("responses", whole.output_text == parts and whole.usage.output_tokens <= 8, repr(parts))
    try:
        c.responses.create(**asked, store=True)
        check("responses without state", False)
    except openai.BadRequestError as e:
        check("responses without state", e.param == "store")


def ollama_client(base, model):
    import ollama
    c = ollama.Client(host=base[:-len("/v1")])
    check("ollama list, show", c.list().models[0].model == model and c.show(model).modelinfo["general.architecture"])
    hello, few = [{"role": "user", "content": "Say hello."}], {"temperature": 0, "num_predict": 8}
    whole = c.chat(model=model, messages=hello, options=few)
    parts = "".join(x.message.content for x in c.chat(model=model + ":latest", messages=hello, options=few, stream=True))
    check("ollama chat", whole.message.content == parts and whole.eval_count <= 8, repr(parts))
    whole = c.generate(model=model, prompt="1 2 3", raw=True, options=few)
    parts = "".join(x.response for x in c.generate(model=model, prompt="1 2 3", raw=True, options=few, stream=True))
    check("ollama generate", whole.response == parts, repr(parts))
    check("ollama embed", len(c.embed(model=model, input=["a", "b"]).embeddings) == 2)
    try:
        c.chat(model=model, messages=hello, options={"mirostat": 1})
        check("ollama ResponseError", False)
    except ollama.ResponseError as e:
        check("ollama ResponseError", e.status_code == 400, e.error)


def helpers(base, model):
    """What openai-python makes of replies by itself: parse(), streams as objects, raw replies, the asynchronous client."""
    import asyncio, openai, pydantic, typing

    class Step(pydantic.BaseModel):
        kind: typing.Literal["add", "say"]
        count: int = pydantic.Field(ge=1, le=9)
        note: typing.Optional[typing.Literal["a", "b"]]

    class Plan(pydantic.BaseModel):
        title: typing.Literal["short", "long"]
        steps: list[Step] = pydantic.Field(min_length=1, max_length=2)

    class Weather(pydantic.BaseModel):
        city: typing.Literal["Paris", "Rome"]

    c = openai.OpenAI(base_url=base, api_key="none", max_retries=0)
    hello = [{"role": "user", "content": "Make a plan."}]
    same = dict(model=model, messages=hello, temperature=0, max_tokens=300)
    whole = c.chat.completions.parse(**same, response_format=Plan).choices[0]
    check("parse(): a schema of pydantic's", whole.finish_reason == "stop" and isinstance(whole.message.parsed, Plan),
          whole.message.parsed)
    with c.chat.completions.stream(**same, response_format=Plan) as stream:
        kinds = {e.type for e in stream}
        last = stream.get_final_completion().choices[0].message
    check("stream(): the same, piece by piece", {"chunk", "content.delta", "content.done"} <= kinds and
          last.parsed == whole.message.parsed, sorted(kinds))
    tool = openai.pydantic_function_tool(Weather)
    for choice, seeds in (("auto", range(6)), ("required", [0])):
        got = [c.chat.completions.parse(**{**same, "temperature": 1, "seed": s}, response_format=Plan, tools=[tool],
                                        tool_choice=choice, parallel_tool_calls=False).choices[0].message for s in seeds]
        check("parse(): tools beside a schema, " + choice, all(
            isinstance(m.tool_calls[0].function.parsed_arguments, Weather) and not m.content if m.tool_calls else
            choice == "auto" and isinstance(m.parsed, Plan) for m in got), [bool(m.tool_calls) for m in got])
    r = c.responses.parse(model=model, input="Make a plan.", text_format=Plan, temperature=0, max_output_tokens=300)
    check("responses.parse()", isinstance(r.output_parsed, Plan), r.status)
    with c.responses.stream(model=model, input="Make a plan.", text_format=Plan, temperature=0, max_output_tokens=300) as stream:
        kinds = {e.type for e in stream}
        last = stream.get_final_response()
    check("responses.stream()", last.output_parsed == r.output_parsed and "response.completed" in kinds and
          "response.output_text.done" in kinds, sorted(kinds))
    raw = c.chat.completions.with_raw_response.create(model=model, messages=hello, max_tokens=1)
    check("a raw reply", raw.headers.get("x-request-id") == raw.parse()._request_id and raw.headers.get("x-request-id"),
          raw.headers.get("x-request-id"))
    chunks = list(c.chat.completions.create(model=model, messages=hello, max_tokens=3, stream=True,
                                            stream_options={"include_usage": True}))
    check("a stream's usage", chunks[-1].usage.completion_tokens <= 3 and not chunks[-1].choices and chunks[-1].usage.gas)
    text = c.completions.create(model=model, prompt=["1 2 3", "a b c"], max_tokens=3, temperature=0, logprobs=2, echo=True)
    check("completions: echo with logprobs", [t.index for t in text.choices] == [0, 1] and all(
        len(t.logprobs.tokens) == len(t.logprobs.token_logprobs) and t.text.startswith(p)
        for t, p in zip(text.choices, ("1 2 3", "a b c"))))

    async def many():
        async with openai.AsyncOpenAI(base_url=base, api_key="none", max_retries=0) as a:
            return await asyncio.gather(*[a.chat.completions.create(
                model=model, messages=hello, max_tokens=4, temperature=0) for _ in range(8)])
    check("8 of the asynchronous client", len({x.choices[0].message.content for x in asyncio.run(many())}) == 1)
    for kind, code, ask in (
            (openai.BadRequestError, "invalid_value", lambda: c.chat.completions.create(
                model=model, messages=hello, response_format={"type": "json_schema", "json_schema": {
                    "name": "x", "schema": {"not": {}}}})),
            (openai.BadRequestError, "invalid_value", lambda: c.chat.completions.create(
                model=model, messages=hello, tools=[{"type": "function", "function": {"name": "a b"}}])),
            (openai.NotFoundError, "not_found", lambda: c.fine_tuning.jobs.retrieve("ftjob-none")),
            (openai.NotFoundError, "not_found", lambda: c.batches.retrieve("batch_none")),
            (openai.NotFoundError, "not_found", lambda: c.files.retrieve("file-none")),
            (openai.NotFoundError, "model_not_found", lambda: c.models.retrieve("none"))):
        try:
            ask()
            check(code, False)
        except kind as e:
            check("%s: %s" % (kind.__name__, code), e.code == code, (e.code, e.message[:60]))


def tools(base, model):
    """Calls whole, streamed, by the clients' own parsers, and what tools gave said back."""
    import ollama, openai, pydantic, typing

    class Weather(pydantic.BaseModel):
        """Get the weather in a city."""
        city: str = pydantic.Field(max_length=20)
        unit: typing.Literal["celsius", "fahrenheit"]

    c = openai.OpenAI(base_url=base, api_key="none", max_retries=0)
    asked = [{"role": "user", "content": "What is the weather in Paris, in celsius?"}]
    tool = openai.pydantic_function_tool(Weather)
    same = dict(model=model, messages=asked, tools=[tool], tool_choice="required", parallel_tool_calls=False, temperature=0)
    whole = c.chat.completions.parse(**same).choices[0]
    call = whole.message.tool_calls[0]
    check("a required call", whole.finish_reason == "tool_calls" and isinstance(call.function.parsed_arguments, Weather),
          call.function.arguments)
    with c.chat.completions.stream(**same) as stream:
        kinds = [e.type for e in stream]
        streamed = stream.get_final_completion().choices[0]
    check("a streamed call is the whole one", "tool_calls.function.arguments.done" in kinds and
          streamed.message.tool_calls[0].function.arguments == call.function.arguments, streamed.finish_reason)
    again = asked + [whole.message.model_dump(exclude_none=True, include={"role", "content", "tool_calls"}),
                     {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}]
    said = c.chat.completions.create(model=model, messages=again, tools=[tool], temperature=0, max_tokens=40)
    check("what a tool gave", said.choices[0].finish_reason in ("stop", "length", "tool_calls"), said.choices[0].message.content)
    flat = {"type": "function", "strict": True, **{k: v for k, v in tool["function"].items() if k != "strict"}}
    same = dict(model=model, input=asked, tools=[flat], tool_choice={"type": "function", "name": "Weather"},
                parallel_tool_calls=False, temperature=0)
    item = c.responses.create(**same).output[0]
    events = list(c.responses.create(**same, stream=True))
    check("responses: a call", item.type == "function_call" and item.arguments == call.function.arguments and
          "".join(e.delta for e in events if e.type == "response.function_call_arguments.delta") == item.arguments and
          events[-1].response.output[0].arguments == item.arguments, item.status)
    said = c.responses.create(model=model, input=[*asked, {
        "type": "function_call", "call_id": item.call_id, "name": item.name, "arguments": item.arguments},
        {"type": "function_call_output", "call_id": item.call_id, "output": "21 degrees"}], tools=[flat], temperature=0,
        max_output_tokens=40)
    check("responses: what a tool gave", said.status in ("completed", "incomplete"), said.output_text)

    def get_weather(city: str) -> str:
        """Get the weather.

        Args:
            city: where
        """
    o = ollama.Client(host=base[:-len("/v1")])
    few = {"temperature": 0, "num_predict": 60}
    whole = o.chat(model=model, messages=asked, tools=[get_weather], options=few).message
    parts = list(o.chat(model=model, messages=asked, tools=[get_weather], options=few, stream=True))
    calls = [t.function for x in parts for t in x.message.tool_calls or []]
    check("ollama: tools", [t.function for t in whole.tool_calls or []] == calls and
          "".join(x.message.content or "" for x in parts) == (whole.content or ""), calls or whole.content)
    back = [*asked, {"role": "assistant", "content": "", "tool_calls": [
        {"function": {"name": "get_weather", "arguments": {"city": "Paris"}}}]},
            {"role": "tool", "content": "21 degrees", "tool_name": "get_weather"}]
    check("ollama: what a tool gave", o.chat(model=model, messages=back, tools=[get_weather], options=few).message.content)


def beside(base, model, work):
    """Files, a tuning job whose result is a model, a batch."""
    import openai
    c = openai.OpenAI(base_url=base, api_key="none", max_retries=0)

    def file(name, purpose, rows):
        path = os.path.join(work, name)
        with open(path, "w") as f:
            f.writelines(json.dumps(r) + "\n" for r in rows)
        with open(path, "rb") as f:
            return c.files.create(file=f, purpose=purpose)

    def wait(what, one, statuses):
        end = time.monotonic() + 3600
        while (one := what.retrieve(one.id)).status not in statuses and time.monotonic() < end:
            time.sleep(0.5)
        return one

    hello = [{"role": "user", "content": "Say hello."}]
    rows = [{"messages": [*hello, {"role": "assistant", "content": "Good morning to you."}]}] * 8
    train = file("train.jsonl", "fine-tune", rows)
    check("files", c.files.retrieve(train.id).filename == "train.jsonl" and train.id in [f.id for f in c.files.list()] and
          c.files.content(train.id).text.count("\n") == 8)
    job = c.fine_tuning.jobs.create(model=model, training_file=train.id, validation_file=train.id, suffix="hello", seed=1,
                                    method={"type": "supervised", "supervised": {"hyperparameters": {
                                        "n_epochs": 4, "batch_size": 4, "learning_rate_multiplier": 5}}})
    asked = c.chat.completions.create(model=model, messages=hello, max_tokens=4).choices[0].message.content
    job = wait(c.fine_tuning.jobs, job, ("succeeded", "failed", "cancelled"))
    check("a job beside answers", job.status == "succeeded" and asked is not None, job.error)
    losses = [e.data["train_loss"] for e in c.fine_tuning.jobs.list_events(job.id, limit=100)
              if e.data and "train_loss" in e.data]
    check("its events", len(losses) == 8 and losses[0] < losses[-1], losses)
    check("its checkpoint", [p.step_number for p in c.fine_tuning.jobs.checkpoints.list(job.id)] == [8])
    said = c.chat.completions.create(model=job.fine_tuned_model, messages=hello, max_tokens=12, temperature=0)
    check("its model", job.fine_tuned_model in [m.id for m in c.models.list()], said.choices[0].message.content)
    job = c.fine_tuning.jobs.create(model=job.fine_tuned_model, training_file=train.id,
                                    hyperparameters={"n_epochs": 1000})
    c.fine_tuning.jobs.pause(job.id)
    job = wait(c.fine_tuning.jobs, job, ("paused", "failed"))
    check("paused, resumed, cancelled", job.status == "paused" and c.fine_tuning.jobs.resume(job.id).status == "queued" and
          c.fine_tuning.jobs.cancel(job.id).status == "cancelled")
    pair = {"input": {"messages": hello}, "preferred_output": [{"role": "assistant", "content": "Good morning."}],
            "non_preferred_output": [{"role": "assistant", "content": "No."}]}
    job = c.fine_tuning.jobs.create(model=model, training_file=file("pairs.jsonl", "fine-tune", [pair] * 4).id,
                                    method={"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 1, "beta": 0.2}}})
    check("dpo", wait(c.fine_tuning.jobs, job, ("succeeded", "failed")).status == "succeeded")
    lines = file("lines.jsonl", "batch", [{"custom_id": str(i), "method": "POST", "url": "/v1/chat/completions", "body": {
        "model": model, "messages": hello, "max_tokens": 8, "temperature": 0}} for i in range(12)])
    batch = wait(c.batches, c.batches.create(input_file_id=lines.id, endpoint="/v1/chat/completions",
                                             completion_window="24h"), ("completed", "failed"))
    out = [json.loads(x) for x in c.files.content(batch.output_file_id).text.splitlines()]
    alone = c.chat.completions.create(model=model, messages=hello, max_tokens=8, temperature=0).choices[0].message.content
    check("a batch", batch.request_counts.completed == 12 and
          {x["response"]["body"]["choices"][0]["message"]["content"] for x in out} == {alone})
    check("a file goes", c.files.delete(lines.id).deleted)


TASK = """task: served
dataset_path: json
dataset_kwargs: {data_files: {test: %s}}
output_type: multiple_choice
test_split: test
doc_to_text: "{{query}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{gold}}"
target_delimiter: " "
metric_list: [{metric: acc}]
"""


def lm_eval(base, model, rows, work):
    """lm-eval over HTTP, item by item what kungfu eval says."""
    data = os.path.join(work, "rows.jsonl")
    with open(rows) as f, open(data, "w") as out:
        out.writelines(list(f)[:10])
    with open(os.path.join(work, "served.yaml"), "w") as f:
        f.write(TASK % data)
    folder = os.path.join(work, "folder")
    subprocess.run([PROGRAM, "convert", MODEL, "--out", folder, "--ledger", "off", "--quiet"], check=True)
    how = "model=%s,base_url=%s/completions,tokenizer_backend=huggingface,tokenizer=%s,num_concurrent=8"
    subprocess.run([PYTHON, "-m", "lm_eval", "--model", "local-completions", "--tasks", "served", "--include_path", work,
                    "--model_args", how % (model, base, folder),
                    "--output_path", work, "--log_samples"], check=True)
    samples = []
    for folder, _, files in os.walk(work):
        for name in files:
            if name.startswith("samples"):
                samples = [json.loads(line) for line in open(os.path.join(folder, name))]
    theirs = {s["doc_id"]: int(s["acc"]) for s in samples}
    ours = os.path.join(work, "ours.jsonl")
    subprocess.run([PROGRAM, "eval", MODEL, "--data", data, "--compute", "f32", "--ledger", "off", "--quiet", "--details", ours],
                   check=True)
    for i, line in enumerate(open(ours)):
        j = json.loads(line)
        theirs[i] -= int(bool(j.get("acc", j.get("correct"))))
    check("lm-eval's items", len(theirs) == 10 and not any(theirs.values()), sum(map(abs, theirs.values())))


def documents(work):
    """An index before a question, as openai-python reads it: sources, annotations of its own type, events."""
    import openai
    rows, index = os.path.join(work, "notes.jsonl"), os.path.join(work, "notes.db")
    with open(rows, "w") as f:
        f.write('{"_id": "a", "title": "Wings", "text": "a wing may flutter"}\n{"_id": "b", "text": "hot flutter"}\n')
    subprocess.run([PROGRAM, "index", "build", rows, "--out", index, "--quiet", "--ledger", "off"], check=True,
                   stdout=subprocess.DEVNULL)
    server = subprocess.Popen([PROGRAM, "serve", MODEL, "--port", "0", "--json", "--ledger", "off", "--documents", index,
                               "--documents-template", "{documents} {question}"], stdout=subprocess.PIPE, text=True)
    try:
        said = json.loads(server.stdout.readline())
        client = openai.OpenAI(base_url=said["address"], api_key="none")
        asked = {"model": said["models"][0], "messages": [{"role": "user", "content": "wing flutter"}], "max_tokens": 40,
                 "extra_body": {"grammar": 'root ::= "\u00e9 [1] and [2]"'}}
        message = client.chat.completions.create(**asked).choices[0].message
        check("documents: sources", [s["id"] for s in message.sources] == ["a", "b"])
        check("documents: annotations", [(a.type, a.url_citation.title, message.content[a.url_citation.start_index:
                                          a.url_citation.end_index]) for a in message.annotations] ==
              [("url_citation", "Wings", "[1]"), ("url_citation", "b", "[2]")])
        last = [e.choices[0].delta for e in client.chat.completions.create(**asked, stream=True) if e.choices][-1]
        check("documents: streamed", last.sources == message.sources and len(last.annotations) == 2)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def main():
    work = tempfile.mkdtemp()
    server = subprocess.Popen([PROGRAM, "serve", MODEL, "--port", "0", "--json", "--ledger", "off", "--compute", "f32",
                               "--cache-type-k", "f32", "--cache-type-v", "f32", "--files-dir", os.path.join(work, "kept")], stdout=subprocess.PIPE, text=True)
    try:
        said = json.loads(server.stdout.readline())
        clients(said["address"], said["models"][0])
        responses(said["address"], said["models"][0])
        ollama_client(said["address"], said["models"][0])
        helpers(said["address"], said["models"][0])
        tools(said["address"], said["models"][0])
        beside(said["address"], said["models"][0], work)
        documents(work)
        if len(sys.argv) > 4:
            lm_eval(said["address"], said["models"][0], sys.argv[4], work)
    finally:
        server.send_signal(signal.SIGTERM)
    check("it ends", server.wait() == 0)
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(failed > 0)


main()
