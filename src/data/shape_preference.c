/* shape_preference: a prompt and two completions, of which one was preferred: strings as they are, or lists of messages
 * by the chat template. Where the prompt is a text and the completions are conversations that begin with it as the
 * user's turn (as UltraFeedback has them), their common beginning is the prompt. */
#include "data/preference.h"
#include "data/shape.h"

static bool repeats_prompt(const json_t *prompt, const json_t *common)
{
	const json_t *last = json_array_get(common, json_array_size(common) - 1);

	return json_is_string(prompt) && json_array_size(common) &&
	       json_equal(json_object_get(last, "content"), (json_t *)prompt);
}

static int make(struct maker *m, struct err *e)
{
	const json_t *row = m->row->json, *prompt = json_object_get(row, "prompt"),
	             *chosen = json_object_get(row, "chosen"), *rejected = json_object_get(row, "rejected");
	json_t *common = json_is_array(chosen) ? preference_prompt(chosen, rejected) : NULL;
	int status;

	if (repeats_prompt(prompt, common)) {
		json_t *good = preference_rest(chosen, common), *bad = preference_rest(rejected, common);
		status = preference_make(m, common, good, bad, e);
		json_decref(good);
		json_decref(bad);
	} else {
		status = preference_make(m, prompt, chosen, rejected, e);
	}
	json_decref(common);
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
	.answers = "chosen",
};
