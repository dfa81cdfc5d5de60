/* shape_ranked_generations: an instruction, generations and a rating of each, as Argilla's distilabel writes them. */
#include "data/ranked.h"

static int make(struct maker *m, struct err *e)
{
	const json_t *row = m->row->json;
	struct ranked r;

	if (ranked_lists(&r, json_object_get(row, "generations"), json_object_get(row, "ratings"), "ratings", false,
	                 e) < 0)
		return -1;
	return ranked_make_asked(m, json_string_value(json_object_get(row, "instruction")), &r, e);
}

const struct shape shape_ranked_generations = {
	.name = "instruction,generations,ratings",
	.example = "{\"instruction\": \"2 + 2 =\", \"generations\": [\"5\", \"4\"], \"ratings\": [1, 5]}",
	.columns = { { "instruction", NEED_STRING }, { "generations", NEED_LIST }, { "ratings", NEED_LIST } },
	.roles = RANKED_ROLES,
	.ranked = true,
	.make = make,
	.asks = "instruction",
	.chat = CHAT_ALWAYS,
};
