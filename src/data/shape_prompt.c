/* shape_prompt: a prompt alone, a string or a list of messages: something to answer. Nothing of it is learnt as it is;
 * an objective that makes its own answers begins with it. */
#include "data/maker.h"
#include "data/shape.h"

static int put_asked(struct maker *m, const json_t *messages, struct err *e)
{
	struct buf text = BUF_INIT;
	int status = maker_asked(m, messages, &text, e);

	if (!status)
		status = tokenizer_encode(m->codec->tokenizer, buf_str(&text), text.len, TOKENIZE_SPECIAL, &m->ids, e);
	while (m->learn.n < m->ids.n)
		tokens_add(&m->learn, 0);
	buf_release(&text);
	return status;
}

static int make(struct maker *m, struct err *e)
{
	const json_t *prompt = json_object_get(m->row->json, "prompt");

	maker_begin(m);
	if (json_is_string(prompt))
		maker_bos(m, json_string_value(prompt));
	int status = json_is_string(prompt) ?
	                     maker_parts(m, json_string_value(prompt), json_string_length(prompt), "", 0, false, e) :
	                     put_asked(m, prompt, e);
	return status == 0 && maker_emit(m, e) ? 0 : -1;
}

/* The right answer, for the rules that judge answers (train/reward.h). */
static const char *const more[] = { "answer", "ground_truth", "solution", NULL };

const struct shape shape_prompt = {
	.name = "prompt",
	.example = "{\"prompt\": \"2 + 2 =\"}",
	.columns = { { "prompt", NEED_TEXT } },
	.roles = { "prompt" },
	.more = more,
	.asks_only = true,
	.make = make,
	.asks = "prompt",
};
