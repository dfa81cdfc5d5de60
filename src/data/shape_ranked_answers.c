/* shape_ranked_answers: several answers, each an object with its text and its rank (1 is best), score or rating, as
 * Nectar has them. */
#include "data/ranked.h"

static int make(struct maker *m, struct err *e)
{
	const json_t *row = m->row->json;
	struct ranked r;

	if (ranked_objects(&r, json_object_get(row, "answers"), e) < 0)
		return -1;
	return ranked_make(m, json_object_get(row, "prompt"), &r, e);
}

const struct shape shape_ranked_answers = {
	.name = "prompt,answers",
	.example = "{\"prompt\": \"2 + 2 =\", \"answers\": [{\"answer\": \" 5\", \"rank\": 2}, "
	           "{\"answer\": \" 4\", \"rank\": 1}]}",
	.columns = { { "prompt", NEED_TEXT }, { "answers", NEED_SCORED } },
	.roles = RANKED_ROLES,
	.ranked = true,
	.make = make,
	.asks = "prompt",
};
