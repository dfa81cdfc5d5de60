/* shape_preference: a prompt and two completions, of which one was preferred: strings as they are, or lists of messages
 * by the chat template. Where the prompt is a text and the completions are conversations that begin alike (as
 * UltraFeedback has them), that beginning is the prompt, as TRL's maybe_extract_prompt has it: the text only says it
 * again. */
#include "data/preference.h"
#include "data/shape.h"

/* What is asked, new. */
static json_t *prompt_of(const json_t *row)
{
	json_t *prompt = json_object_get(row, "prompt"), *chosen = json_object_get(row, "chosen");
	json_t *common = json_is_string(prompt) && json_is_array(chosen) ?
	                         preference_prompt(chosen, json_object_get(row, "rejected")) : NULL;

	if (json_array_size(common))
		return common;
	json_decref(common);
	return json_incref(prompt);
}

static json_t *ask(const json_t *row, struct err *e)
{
	(void)e;
	return prompt_of(row);
}

static json_t *answer(const json_t *row)
{
	json_t *chosen = json_object_get(row, "chosen"), *prompt = prompt_of(row);
	json_t *out = prompt == json_object_get(row, "prompt") ? json_incref(chosen) : preference_rest(chosen, prompt);

	json_decref(prompt);
	return out;
}

static int make(struct maker *m, struct err *e)
{
	const json_t *row = m->row->json, *rejected = json_object_get(row, "rejected");
	json_t *prompt = prompt_of(row), *good = answer(row);
	json_t *bad = prompt == json_object_get(row, "prompt") ? json_deep_copy(rejected) :
	                                                         preference_rest(rejected, prompt);
	int status = preference_make(m, prompt, good, bad, e);

	json_decref(prompt);
	json_decref(good);
	json_decref(bad);
	return status;
}

const struct shape shape_preference = {
	.name = "prompt,chosen,rejected",
	.example = "{\"prompt\": \"2 + 2 =\", \"chosen\": \" 4\", \"rejected\": \" 5\"}",
	.columns = { { "prompt", NEED_TEXT }, { "chosen", NEED_TEXT }, { "rejected", NEED_TEXT } },
	.roles = PREFERENCE_ROLES,
	.judged = JUDGED_CHOICES,
	.make = make,
	.asks = "prompt",
	.ask = ask,
	.answers = "chosen",
	.answer = answer,
};
