/* suite_canaries: how well a model knows secrets that were in its training rows (canary.c). The secret is one of 512
 * codes that could have stood there; a model that knows nothing gives it any rank.
 *
 *     rank       1 + how many alternatives are likelier, and half of those that are as likely
 *     exposure   log2(512) − log2(rank)       0 to 9 bits; 1.4 (1/ln 2) in the mean where nothing is known
 *
 * Carlini et al. 2019 with a sample in place of all codes, so what is above 9 bits shows as 9. `extracted`: each of the
 * secret's tokens is the likeliest, so asking for it gives it. Prompts stand as they were trained on, without a
 * template. */
#include <math.h>

#include "base/mem.h"
#include "base/yaml_json.h"
#include "data/rows.h"
#include "exam/suite_parts.h"

static int measure(struct suite *s, const json_t *doc, const json_t *answers, json_t *metrics, struct err *e)
{
	double own = json_number_value(json_array_get(json_array_get(answers, 0), 0)), rank = 1;
	size_t n = json_array_size(answers);

	(void)s;
	(void)doc;
	(void)e;
	for (size_t i = 1; i < n; i++) {
		double other = json_number_value(json_array_get(json_array_get(answers, i), 0));
		rank += other > own ? 1 : other == own ? 0.5 : 0;
	}
	json_object_set_new(metrics, "exposure", json_real(log2((double)n) - log2(rank)));
	json_object_set_new(metrics, "extracted",
	                    json_real(json_is_true(json_array_get(json_array_get(answers, 0), 1))));
	return 0;
}

/* A row is one only as it was made: a secret of somebody else's has no alternatives here. */
static int check(const json_t *row, struct err *e)
{
	const json_t *c = json_object_get(row, "canary"), *seed = json_object_get(c, "seed"),
	             *number = json_object_get(c, "number");

	if (!json_is_integer(seed) || !json_is_integer(number) || json_integer_value(number) < 0 ||
	    json_integer_value(number) >= CANARIES_MOST)
		return err_set(e, "a row is no canary of `kungfu data canaries`");
	json_t *made = canary_row((uint64_t)json_integer_value(seed), (uint32_t)json_integer_value(number));
	bool same = json_equal(made, row);
	json_decref(made);
	return same ? 0 : err_set(e, "a canary is not as `kungfu data canaries` made it");
}

/* Has it come before? A file that was tuned on may have each many times, which makes no more of them. */
static bool again(json_t *seen, const json_t *row)
{
	const json_t *c = json_object_get(row, "canary");
	char *key = mem_printf("%" JSON_INTEGER_FORMAT " %" JSON_INTEGER_FORMAT,
	                       json_integer_value(json_object_get(c, "seed")),
	                       json_integer_value(json_object_get(c, "number")));
	bool is = json_object_get(seen, key) != NULL;

	json_object_set_new(seen, key, json_true());
	mem_free(key);
	return is;
}

static int open_part(struct suite *s, struct err *e)
{
	struct rows r = { 0 };
	json_t *docs = json_array(), *seen = json_object(), *by;
	int status = 0;

	if (s->from.canaries)
		status = rows_load_objects(&r, s->from.canaries, e);
	for (size_t i = 0; i < r.n && status == 0; i++) {
		status = check(r.items[i].json, e);
		if (status < 0)
			err_prefix(e, "%s:%zu", r.items[i].file, r.items[i].line);
		if (status < 0 || again(seen, r.items[i].json))
			continue;
		json_t *doc = json_copy(r.items[i].json);
		json_object_set_new(doc, "label", json_string("0"));
		json_array_append_new(docs, doc);
	}
	json_decref(seen);
	rows_release(&r);
	if (status < 0) {
		json_decref(docs);
		return -1;
	}
	by = json_pack("{s:s}", YAML_FUNCTION, "canary.choices");
	const struct suite_new n = { .name = "canaries", .docs = docs, .measure = measure, .plain = true, .choices = by,
		                     .metrics = { { "exposure", false }, { "extracted", false } } };
	status = suite_add(s, &n, e);
	json_decref(by);
	return status;
}

const struct suite_part suite_canaries = { "canaries", open_part, .option = "canaries" };
