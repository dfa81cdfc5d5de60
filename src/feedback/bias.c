/* bias: one logistic model of the first answer's winning. See bias.h. */
#include "feedback/bias.h"

#include <math.h>
#include <string.h>

#include "base/logistic.h"
#include "base/mem.h"
#include "feedback/newton.h"
#include "feedback/standings.h"

enum { SIDE, LENGTH, STRENGTHS };       /* columns; of models all but the first have one */
enum { MODELS = 64 };                   /* more are not fitted beside */

struct row { double won, length; size_t first, second; };      /* columns of the models, 0: none */

struct model { const struct row *rows; size_t n, columns; };

static double likelihood(const void *ctx, const double *x, double *g, double *h)
{
	const struct model *m = ctx;
	double value = 0;

	for (size_t i = 0; i < m->n; i++) {
		const struct row *r = &m->rows[i];
		size_t at[4] = { SIDE, LENGTH, r->first, r->second };
		double by[4] = { 1, r->length, r->first > 0, -(double)(r->second > 0) }, z = 0;
		for (int k = 0; k < 4; k++)
			z += by[k] * x[at[k]];
		double p = sigmoid(z);
		value -= r->won * softplus(-z) + (1 - r->won) * softplus(z);
		for (int k = 0; g && k < 4; k++) {
			g[at[k]] += by[k] * (r->won - p);
			for (int l = 0; l < 4; l++)
				h[at[k] * m->columns + at[l]] += by[k] * by[l] * p * (1 - p);
		}
	}
	return value;
}

static size_t column_of(const struct standings *st, const char *model)
{
	for (size_t i = 1; i < st->n; i++)
		if (model && !strcmp(st->at[i].model, model))
			return STRENGTHS + i - 1;
	return 0;
}

/* The comparisons whose sides are known as rows; shares are counted on the way. */
static size_t rows_of(struct bias *out, const struct said *s, const struct comparison *c, size_t n,
                      const struct standings *st, struct row *rows)
{
	size_t kept = 0;

	out->first_won = out->longer_won = 0;
	for (size_t i = 0; i < n; i++) {
		const struct feedback_item *it = &s->items[c[i].item];
		double a = (double)strlen(it->answers[c[i].a]) + 1, b = (double)strlen(it->answers[c[i].b]) + 1;
		bool decided = islessgreater(c[i].won, 0.5);
		if (decided && islessgreater(a, b)) {
			out->n_longer++;
			out->longer_won += (a > b) == (c[i].won > 0.5);
		}
		if (c[i].first < 0)
			continue;
		out->n_first += decided;
		out->first_won += decided && (c[i].first == 1) == (c[i].won > 0.5);
		size_t of_a = st ? column_of(st, it->models[c[i].a]) : 0;
		size_t of_b = st ? column_of(st, it->models[c[i].b]) : 0;
		rows[kept++] = c[i].first ? (struct row){ c[i].won, log(a / b), of_a, of_b } :
		                            (struct row){ 1 - c[i].won, log(b / a), of_b, of_a };
	}
	out->first_won /= (double)out->n_first;
	out->longer_won /= (double)out->n_longer;
	return kept;
}

static bool all_named(const struct said *s, const struct comparison *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!s->items[c[i].item].models[c[i].a] || !s->items[c[i].item].models[c[i].b])
			return false;
	return n > 0;
}

void bias_of(struct bias *out, const struct said *s, const struct comparison *c, size_t n)
{
	struct arena mem = ARENA_INIT;
	struct standings st;
	struct row *rows = mem_array(n, sizeof(*rows));

	*out = (struct bias){ .side = { NAN, NAN }, .length = { NAN, NAN } };
	standings_of(&st, s, c, n, false, &(struct resample){ 0 }, &mem);
	out->strengths = st.groups == 1 && st.n <= MODELS && all_named(s, c, n);
	struct model m = { rows, rows_of(out, s, c, n, out->strengths ? &st : NULL, rows),
		           out->strengths ? STRENGTHS + st.n - 1 : STRENGTHS };
	out->n = m.n;
	const struct newton f = { m.columns, likelihood, &m };
	double *x = mem_array(m.columns * (m.columns + 1), sizeof(*x)), *inverse = x + m.columns;
	if (newton_climb(&f, x, inverse)) {
		out->side = (struct coefficient){ x[SIDE], sqrt(inverse[0]) };
		out->length = (struct coefficient){ x[LENGTH], sqrt(inverse[m.columns + 1]) };
	}
	mem_free(x);
	mem_free(rows);
	arena_release(&mem);
}
