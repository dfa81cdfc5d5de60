/* label_view: scores of labels as lines, a table a label, and a matrix. See label_view.h. */
#include "cmd/label_view.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "cmd/model_common.h"
#include "cmd/text_table.h"

enum { SHOWN = 30 };            /* labels of a table; 12 of a matrix */
enum { MATRIX = 12 };

void show_estimate(const char *name, const struct estimate *x, const char *unit)
{
	char error[32] = "", interval[64] = "";

	if (!x->n)
		return;
	if (isnan(x->mean)) {
		app_print("  %-12s %8s  (%zu %.*s)\n", name, "-", x->n, (int)strlen(unit) - (x->n == 1), unit);
		return;
	}
	if (isfinite(x->stderr_)) /* of one alone it is not known */
		snprintf(error, sizeof(error), "± %.4f  ", x->stderr_);
	if (isfinite(x->low) && isfinite(x->high))
		snprintf(interval, sizeof(interval), "95 %%: %.4f to %.4f; ", x->low, x->high);
	app_print("  %-12s %8.4f  %s(%s%zu %.*s)\n", name, x->mean, error, interval, x->n,
	          (int)strlen(unit) - (x->n == 1), unit);
}

/* --- for scripts --- */

static json_t *class_json(const struct label_score *c, const char *name)
{
	json_t *j = json_pack("{s:s}", "label", name);

	put_estimate(j, "precision", &c->precision);
	put_estimate(j, "recall", &c->recall);
	put_estimate(j, "f1", &c->f1);
	if (!c->said) /* as scikit-learn has it */
		json_object_set_new(j, "precision", json_real(0));
	if (!c->rows)
		json_object_set_new(j, "recall", json_real(0));
	json_object_set_new(j, "rows", json_integer((json_int_t)c->rows));
	json_object_set_new(j, "predicted", json_integer((json_int_t)c->said));
	return j;
}

static json_t *matrix_json(const struct label_scores *s)
{
	json_t *rows = json_array();
	size_t n = (size_t)s->n;

	for (size_t i = 0; i < n; i++) {
		json_t *row = json_array();
		for (size_t k = 0; k < n; k++)
			json_array_append_new(row, json_integer((json_int_t)s->confusion[i * n + k]));
		json_array_append_new(rows, row);
	}
	return rows;
}

void put_label_scores(json_t *j, const struct evaluation *v, const struct labels *l)
{
	const struct label_scores *s = &v->labels;

	if (l->problem == PROBLEM_REGRESSION) {
		put_estimate(j, "mse", &s->mse);
		put_estimate(j, "rmse", &s->rmse);
		put_estimate(j, "mae", &s->mae);
		put_estimate(j, "pearson", &s->pearson);
		put_estimate(j, "spearman", &s->spearman);
		return;
	}
	put_estimate(j, "loss", &v->loss);
	put_estimate(j, "accuracy", &s->accuracy);
	put_estimate(j, "macro_f1", &s->macro_f1);
	if (l->problem == PROBLEM_MULTI_LABEL)
		put_estimate(j, "micro_f1", &s->micro_f1);
	else
		put_estimate(j, "mcc", &s->mcc);
	json_t *each = json_array();
	for (int k = 0; k < s->n; k++)
		json_array_append_new(each, class_json(&s->each[k], l->name[k]));
	json_object_set_new(j, "labels", each);
	if (l->problem == PROBLEM_SINGLE_LABEL)
		json_object_set_new(j, "confusion", s->confusion ? matrix_json(s) : json_null());
}

/* --- for people --- */

static void write_table(struct table *t)
{
	struct buf out = BUF_INIT;

	table_write(&out, t, "  ");
	app_print("%s", buf_str(&out));
	buf_release(&out);
	table_release(t);
}

static void show_classes(const struct label_scores *s, const struct labels *l)
{
	struct table t = { .columns = 6, .right = 0x3e };
	static const char *const names[] = { "label", "precision", "recall", "F1", "rows", "predicted" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		table_cell(&t, "%s", names[i]);
	for (int k = 0; k < MIN(s->n, SHOWN); k++) {
		const struct label_score *c = &s->each[k];
		table_cell(&t, "%s", l->name[k]);
		table_cell(&t, "%.4f", c->precision.mean);
		table_cell(&t, "%.4f", c->recall.mean);
		table_cell(&t, "%.4f", c->f1.mean);
		table_cell(&t, "%zu", c->rows);
		table_cell(&t, "%zu", c->said);
	}
	write_table(&t);
	if (s->n > SHOWN)
		app_print("  and %d labels more: --json has all\n", s->n - SHOWN);
}

static void show_matrix(const struct label_scores *s, const struct labels *l)
{
	struct table t = { .columns = (size_t)s->n + 1, .right = ~1U };

	table_cell(&t, "rows of \\ predicted");
	for (int k = 0; k < s->n; k++)
		table_cell(&t, "%s", l->name[k]);
	for (int i = 0; i < s->n; i++) {
		table_cell(&t, "%s", l->name[i]);
		for (int k = 0; k < s->n; k++)
			table_cell(&t, "%zu", s->confusion[(size_t)i * (size_t)s->n + (size_t)k]);
	}
	write_table(&t);
}

void show_label_scores(const struct evaluation *v, const struct labels *l)
{
	const struct label_scores *s = &v->labels;

	show_estimate("loss", &v->loss, "rows");
	show_estimate("accuracy", &s->accuracy, "rows");
	show_estimate("macro F1", &s->macro_f1, "rows");
	show_estimate("micro F1", &s->micro_f1, "rows");
	show_estimate("MCC", &s->mcc, "rows");
	show_estimate("MSE", &s->mse, "rows");
	show_estimate("RMSE", &s->rmse, "rows");
	show_estimate("MAE", &s->mae, "rows");
	show_estimate("Pearson", &s->pearson, "rows");
	show_estimate("Spearman", &s->spearman, "rows");
	if (s->each)
		show_classes(s, l);
	if (s->confusion && s->n <= MATRIX)
		show_matrix(s, l);
}
