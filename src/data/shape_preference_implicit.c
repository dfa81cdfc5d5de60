/* shape_preference_implicit: two whole texts or conversations; what they begin with alike is their prompt, as TRL's
 * extract_prompt has it. */
#include "data/preference.h"
#include "data/shape.h"

static json_t *ask(const json_t *row, struct err *e)
{
	json_t *prompt = preference_prompt(json_object_get(row, "chosen"), json_object_get(row, "rejected"));

	if (json_is_string(prompt) ? json_string_length(prompt) : json_array_size(prompt))
		return prompt;
	json_decref(prompt);
	err_set(e, "chosen and rejected do not begin alike, so there is no prompt");
	return NULL;
}

static int make(struct maker *m, struct err *e)
{
	const json_t *chosen = json_object_get(m->row->json, "chosen"),
	             *rejected = json_object_get(m->row->json, "rejected");
	json_t *prompt = ask(m->row->json, e);

	if (!prompt)
		return -1;
	json_t *good = preference_rest(chosen, prompt), *bad = preference_rest(rejected, prompt);
	int status = preference_make(m, prompt, good, bad, e);
	json_decref(good);
	json_decref(bad);
	json_decref(prompt);
	return status;
}

const struct shape shape_preference_implicit = {
	.name = "chosen,rejected",
	.example = "{\"chosen\": \"2 + 2 = 4\", \"rejected\": \"2 + 2 = 5\"}",
	.columns = { { "chosen", NEED_TEXT }, { "rejected", NEED_TEXT } },
	.roles = PREFERENCE_ROLES,
	.judged = JUDGED_CHOICES,
	.make = make,
	.ask = ask,
	.chat = CHAT_IF_LIST,
};
