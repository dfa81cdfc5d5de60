/* shape_instruction: instruction, output, and input and system where they are there. With a chat template instruction
 * and input are the user's turn, a line each, as LLaMA-Factory joins them; without one, the wording with which
 * Stanford Alpaca was trained (tatsu-lab/stanford_alpaca, train.py, 2023). */
#include "base/jsonx.h"
#include "data/maker.h"
#include "data/shape.h"

struct parts { const char *instruction, *input, *system; };

static int read_parts(const json_t *row, struct parts *p, struct err *e)
{
	p->instruction = json_string_value(json_object_get(row, "instruction"));
	return jsonx_string(row, "input", "", &p->input, e) < 0 ? -1 : jsonx_string(row, "system", "", &p->system, e);
}

static json_t *turns(const struct parts *p, const json_t *output)
{
	struct buf user = BUF_INIT;

	buf_addf(&user, "%s%s%s", p->instruction, *p->input ? "\n" : "", p->input);
	json_t *messages = maker_turns(p->system, buf_str(&user), output);
	buf_release(&user);
	return messages;
}

static const struct document *make_alpaca(struct maker *m, const struct parts *p, const json_t *output, struct err *e)
{
	static const char context[] = ", paired with an input that provides further context";
	struct buf prompt = BUF_INIT;

	buf_addf(&prompt,
	         "Below is an instruction that describes a task%s. Write a response that appropriately completes the "
	         "request.\n\n"
	         "### Instruction:\n%s\n\n",
	         *p->input ? context : "", p->instruction);
	if (*p->input)
		buf_addf(&prompt, "### Input:\n%s\n\n", p->input);
	buf_adds(&prompt, "### Response:");
	const struct document *d = maker_strings(m, buf_str(&prompt), prompt.len, json_string_value(output),
	                                         json_string_length(output), e);
	buf_release(&prompt);
	return d;
}

static int make(struct maker *m, struct err *e)
{
	const json_t *output = json_object_get(m->row->json, "output");
	struct parts p;

	if (read_parts(m->row->json, &p, e) < 0)
		return -1;
	if (!m->codec->template_)
		return make_alpaca(m, &p, output, e) ? 0 : -1;
	json_t *messages = turns(&p, output);
	const struct document *d = maker_chat(m, messages, 0, e);
	json_decref(messages);
	return d ? 0 : -1;
}

static json_t *ask(const json_t *row, struct err *e)
{
	struct parts p;

	return read_parts(row, &p, e) < 0 ? NULL : turns(&p, NULL);
}

const struct shape shape_instruction = {
	.name = "instruction,output",
	.example = "{\"instruction\": \"Add.\", \"input\": \"2, 2\", \"output\": \"4\"}",
	.columns = { { "instruction", NEED_STRING }, { "output", NEED_STRING } },
	.judged = JUDGED_ANSWERS,
	.make = make,
	.ask = ask,
	.chat = CHAT_ALWAYS,
};
