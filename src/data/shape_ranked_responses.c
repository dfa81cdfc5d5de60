/* shape_ranked_responses: a prompt, two responses and which is better, 0 or 1, as PKU-SafeRLHF has them. */
#include "data/ranked.h"

static int check(const struct row *r, struct err *e)
{
	json_int_t better = json_integer_value(json_object_get(r->json, "better_response_id"));

	return better == 0 || better == 1 ? 0 : err_set(e, "%s:%zu: better_response_id is %lld, wanted 0 or 1", r->file,
	                                                r->line, (long long)better);
}

static int make(struct maker *m, struct err *e)
{
	const json_t *row = m->row->json;
	struct ranked r;

	ranked_two(&r, json_object_get(row, "response_0"), json_object_get(row, "response_1"),
	           (int)json_integer_value(json_object_get(row, "better_response_id")));
	return ranked_make_asked(m, json_string_value(json_object_get(row, "prompt")), &r, e);
}

const struct shape shape_ranked_responses = {
	.name = "prompt,response_0,response_1,better_response_id",
	.example = "{\"prompt\": \"2 + 2?\", \"response_0\": \"5\", \"response_1\": \"4\", "
	           "\"better_response_id\": 1}",
	.columns = { { "prompt", NEED_STRING },
	             { "response_0", NEED_STRING },
	             { "response_1", NEED_STRING },
	             { "better_response_id", NEED_INDEX } },
	.roles = RANKED_ROLES,
	.ranked = true,
	.check = check,
	.make = make,
	.asks = "prompt",
	.chat = CHAT_ALWAYS,
};
