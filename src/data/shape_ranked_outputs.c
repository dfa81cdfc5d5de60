/* shape_ranked_outputs: an instruction, two outputs and which is better, 1 or 2, as LLMBar has them. */
#include "data/ranked.h"

static int check(const struct row *r, struct err *e)
{
	json_int_t label = json_integer_value(json_object_get(r->json, "label"));

	return label == 1 || label == 2 ? 0 : err_set(e, "%s:%zu: label is %lld, wanted 1 or 2: the better output",
	                                              r->file, r->line, (long long)label);
}

static int make(struct maker *m, struct err *e)
{
	const json_t *row = m->row->json;
	struct ranked r;

	ranked_two(&r, json_object_get(row, "output_1"), json_object_get(row, "output_2"),
	           (int)json_integer_value(json_object_get(row, "label")) - 1);
	return ranked_make_asked(m, json_string_value(json_object_get(row, "input")), &r, e);
}

const struct shape shape_ranked_outputs = {
	.name = "input,output_1,output_2,label",
	.example = "{\"input\": \"2 + 2?\", \"output_1\": \"5\", \"output_2\": \"4\", \"label\": 2}",
	.columns = { { "input", NEED_STRING },
	             { "output_1", NEED_STRING },
	             { "output_2", NEED_STRING },
	             { "label", NEED_INDEX } },
	.roles = RANKED_ROLES,
	.ranked = true,
	.check = check,
	.make = make,
	.asks = "input",
	.chat = CHAT_ALWAYS,
};
