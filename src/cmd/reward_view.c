/* reward_view: lines and a table by subset. See reward_view.h. */
#include "cmd/reward_view.h"

#include "base/jsonx.h"
#include "base/mem.h"
#include "cmd/label_view.h"
#include "cmd/model_common.h"
#include "cmd/text_table.h"

enum { SHOWN = 40 };            /* subsets of a table */

void put_reward_scores(json_t *j, const struct reward_scores *s)
{
	json_t *subsets = json_object();

	put_estimate(j, "accuracy", &s->accuracy);
	put_estimate(j, "loss", &s->loss);
	put_estimate(j, "margin", &s->margin);
	put_estimate(j, "mean_reward", &s->reward);
	json_object_set_new(j, "min_reward", jsonx_number(s->min_reward));
	json_object_set_new(j, "max_reward", jsonx_number(s->max_reward));
	put_estimate(j, "length_accuracy", &s->length);
	put_estimate(j, "above_length", &s->above_length);
	put_estimate(j, "length_pearson", &s->pearson);
	put_estimate(j, "length_spearman", &s->spearman);
	json_object_set_new(j, "pairs", json_integer((json_int_t)s->pairs));
	json_object_set_new(j, "ties", json_integer((json_int_t)s->ties));
	json_object_set_new(j, "tied_rows", json_integer((json_int_t)s->tied_rows));
	for (size_t i = 0; i < s->n_subsets; i++) {
		json_t *one = json_pack("{s:I}", "n", (json_int_t)s->subsets[i].accuracy.n);
		put_estimate(one, "accuracy", &s->subsets[i].accuracy);
		put_estimate(one, "length_accuracy", &s->subsets[i].length);
		json_object_set_new(subsets, s->subsets[i].name, one);
	}
	json_object_set_new(j, "group_by", s->by ? json_string(s->by) : json_null());
	json_object_set_new(j, "subsets", subsets);
}

static void show_subsets(const struct reward_scores *s)
{
	struct table t = { .columns = 5, .right = 0x1e };
	struct buf out = BUF_INIT;
	size_t n = MIN(s->n_subsets, (size_t)SHOWN);

	table_cell(&t, "%s", s->by);
	table_cell(&t, "accuracy");
	table_cell(&t, "95 %%");
	table_cell(&t, "longer wins");
	table_cell(&t, "rows");
	for (size_t i = 0; i < n; i++) {
		const struct reward_subset *x = &s->subsets[i];
		table_cell(&t, "%s", x->name);
		table_cell(&t, "%.4f", x->accuracy.mean);
		table_cell(&t, "%.4f to %.4f", x->accuracy.low, x->accuracy.high);
		table_cell(&t, "%.4f", x->length.mean);
		table_cell(&t, "%zu", x->accuracy.n);
	}
	table_write(&out, &t, "  ");
	app_print("%s", buf_str(&out));
	if (s->n_subsets > n)
		app_print("  and %zu subsets more: --json has all\n", s->n_subsets - n);
	buf_release(&out);
	table_release(&t);
}

void show_reward_scores(const struct reward_scores *s)
{
	show_estimate("accuracy", &s->accuracy, "rows");
	show_estimate("loss", &s->loss, "rows");
	show_estimate("margin", &s->margin, "rows");
	show_estimate("reward", &s->reward, "answers");
	app_print("  %-12s %8.4f to %.4f\n", "between", s->min_reward, s->max_reward);
	show_estimate("longer wins", &s->length, "rows");
	show_estimate("above length", &s->above_length, "rows");
	show_estimate("r(length)", &s->pearson, "answers");
	show_estimate("rho(length)", &s->spearman, "answers");
	if (s->pairs != s->rows)
		app_print("  %zu pairs in %zu rows; a row counts once\n", s->pairs, s->rows);
	if (s->ties)
		app_print("  %zu of %zu pairs have equal rewards, and count as wrong\n", s->ties, s->pairs);
	if (s->tied_rows)
		app_print("  %zu rows are left out: none of their answers is better\n", s->tied_rows);
	if (s->n_subsets)
		show_subsets(s);
}
