/* dawid_skene: expectation–maximisation over units. See dawid_skene.h. */
#include "feedback/dawid_skene.h"

#include <math.h>
#include <string.h>

enum { ROUNDS = 1000 };
static const double settled = 1e-12;            /* of the likelihood, relative */

static size_t size_of(const struct judgements *j, int32_t u) { return j->first[u + 1] - j->first[u]; }

/* Did another rater judge it too? */
static bool counts(const struct judgements *j, int32_t u)
{
	for (size_t i = j->first[u] + 1; i < j->first[u + 1]; i++)
		if (j->at[i].rater != j->at[j->first[u]].rater)
			return true;
	return false;
}

static double *row_of(const struct dawid_skene *d, int32_t rater, size_t truth)
{
	return d->confusion + ((size_t)rater * d->values + truth) * d->values;
}

static void vote(struct dawid_skene *d, const struct judgements *j)
{
	for (int32_t u = 0; u < j->n_units; u++)
		for (size_t i = j->first[u]; i < j->first[u + 1]; i++)
			d->posterior[(size_t)u * d->values + (size_t)j->at[i].value] += 1 / (double)size_of(j, u);
}

static void normalize(double *x, size_t n)
{
	double sum = 0;

	for (size_t v = 0; v < n; v++)
		sum += x[v];
	for (size_t v = 0; v < n; v++)
		x[v] = sum > 0 ? x[v] / sum : 1 / (double)n;
}

/* What raters say by the posteriors of the units that count. */
static void maximise(struct dawid_skene *d, const struct judgements *j, double smoothing)
{
	size_t V = d->values, cells = (size_t)j->n_raters * V * V;

	memset(d->prior, 0, V * sizeof(*d->prior));
	for (size_t i = 0; i < cells; i++)
		d->confusion[i] = smoothing;
	for (int32_t u = 0; u < j->n_units; u++) {
		const double *p = d->posterior + (size_t)u * V;
		bool used = counts(j, u);
		for (size_t v = 0; used && v < V; v++) {
			d->prior[v] += p[v];
			for (size_t i = j->first[u]; i < j->first[u + 1]; i++)
				row_of(d, j->at[i].rater, v)[j->at[i].value] += p[v];
		}
	}
	normalize(d->prior, V);
	for (size_t i = 0; i < cells; i += V)
		normalize(d->confusion + i, V);
}

/* The posteriors, of units that count or of the others; the logarithm of the likelihood. */
static double expect(struct dawid_skene *d, const struct judgements *j, bool counting)
{
	double likelihood = 0;

	for (int32_t u = 0; u < j->n_units; u++) {
		double *p = d->posterior + (size_t)u * d->values, most = -INFINITY, sum = 0;
		if (counts(j, u) != counting)
			continue;
		for (size_t v = 0; v < d->values; v++) {
			p[v] = log(d->prior[v]);
			for (size_t i = j->first[u]; i < j->first[u + 1]; i++)
				p[v] += log(row_of(d, j->at[i].rater, v)[j->at[i].value]);
			most = fmax(most, p[v]);
		}
		for (size_t v = 0; v < d->values; v++)
			sum += p[v] = isfinite(most) ? exp(p[v] - most) : 1;
		normalize(p, d->values);
		likelihood += isfinite(most) ? most + log(sum) : 0;
	}
	return likelihood;
}

/* Raters of whom nothing is known say what raters say together. */
static void know_raters(struct dawid_skene *d, const struct judgements *j, struct arena *mem)
{
	size_t V = d->values;
	double *together = arena_array(mem, V * V, sizeof(*together));
	bool *known = arena_array(mem, (size_t)j->n_raters, sizeof(*known));

	for (int32_t u = 0; u < j->n_units; u++)
		for (size_t i = j->first[u]; i < j->first[u + 1]; i++)
			known[j->at[i].rater] |= counts(j, u);
	for (int32_t r = 0; r < j->n_raters; r++) {
		d->reliability[r] = known[r] ? 0 : NAN;
		for (size_t v = 0; known[r] && v < V; v++) {
			d->reliability[r] += d->prior[v] * row_of(d, r, v)[v];
			for (size_t w = 0; w < V; w++)
				together[v * V + w] += row_of(d, r, v)[w];
		}
	}
	for (size_t v = 0; v < V; v++)
		normalize(together + v * V, V);
	for (int32_t r = 0; r < j->n_raters; r++)
		if (!known[r])
			memcpy(row_of(d, r, 0), together, V * V * sizeof(*together));
}

void dawid_skene(struct dawid_skene *d, const struct judgements *j, double smoothing, struct arena *mem)
{
	size_t V = (size_t)j->n_values;
	double last = -INFINITY;

	*d = (struct dawid_skene){ .values = V };
	d->prior = arena_array(mem, V, sizeof(double));
	d->confusion = arena_array(mem, (size_t)j->n_raters * V * V, sizeof(double));
	d->posterior = arena_array(mem, (size_t)j->n_units * V, sizeof(double));
	d->reliability = arena_array(mem, (size_t)j->n_raters, sizeof(double));
	vote(d, j);
	while (d->rounds < ROUNDS) {
		maximise(d, j, smoothing);
		d->likelihood = expect(d, j, true);
		d->rounds++;
		if (d->likelihood - last <= settled * fabs(d->likelihood))
			break;
		last = d->likelihood;
	}
	know_raters(d, j, mem);
	expect(d, j, false);
}

double unit_entropy(const struct dawid_skene *d, int32_t unit)
{
	const double *p = d->posterior + (size_t)unit * d->values;
	double sum = 0;

	for (size_t v = 0; v < d->values; v++)
		sum -= p[v] > 0 ? p[v] * log(p[v]) : 0;
	return sum;
}
