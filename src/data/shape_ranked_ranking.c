/* shape_ranked_ranking: several answers and the place of each, from 1; equal ones share it, 0 or null is none. */
#include "data/ranked.h"

static int make(struct maker *m, struct err *e)
{
	const json_t *row = m->row->json;
	struct ranked r;

	if (ranked_lists(&r, json_object_get(row, "answers"), json_object_get(row, "ranking"), "ranking", true, e) < 0)
		return -1;
	return ranked_make(m, json_object_get(row, "prompt"), &r, e);
}

const struct shape shape_ranked_ranking = {
	.name = "prompt,answers,ranking",
	.example = "{\"prompt\": \"2 + 2 =\", \"answers\": [\" 5\", \" 4\", \" 22\"], \"ranking\": [2, 1, 3]}",
	.columns = { { "prompt", NEED_TEXT }, { "answers", NEED_LIST }, { "ranking", NEED_LIST } },
	.roles = RANKED_ROLES,
	.ranked = true,
	.make = make,
	.asks = "prompt",
};
