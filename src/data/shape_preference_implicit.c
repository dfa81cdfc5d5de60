/* shape_preference_implicit: two whole texts or conversations; what they begin with alike is their prompt, as TRL's
 * extract_prompt has it. */
#include "data/preference.h"
#include "data/shape.h"

static json_t *ask(const json_t *row, struct err *e)
{
	return preference_ask(json_object_get(row, "chosen"), json_object_get(row, "rejected"), e);
}

static int make(struct maker *m, struct err *e)
{
	const json_t *row = m->row->json;

	return preference_make_whole(m, json_object_get(row, "chosen"), json_object_get(row, "rejected"), e);
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
