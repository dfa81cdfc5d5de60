/* laws_view: what a plan of a new model says beside it: the size and the tokens on which as many operations are spent
 * best, and what each law (train/laws.h) says of a run like it, with its source. C = 6·N·D; others measured on models
 * that are larger than most that are made here, so where that was is said too. */
#include <math.h>
#include <stdio.h>

#include "base/human.h"
#include "base/mem.h"
#include "cmd/pretrain/pretrain.h"
#include "cmd/text_table.h"
#include "train/laws.h"

enum { VALUES = 9, TEXT = 80 };

struct said {
	char law[TEXT], here[TEXT];
};

static const char *amount(double x, char out[32])
{
	if (x >= 100)
		return human_count(x, out);
	snprintf(out, 32, "%.3g", x);
	return out;
}

static void put(char out[TEXT], const char *before, double x, const char *between, double y, const char *after)
{
	char a[32], b[32];

	snprintf(out, TEXT, "%s%s%s%s%s", before, amount(x, a), between, isnan(y) ? "" : amount(y, b), after);
}

/* By their order in laws[]. */
static void values(struct said v[VALUES], const struct pretrain_facts *f)
{
	double c = 6 * f->n * f->tokens, n, tokens, width = 64 * cbrt(f->n / 49152);

	law_optimal(c, LAW_RATIO, &n, &tokens);
	put(v[0].law, "", n, " on ", tokens, "");
	put(v[0].here, "", f->n, " on ", f->tokens, "");
	put(v[1].law, "", law_repeated(f->unique, f->tokens), " fresh ones", NAN, "");
	put(v[1].here, "", f->tokens, " of ", f->unique, "");
	put(v[2].law, "", law_batch(f->tokens), "", NAN, "");
	put(v[2].here, "", f->batch, "", NAN, "");
	put(v[3].law, "", law_rate(f->n, f->tokens), "", NAN, "");
	put(v[3].here, "", f->rate, "", NAN, "");
	put(v[4].law, "", law_batch_of_flops(c), "", NAN, "");
	put(v[4].here, "", f->batch, "", NAN, "");
	put(v[5].law, "", law_rate_of_flops(c), "", NAN, "");
	put(v[5].here, "", f->rate, "", NAN, "");
	put(v[6].law, "", law_batch_for(f->batch, f->tokens, 4 * f->tokens), " for ", 4 * f->tokens, "");
	put(v[6].here, "", f->batch, " for ", f->tokens, "");
	put(v[7].law, "", law_rate_for(f->rate, f->batch, 4 * f->batch), " for ", 4 * f->batch, "");
	put(v[7].here, "", f->rate, " for ", f->batch, "");
	put(v[8].law, "", (double)law_vocabulary(c, (int)width), "", NAN, "");
	put(v[8].here, "", f->vocabulary, "", NAN, "");
}

void pretrain_laws(const struct app *app, const struct pretrain_facts *f)
{
	struct table t = { .columns = 5, .drop = (const int[]){ 4, 3, -1 } };
	struct said v[VALUES];
	struct buf out = BUF_INIT;
	json_t *list = json_array();

	values(v, f);
	const char *const names[] = { "law", "says", "here", "formula", "measured" };
	for (size_t i = 0; i < t.columns; i++)
		table_cell(&t, "%s", names[i]);
	for (size_t i = 0; laws[i].name; i++) {
		if (i >= VALUES)
			BUG("a law without a value");
		table_cell(&t, "%s", laws[i].name);
		table_cell(&t, "%s", v[i].law);
		table_cell(&t, "%s", v[i].here);
		table_cell(&t, "%s", laws[i].formula);
		table_cell(&t, "%s: %s", laws[i].source, laws[i].fitted);
		json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "law", laws[i].name, "says",
		                                      v[i].law, "here", v[i].here, "formula", laws[i].formula,
		                                      "source", laws[i].source, "fitted", laws[i].fitted));
	}
	table_write(&out, &t, "  ");
	if (app->json) {
		json_t *j = json_pack("{s:O}", "laws", list);
		app_json(j);
		json_decref(j);
	} else {
		char n[32], tokens[32];
		app_print("by others' laws, for %s parameters without tables and head, %s tokens:\n%s",
		          amount(f->n, n), amount(f->tokens, tokens), buf_str(&out));
	}
	json_decref(list);
	buf_release(&out);
	table_release(&t);
}
