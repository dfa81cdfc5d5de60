/* instruction: Alpaca's columns as LLaMA-Factory joins them: instruction and input are one turn, a line each; history
 * is [[question, answer], …] before it. Without a template, the wording of Stanford Alpaca
 * (tatsu-lab/stanford_alpaca, train.py, 2023), which knows no history: then that is a column that nobody reads. */
#include "data/instruction.h"

#include "base/jsonx.h"
#include "base/mem.h"

struct text { const char *s; size_t n; };

static int read_text(const json_t *row, const char *key, struct text *t, struct err *e)
{
	const json_t *v = json_object_get(row, key);

	*t = (struct text){ "", 0 };
	if (!v || json_is_null(v))
		return 0;
	if (!json_is_string(v)) {
		char *found = jsonx_line(v);
		err_set(e, "%s is %.60s; wanted is a text", key, found);
		mem_free(found);
		return -1;
	}
	*t = (struct text){ json_string_value(v), json_string_length(v) };
	return 0;
}

static int add_history(json_t *messages, const json_t *row, struct err *e)
{
	const json_t *history = json_object_get(row, "history"), *pair;
	json_t *read = NULL;
	struct err inner = ERR_INIT;
	size_t i;
	int status = 0;

	if (column_is_empty(history))
		return 0;
	if (json_is_string(history))
		history = read = jsonx_load(json_string_value(history), json_string_length(history), "history", &inner);
	if (!json_is_array(history))
		status = -1;
	json_array_foreach((json_t *)history, i, pair) {
		const json_t *question = json_array_get(pair, 0), *answer = json_array_get(pair, 1);
		if (json_array_size(pair) != 2 || !json_is_string(question) || !json_is_string(answer)) {
			status = -1;
			break;
		}
		json_array_append_new(messages, maker_turn("user", question));
		json_array_append_new(messages, maker_turn("assistant", answer));
	}
	json_decref(read);
	return status ? err_set(e, "history: a list of [question, answer], both texts, was wanted") : 0;
}

json_t *instruction_turns(const json_t *row, struct err *e)
{
	struct text instruction, input;
	struct buf user = BUF_INIT;
	json_t *messages = json_array();

	if (read_text(row, "instruction", &instruction, e) < 0 || read_text(row, "input", &input, e) < 0 ||
	    add_history(messages, row, e) < 0) {
		json_decref(messages);
		return NULL;
	}
	buf_add(&user, instruction.s, instruction.n);
	buf_adds(&user, instruction.n && input.n ? "\n" : "");
	buf_add(&user, input.s, input.n);
	json_t *text = json_stringn(buf_str(&user), user.len);
	json_array_append_new(messages, maker_turn("user", text));
	json_decref(text);
	buf_release(&user);
	return messages;
}

int instruction_text(const json_t *row, struct buf *prompt, struct err *e)
{
	static const char context[] = ", paired with an input that provides further context";
	struct text instruction, input;

	if (read_text(row, "instruction", &instruction, e) < 0 || read_text(row, "input", &input, e) < 0)
		return -1;
	buf_addf(prompt,
	         "Below is an instruction that describes a task%s. Write a response that appropriately completes the "
	         "request.\n\n### Instruction:\n",
	         input.n ? context : "");
	buf_add(prompt, instruction.s, instruction.n);
	buf_adds(prompt, input.n ? "\n\n### Input:\n" : "");
	buf_add(prompt, input.s, input.n);
	buf_adds(prompt, "\n\n### Response:");
	return 0;
}

static struct document *make_alpaca(struct maker *m, const json_t *answer, struct err *e)
{
	struct buf prompt = BUF_INIT;
	struct document *d = NULL;

	if (!column_is_empty(json_object_get(m->row->json, "history")))
		columns_meet(&m->d->columns, "history", m->row, NULL);
	if (instruction_text(m->row->json, &prompt, e) == 0)
		d = maker_strings(m, buf_str(&prompt), prompt.len, json_string_value(answer),
		                  json_string_length(answer), e);
	buf_release(&prompt);
	return d;
}

struct document *instruction_make(struct maker *m, const json_t *answer, bool all, struct err *e)
{
	if (!m->codec->template_)
		return make_alpaca(m, answer, e);
	json_t *messages = instruction_turns(m->row->json, e);
	if (!messages)
		return NULL;
	size_t first = all ? 0 : json_array_size(messages);
	json_array_append_new(messages, maker_turn("assistant", answer));
	struct document *d = maker_chat(m, messages, first, e);
	json_decref(messages);
	return d;
}
