/* learnt: rows of the task as a learner reads them, and what it says of rows as outcomes: the label with the largest
 * output, its probability. See learnt.h. */
#include "ladder/learnt.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "learn/answers.h"

int learnt_fits(struct ladder *l, struct err *e)
{
	const struct task *t = l->task;
	int seen = -1;

	if (!t->n_classes)
		return err_set(e, "these rows have no classes");
	for (size_t i = 0; i < t->n; i++) {
		if (t->rows[i].side != SIDE_TRAIN)
			continue;
		if (seen >= 0 && t->rows[i].class != seen)
			return 0;
		seen = t->rows[i].class;
	}
	return err_set(e, "the rows to learn from are of one class");
}

/* Rows at[n] of the task; the list is the caller's to free. */
static struct rows rows_at(const struct task *t, const size_t *at, size_t n)
{
	struct row *items = mem_array(MAX(n, 1), sizeof(*items));

	for (size_t i = 0; i < n; i++)
		items[i] = t->rows[at[i]].row;
	return (struct rows){ .items = items, .n = n, .shape = t->shape };
}

int learnt_make(struct ladder *l, enum learner_kind kind, const char *dir, struct err *e)
{
	struct learner_options o = { .layer = -1, .folds = 5, .seed = l->seed };
	struct workshop on = { l->device->kernels, l->device->pool };
	struct answers a = { 0 };
	struct learner learner = { 0 };
	size_t n, *at = task_side(l->task, SIDE_TRAIN, &n);
	struct rows rows = rows_at(l->task, at, n);
	int status = answers_learn(&a, &rows, false, e);

	if (status == 0) {
		status = learner_fit(&learner, kind, &a.rows, &o, &on, e);
		if (status == 0)
			status = learner_save(&learner, dir, NULL, e);
		learner_release(&learner);
		answers_release(&a);
	}
	mem_free(rows.items);
	mem_free(at);
	return status;
}

static int class_of(const struct task *t, const char *name)
{
	for (int c = 0; c < t->n_classes; c++)
		if (!strcmp(t->classes[c], name))
			return c;
	return -1;
}

static void take(const struct ladder *l, const struct learner *learner, const float *z, const struct task_row *row,
                 struct outcome *o)
{
	int best = 0, n = learner->labels.n;
	double sum = 0, right = 0;

	for (int k = 1; k < n; k++)
		if (z[k] > z[best])
			best = k;
	for (int k = 0; k < n; k++) {
		double share = exp((double)(z[k] - z[best]));
		sum += share;
		if (class_of(l->task, learner->labels.name[k]) == row->class)
			right = share;
	}
	*o = outcome_none;
	o->said = class_of(l->task, learner->labels.name[best]);
	o->hit = o->hit_norm = o->exact = o->f1 = o->said == row->class;
	o->confidence = 1 / sum;
	o->chance = right / sum;
}

int learnt_answer(struct ladder *l, const char *dir, const size_t *at, size_t n, struct outcome *out, struct err *e)
{
	struct workshop on = { l->device->kernels, l->device->pool };
	struct rows rows = rows_at(l->task, at, n);
	struct answers a = { 0 };
	struct learner learner = { 0 };
	int status = learner_load(&learner, dir, NULL, e);

	if (status == 0 && (status = answers_ask(&a, &rows, e)) == 0) {
		float *z = mem_array(n * (size_t)learner.labels.n, sizeof(*z));
		status = learner_outputs(&learner, &a.rows, &on, z, e);
		for (size_t i = 0; i < n && status == 0; i++)
			take(l, &learner, z + i * (size_t)learner.labels.n, &l->task->rows[at[i]], &out[i]);
		mem_free(z);
		answers_release(&a);
	}
	learner_release(&learner);
	mem_free(rows.items);
	return status;
}

json_t *learnt_leaves(struct ladder *l, const char *dir, struct err *e)
{
	(void)l, (void)dir, (void)e;
	return json_pack("{s:s, s:s}", "kind", "learner", "learner", ".");
}
