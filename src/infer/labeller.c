/* labeller: a scorer whose tape ends with the head that classifies. See labeller.h. */
#include "infer/labeller.h"

#include <math.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"

struct labeller {
	const struct labels *labels;
	struct scorer *scorer;
	float *out;                /* of the documents that come next */
};

static uint32_t record(void *ctx, struct graph *g, uint32_t hidden)
{
	(void)ctx;
	return graph_labels(g, hidden);
}

/* Documents that are alike have one row of outputs. */
static void said(void *ctx, struct batch *b, const struct document *const *docs, const float *z)
{
	struct labeller *x = ctx;
	size_t n = (size_t)x->labels->n;
	(void)docs;

	for (int32_t i = 0; i < b->n_labels; i++)
		memcpy(x->out + (size_t)b->label_doc[i] * n, z + (size_t)b->label_target[i] * n, n * sizeof(*z));
	x->out += (size_t)b->n_docs * n;
}

int labeller_new(struct labeller **out, struct model *m, const struct overlay *o, struct device *d, int32_t max_tokens,
                 int32_t max_length, struct err *e)
{
	struct labeller *x = mem_alloc(sizeof(*x));
	struct scorer_options so = { .max_tokens = max_tokens, .max_length = max_length, .record = record,
		                     .scored = said, .ctx = x };

	if (!m->labels)
		BUG("labels of a model that does not classify");
	x->labels = m->labels;
	if (scorer_new(&x->scorer, m, o, d, &so, e) < 0) {
		labeller_free(x);
		return -1;
	}
	*out = x;
	return 0;
}

int labeller_run(struct labeller *x, const struct document *const *docs, size_t n, float *out,
                 int (*progress)(void *ctx, size_t done, size_t total), void *ctx, struct err *e)
{
	x->out = out;
	return scorer_run(x->scorer, docs, n, false, NULL, NULL, progress, ctx, e);
}

struct scorer *labeller_scorer(struct labeller *x) { return x->scorer; }

void labeller_free(struct labeller *x)
{
	if (!x)
		return;
	scorer_free(x->scorer);
	mem_free(x);
}

/* --- what rows and outputs say --- */

static int no_label(const struct labels *l, const struct document *d, const char *word, struct err *e)
{
	struct arena mem = ARENA_INIT;

	err_set(e, "%s:%zu: the label '%.80s' is none of the model's: %s", d->file, d->line, word,
	        labels_list(&mem, l));
	arena_release(&mem);
	return -1;
}

int labels_of_one(const struct labels *l, const struct document *d, struct err *e)
{
	if (!d->label)
		return err_set(e, "%s:%zu: a list of labels, the model says one of a text", d->file, d->line);
	int k = labels_find(l, d->label);
	return k < 0 ? no_label(l, d, d->label, e) : k;
}

int labels_of_list(const struct labels *l, const struct document *d, uint8_t *has, struct err *e)
{
	memset(has, 0, (size_t)l->n);
	if (d->vector && d->n_names != l->n)
		return err_set(e, "%s:%zu: a list of %d numbers for %d labels", d->file, d->line, d->n_names, l->n);
	for (int32_t i = 0; i < d->n_names; i++) {
		int k = d->vector ? i : labels_find(l, d->names[i]);
		if (k < 0)
			return no_label(l, d, d->names[i], e);
		has[k] = !d->vector || d->names[i][0] == '1';
	}
	if (d->listed)
		return 0;
	int k = labels_of_one(l, d, e);
	if (k >= 0)
		has[k] = 1;
	return k < 0 ? -1 : 0;
}


int labels_largest(const struct labels *l, const float *z)
{
	int best = 0;

	for (int k = 1; k < l->n; k++)
		if (z[k] > z[best])
			best = k;
	return best;
}

void labels_probabilities(const struct labels *l, const float *z, double *p)
{
	double most = (double)z[labels_largest(l, z)], sum = 0;

	for (int k = 0; k < l->n; k++) {
		p[k] = l->problem == PROBLEM_REGRESSION   ? (double)z[k] :
		       l->problem == PROBLEM_SINGLE_LABEL ? exp((double)z[k] - most) : 1 / (1 + exp(-(double)z[k]));
		sum += p[k];
	}
	for (int k = 0; k < l->n && l->problem == PROBLEM_SINGLE_LABEL; k++)
		p[k] /= sum;
}

json_t *labels_said(const struct labels *l, const float *z)
{
	if (l->problem == PROBLEM_SINGLE_LABEL)
		return json_string(l->name[labels_largest(l, z)]);
	if (l->problem == PROBLEM_REGRESSION && l->n == 1)
		return jsonx_number((double)z[0]);
	json_t *list = json_array();

	for (int k = 0; k < l->n; k++)
		if (l->problem == PROBLEM_REGRESSION)
			json_array_append_new(list, jsonx_number((double)z[k]));
		else if (z[k] > 0)
			json_array_append_new(list, json_string(l->name[k]));
	return list;
}

json_t *labels_chances(const struct labels *l, const float *z)
{
	double *p = mem_array((size_t)l->n, sizeof(*p));
	json_t *j = l->problem == PROBLEM_REGRESSION ? NULL : json_object();

	labels_probabilities(l, z, p);
	for (int k = 0; j && k < l->n; k++)
		json_object_set_new(j, l->name[k], jsonx_number(p[k]));
	mem_free(p);
	return j;
}
