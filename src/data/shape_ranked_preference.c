/* shape_ranked_preference: a prompt, two completions and which was preferred, "a-is-better", "b-is-slightly-better" or
 * "tie", as Tülu's human evaluation has them. */
#include "data/ranked.h"

#include <string.h>

#include "base/mem.h"

/* 0, 1, −1: neither, −2: not a word of these. */
static int better_of(const char *said)
{
	static const char *const ends[] = { "-is-better", "-is-slightly-better" };

	if (!strcmp(said, "tie"))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if ((said[0] == 'a' || said[0] == 'b') && !strcmp(said + 1, ends[i]))
			return said[0] - 'a';
	return -2;
}

static int check(const struct row *r, struct err *e)
{
	const char *said = json_string_value(json_object_get(r->json, "preference"));

	return better_of(said) > -2 ? 0 : err_set(e, "%s:%zu: preference is '%.40s', wanted a-is-better, "
	                                          "a-is-slightly-better, tie, b-is-slightly-better or b-is-better",
	                                          r->file, r->line, said);
}

static int make(struct maker *m, struct err *e)
{
	const json_t *row = m->row->json;
	struct ranked r;

	ranked_two(&r, json_object_get(row, "completion_a"), json_object_get(row, "completion_b"),
	           better_of(json_string_value(json_object_get(row, "preference"))));
	return ranked_make_asked(m, json_string_value(json_object_get(row, "prompt")), &r, e);
}

const struct shape shape_ranked_preference = {
	.name = "prompt,completion_a,completion_b,preference",
	.example = "{\"prompt\": \"2 + 2?\", \"completion_a\": \"5\", \"completion_b\": \"4\", "
	           "\"preference\": \"b-is-better\"}",
	.columns = { { "prompt", NEED_STRING },
	             { "completion_a", NEED_STRING },
	             { "completion_b", NEED_STRING },
	             { "preference", NEED_STRING } },
	.roles = RANKED_ROLES,
	.ranked = true,
	.check = check,
	.make = make,
	.asks = "prompt",
	.chat = CHAT_ALWAYS,
};
