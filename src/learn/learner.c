/* learner: what is said of rows once it is fitted. See learner.h; fitting is learner_fit.c, files learner_file.c. */
#include "learn/learner.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "learn/knn.h"
#include "learn/learner_parts.h"

const char *const learner_names[LEARNERS] = {
	[LEARNER_MAJORITY] = "majority", [LEARNER_TFIDF] = "tfidf", [LEARNER_KNN] = "knn", [LEARNER_PROBE] = "probe"
};

int learner_find(const char *name)
{
	for (int i = 0; i < LEARNERS; i++)
		if (!strcmp(learner_names[i], name))
			return i;
	return -1;
}

bool learner_reads_features(enum learner_kind kind) { return kind == LEARNER_KNN || kind == LEARNER_PROBE; }

void learner_release(struct learner *l)
{
	linear_release(&l->linear);
	mem_free(l->held);
	arena_release(&l->mem);
	*l = (struct learner){ 0 };
}

/* --- parts --- */

void learner_spread(const struct learner *l, const double *out, size_t rows, double *z)
{
	size_t k = (size_t)l->labels.n;

	if (l->linear.outputs == l->labels.n) {
		memcpy(z, out, rows * k * sizeof(*z));
		return;
	}
	for (size_t i = 0; i < rows; i++) {
		z[2 * i] = 0;
		z[2 * i + 1] = out[i];
	}
}

void learner_vote(const struct learner *l, const int32_t *y, const double *number, const int32_t *nearest, size_t m,
                  size_t most, int k, double *z)
{
	size_t labels = (size_t)l->labels.n;

	memset(z, 0, m * labels * sizeof(*z));
	for (size_t i = 0; i < m; i++, z += labels) {
		int have = 0;
		while (have < k && nearest[i * most + (size_t)have] >= 0)
			have++;
		for (int j = 0; j < have; j++)
			if (number)
				z[0] += number[nearest[i * most + (size_t)j]] / have;
			else
				z[y[nearest[i * most + (size_t)j]]]++;
		for (size_t c = 0; !number && c < labels; c++)
			z[c] = log((z[c] + 1 / (double)labels) / (have + 1));
	}
}

void learner_features(const struct learner *l, const struct examples *x, size_t place, const int32_t *pick, size_t n,
                      float *out)
{
	for (size_t i = 0; i < n; i++) {
		const float *row = x->feature + ((pick ? (size_t)pick[i] : i) * x->n_layers + place) * x->width;
		for (size_t c = 0; c < x->width; c++)
			out[i * x->width + c] = (row[c] - l->center[c]) * l->scale[c];
	}
}

/* --- outputs --- */

static int place_of(const struct learner *l, const struct examples *x, size_t *place, struct err *e)
{
	if (!x->feature || x->width != l->width)
		return err_set(e, "a %s on %zu features a row; the model has %zu", learner_names[l->kind], l->width,
		               x->feature ? x->width : 0);
	for (*place = 0; *place < x->n_layers; ++*place)
		if (x->layer[*place] == l->layer)
			return 0;
	return err_set(e, "a %s on layer %d, which the features do not have", learner_names[l->kind], l->layer);
}

static void say_words(const struct learner *l, const struct examples *x, const struct workshop *on, double *z)
{
	struct arena mem = ARENA_INIT;
	struct design rows;
	double *out = arena_array(&mem, x->n * (size_t)l->linear.outputs + 1, sizeof(*out));

	tfidf_rows(&l->words, &mem, x->text, NULL, x->n, false, &rows);
	linear_outputs(&l->linear, &rows, on, out);
	learner_spread(l, out, x->n, z);
	arena_release(&mem);
}

static void say_features(const struct learner *l, const struct examples *x, size_t place, const struct workshop *on,
                         double *z)
{
	struct arena mem = ARENA_INIT;
	float *rows = arena_array(&mem, x->n * l->width + 1, sizeof(*rows));
	size_t k = (size_t)MAX(l->k, 1);

	learner_features(l, x, place, NULL, x->n, rows);
	if (l->kind == LEARNER_PROBE) {
		double *out = arena_array(&mem, x->n * (size_t)l->linear.outputs + 1, sizeof(*out));
		struct design d = { .rows = x->n, .cols = l->width, .dense = rows };
		linear_outputs(&l->linear, &d, on, out);
		learner_spread(l, out, x->n, z);
	} else {
		int32_t *nearest = arena_array(&mem, x->n * k + 1, sizeof(*nearest));
		knn_unit(rows, x->n, l->width);
		knn_find(l->kept, l->n_kept, rows, x->n, l->width, k, NULL, on, nearest);
		learner_vote(l, l->kept_y, l->kept_number, nearest, x->n, k, l->k, z);
	}
	arena_release(&mem);
}

int learner_outputs(const struct learner *l, const struct examples *x, const struct workshop *on, float *out,
                    struct err *e)
{
	size_t labels = (size_t)l->labels.n, place = 0;

	if (learner_reads_features(l->kind) && place_of(l, x, &place, e) < 0)
		return -1;
	double *z = mem_array(x->n * labels + 1, sizeof(*z));
	for (size_t i = 0; l->kind == LEARNER_MAJORITY && i < x->n; i++)
		memcpy(z + i * labels, l->prior, labels * sizeof(*z));
	if (l->kind == LEARNER_TFIDF)
		say_words(l, x, on, z);
	else if (learner_reads_features(l->kind))
		say_features(l, x, place, on, z);
	for (size_t i = 0; i < x->n * labels; i++)
		out[i] = (float)(z[i] / l->temperature);
	mem_free(z);
	return 0;
}
