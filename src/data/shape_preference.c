/* shape_preference: a prompt and two completions, of which one was preferred: strings as they are, or lists of
 * messages by the chat template. Two documents, which begin alike. Judged as a choice between the two, the gold one
 * first. */
#include "base/utf8.h"
#include "data/maker.h"
#include "data/shape.h"

enum { CHOSEN, REJECTED };

/* Characters of what it says. */
static size_t count_chars(const json_t *completion)
{
	const json_t *message;
	size_t n = 0, i;

	if (json_is_string(completion))
		return utf8_count(json_string_value(completion), json_string_length(completion));
	json_array_foreach((json_t *)completion, i, message) {
		const json_t *content = json_object_get(message, "content");
		if (json_is_string(content))
			n += utf8_count(json_string_value(content), json_string_length(content));
	}
	return n;
}

static int make_one(struct maker *m, const char *key, int32_t role, struct err *e)
{
	const json_t *prompt = json_object_get(m->row->json, "prompt"),
	             *completion = json_object_get(m->row->json, key);
	struct document *d = maker_answer(m, prompt, completion, e);

	if (!d)
		return err_prefix(e, "%s", key);
	d->role = role;
	if (m->o->eval_choices) {
		d->choice = role;
		d->gold = role == CHOSEN;
		d->choice_chars = (int32_t)count_chars(completion);
	}
	return 0;
}

static int make(struct maker *m, struct err *e)
{
	return make_one(m, "chosen", CHOSEN, e) < 0 ? -1 : make_one(m, "rejected", REJECTED, e);
}

const struct shape shape_preference = {
	.name = "prompt,chosen,rejected",
	.example = "{\"prompt\": \"2 + 2 =\", \"chosen\": \" 4\", \"rejected\": \" 5\"}",
	.columns = { { "prompt", NEED_TEXT }, { "chosen", NEED_TEXT }, { "rejected", NEED_TEXT } },
	.roles = { [CHOSEN] = "chosen", [REJECTED] = "rejected" },
	.judged = JUDGED_CHOICES,
	.make = make,
	.asks = "prompt",
};
