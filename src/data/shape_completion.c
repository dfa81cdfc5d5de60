/* shape_completion: a prompt and its completion, which is learnt: two strings, as they are, or two lists of messages,
 * by the chat template. */
#include "data/maker.h"
#include "data/shape.h"

static int make(struct maker *m, struct err *e)
{
	const json_t *row = m->row->json;

	return maker_answer(m, json_object_get(row, "prompt"), json_object_get(row, "completion"), e) ? 0 : -1;
}

const struct shape shape_completion = {
	.name = "prompt,completion",
	.example = "{\"prompt\": \"2 + 2 =\", \"completion\": \" 4\"}",
	.columns = { { "prompt", NEED_TEXT }, { "completion", NEED_TEXT } },
	.judged = JUDGED_ANSWERS,
	.make = make,
	.asks = "prompt",
	.answers = "completion",
};
