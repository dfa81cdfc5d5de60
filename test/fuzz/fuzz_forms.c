/* fuzz: any JSON, a row or a list of them, as what people said in every form that others keep it in: statements of
 * answers that are there, or a sentence. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "data/forms/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_json(const char *text)
{
	json_t *j = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;

	if (text && !j)
		BUG("no JSON: %s", text);
	json_decref(j);
}

static int take(void *ctx, const struct statement *s, struct err *e)
{
	const struct feedback_item *it = &s->item;
	const struct feedback_label *l = &s->label;
	(void)e;

	if (it->n < 0 || it->n > FEEDBACK_ANSWERS || !it->prompt)
		BUG("%d answers of %s", it->n, it->prompt ? it->prompt : "nothing");
	for (int i = 0; i < it->n; i++)
		if (!it->answers[i] || l->shown[i] < -1 || l->shown[i] >= it->n || l->rank[i] < 0 ||
		    l->rank[i] > it->n || isinf(l->rating[i]))
			BUG("answer %d of %d", i, it->n);
	if (l->winner < FEEDBACK_NONE || l->winner >= it->n || it->gold < FEEDBACK_NONE || it->gold >= it->n ||
	    l->edited_answer < FEEDBACK_NONE || l->edited_answer >= it->n || (l->edited_answer >= 0 && !l->edited))
		BUG("winner %d, gold %d, edited %d of %d", l->winner, it->gold, l->edited_answer, it->n);
	check_json(it->prompt);
	check_json(it->extra);
	++*(size_t *)ctx;
	return 0;
}

static void read_rows(struct rows *r)
{
	struct err e = ERR_INIT;
	const struct form *of = form_of(r, &e);

	if (!of && !*e.msg)
		BUG("no form, without a word");
	for (const struct form *const *f = form_table; *f; f++) {
		size_t taken = 0;
		e = (struct err)ERR_INIT;
		if (form_read(*f, r, take, &taken, &e) < 0 && !*e.msg)
			BUG("%s: refused without a word", (*f)->name);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	json_t *all = n <= 8192 ? json_loadb((const char *)data, n, JSON_ALLOW_NUL, NULL) : NULL, *one;
	struct rows r = { .cap = 0 };
	struct row row[16];
	size_t i;

	r.items = row;
	if (json_is_object(all))
		row[r.n++] = (struct row){ all, "rows.jsonl", 1 };
	json_array_foreach(all, i, one)
		if (json_is_object(one) && r.n < ARRAY_LEN(row))
			row[r.n++] = (struct row){ one, "rows.jsonl", i + 1 };
	if (r.n)
		read_rows(&r);
	json_decref(all);
	return 0;
}
