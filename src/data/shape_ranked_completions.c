/* shape_ranked_completions: an instruction and completions, each an object with its response and overall_score, as
 * UltraFeedback's files have them. */
#include "data/ranked.h"

static int make(struct maker *m, struct err *e)
{
	const json_t *row = m->row->json;
	struct ranked r;

	if (ranked_objects(&r, json_object_get(row, "completions"), e) < 0)
		return -1;
	return ranked_make_asked(m, json_string_value(json_object_get(row, "instruction")), &r, e);
}

const struct shape shape_ranked_completions = {
	.name = "instruction,completions",
	.example = "{\"instruction\": \"2 + 2 =\", \"completions\": [{\"response\": \"5\", \"overall_score\": 2}, "
	           "{\"response\": \"4\", \"overall_score\": 9.5}]}",
	.columns = { { "instruction", NEED_STRING }, { "completions", NEED_SCORED } },
	.roles = RANKED_ROLES,
	.ranked = true,
	.make = make,
	.asks = "instruction",
	.chat = CHAT_ALWAYS,
};
