/* shape_ranked_scores: several answers and a score of each, of which more is better; null is none. */
#include "data/ranked.h"

static int make(struct maker *m, struct err *e)
{
	const json_t *row = m->row->json;
	struct ranked r;

	if (ranked_lists(&r, json_object_get(row, "answers"), json_object_get(row, "scores"), "scores", false, e) < 0)
		return -1;
	return ranked_make(m, json_object_get(row, "prompt"), &r, e);
}

const struct shape shape_ranked_scores = {
	.name = "prompt,answers,scores",
	.example = "{\"prompt\": \"2 + 2 =\", \"answers\": [\" 5\", \" 4\", \" 22\"], \"scores\": [2, 5, 1]}",
	.columns = { { "prompt", NEED_TEXT }, { "answers", NEED_LIST }, { "scores", NEED_LIST } },
	.roles = RANKED_ROLES,
	.ranked = true,
	.make = make,
	.asks = "prompt",
};
