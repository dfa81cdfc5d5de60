/* combination: the table of ways, and their arithmetic on one tensor at a time. See combination.h. */
#include "adapt/combination.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

static const struct combination table[] = {
	{ "linear", "the sum of the LoRAs' factors, or of models", KEEP_ALL, false, OF_FACTORS, true, false },
	{ "cat", "the exact sum of LoRAs: their ranks add up", KEEP_ALL, false, OF_CONCATENATION, false, false },
	{ "svd", "the sum of adapters, cut to --svd-rank", KEEP_ALL, false, OF_PRODUCT, false, true },
	{ "ties", "the largest numbers, those of the agreed sign", KEEP_LARGEST, true, OF_FACTORS, true, false },
	{ "ties_svd", "ties of B·A, cut to --svd-rank", KEEP_LARGEST, true, OF_PRODUCT, false, false },
	{ "dare_linear", "random numbers, scaled up", KEEP_RANDOM, false, OF_FACTORS, true, false },
	{ "dare_ties", "random numbers, those of the agreed sign", KEEP_RANDOM, true, OF_FACTORS, true, false },
	{ "dare_linear_svd", "dare_linear of B·A, cut to --svd-rank", KEEP_RANDOM, false, OF_PRODUCT, false, false },
	{ "dare_ties_svd", "dare_ties of B·A, cut to --svd-rank", KEEP_RANDOM, true, OF_PRODUCT, false, false },
	{ "magnitude_prune", "the largest numbers", KEEP_LARGEST, false, OF_FACTORS, false, false },
	{ "magnitude_prune_svd", "the largest numbers of B·A, cut to --svd-rank", KEEP_LARGEST, false, OF_PRODUCT,
	  false, false },
	{ "task_arithmetic", "models: what each changed of the base, weighted", KEEP_ALL, false, OF_MODELS_ALONE, true,
	  false },
	{ "slerp", "two models: between them by their angle", KEEP_ALL, false, OF_MODELS_ALONE, true, false },
};

bool combination_rows(size_t i, struct opt_row *out)
{
	if (i >= ARRAY_LEN(table))
		return false;
	*out = (struct opt_row){ .name = table[i].name, .summary = table[i].summary, .standard = table[i].standard };
	return true;
}

const struct combination *combination_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (!strcmp(table[i].name, name))
			return &table[i];
	return NULL;
}

/* --- what is kept --- */

/* Larger first; of equals the one that stands first. */
static bool goes_before(const float *x, uint32_t i, uint32_t j)
{
	float a = fabsf(x[i]), b = fabsf(x[j]);

	return a > b || (a == b && i < j);
}

static void swap(uint32_t *a, uint32_t *b)
{
	uint32_t x = *a;

	*a = *b;
	*b = x;
}

/* Puts the k numbers that go before all others into order[0..k), in any order (Hoare's selection). */
static void select_largest(const float *x, uint32_t *order, size_t n, size_t k)
{
	size_t lo = 0, hi = n;

	while (hi - lo > 1) {
		size_t at = lo;
		swap(&order[lo + (hi - lo) / 2], &order[hi - 1]);
		for (size_t i = lo; i < hi - 1; i++)
			if (goes_before(x, order[i], order[hi - 1]))
				swap(&order[i], &order[at++]);
		swap(&order[at], &order[hi - 1]); /* the one that was compared with is in its place */
		if (k <= at)
			hi = at;
		else
			lo = at + 1;
	}
}

static void keep_largest(float *x, size_t n, double density, uint32_t *order)
{
	size_t k = (size_t)(density * (double)n);

	for (size_t i = 0; i < n; i++)
		order[i] = (uint32_t)i;
	select_largest(x, order, n, k);
	for (size_t i = k; i < n; i++)
		x[order[i]] = 0;
}

static void keep_random(const struct combining *c, float *x, size_t n, uint64_t stream)
{
	struct rng_key key = { c->seed, RNG_NOISE };
	float up = (float)c->density;

	for (size_t i = 0; i < n; i++)
		x[i] = rng_uniform(key, stream, (uint32_t)i, 0) < up ? x[i] / up : 0;
}

void combination_prune(const struct combining *c, float *x, size_t n, uint64_t stream, uint32_t *order)
{
	if (c->density >= 1)
		return;
	if (c->how->keep == KEEP_LARGEST)
		keep_largest(x, n, c->density, order);
	else if (c->how->keep == KEEP_RANDOM)
		keep_random(c, x, n, stream);
}

/* --- sums --- */

static float sign_of(float x) { return (float)((x > 0) - (x < 0)); }

/* +1 or −1: the sign of number j that is agreed upon. */
static float elected(const struct combining *c, const float *const *x, const double *weight, size_t n_tensors, size_t j)
{
	float sum = 0;

	for (size_t i = 0; i < n_tensors; i++) {
		float v = c->rules == RULES_MERGEKIT ? x[i][j] * (float)weight[i] : x[i][j];
		sum += c->by_frequency ? sign_of(v) : v;
	}
	return sum >= 0 ? 1 : -1;
}

static float agreed_sum(const struct combining *c, const float *const *x, const double *weight, size_t n_tensors,
                        size_t j)
{
	float sign = elected(c, x, weight, n_tensors, j), sum = 0, count = 0, weights = 0;

	for (size_t i = 0; i < n_tensors; i++) {
		float w = (float)weight[i], v = x[i][j] * w;
		if (sign_of(c->rules == RULES_MERGEKIT ? v : x[i][j]) != sign)
			continue;
		sum += v;
		count += 1;
		weights += w;
	}
	if (c->rules == RULES_PEFT)
		return sum / fmaxf(count, 1);
	return c->normalize && weights != 0 ? sum / weights : sum;
}

static float plain_sum(const struct combining *c, const float *const *x, const double *weight, size_t n_tensors,
                       size_t j)
{
	float sum = 0, weights = 0;

	for (size_t i = 0; i < n_tensors; i++) {
		sum += x[i][j] * (float)weight[i];
		weights += (float)weight[i];
	}
	return c->normalize && fabsf(weights) >= 1e-8f ? sum / weights : sum;
}

void combination_sum(const struct combining *c, const float *const *x, const double *weight, size_t n_tensors,
                     size_t n, float *out)
{
	for (size_t j = 0; j < n; j++)
		out[j] = c->how->elects ? agreed_sum(c, x, weight, n_tensors, j) :
		                          plain_sum(c, x, weight, n_tensors, j);
}

void combination_slerp(const float *a, const float *b, double t, size_t n, float *out)
{
	const double near = 0.9995, tiny = 1e-8;
	double aa = 0, bb = 0, ab = 0, to_a = 1 - t, to_b = t;

	for (size_t i = 0; i < n; i++) {
		aa += (double)a[i] * a[i];
		bb += (double)b[i] * b[i];
		ab += (double)a[i] * b[i];
	}
	double dot = ab / ((sqrt(aa) > tiny ? sqrt(aa) : 1) * (sqrt(bb) > tiny ? sqrt(bb) : 1));
	if (fabs(dot) <= near) {
		double angle = acos(dot);
		to_a = sin(angle * (1 - t)) / sin(angle);
		to_b = sin(angle * t) / sin(angle);
	}
	for (size_t i = 0; i < n; i++)
		out[i] = (float)(to_a * a[i] + to_b * b[i]);
}
