/* resample: draws of units, and the middle of what was counted from them. See resample.h. */
#include "feedback/resample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

void resample_times(uint32_t *times, size_t n, uint64_t seed, int i)
{
	struct rng_key key = { seed, RNG_SAMPLE };
	uint32_t words[4];

	memset(times, 0, n * sizeof(*times));
	for (size_t k = 0; k < n; k++) {
		if (k % 4 == 0)
			rng_words(key, k / 4, (uint32_t)i, 0, words);
		times[(uint64_t)words[k % 4] * n >> 32]++;
	}
}

int by_number(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double quantile(const double *x, size_t n, double p)
{
	if (n == 0)
		return NAN;
	double at = p * (double)(n - 1);
	size_t i = (size_t)at;
	return i + 1 < n ? x[i] + (at - (double)i) * (x[i + 1] - x[i]) : x[n - 1];
}

double median(double *x, size_t n)
{
	qsort(x, n, sizeof(*x), by_number);
	return quantile(x, n, 0.5);
}

struct bounds resample_bounds(double value, double *draws, size_t n)
{
	size_t known = 0;

	for (size_t i = 0; i < n; i++)
		if (!isnan(draws[i]))
			draws[known++] = draws[i];
	qsort(draws, known, sizeof(*draws), by_number);
	return (struct bounds){ value, quantile(draws, known, 0.025), quantile(draws, known, 0.975) };
}

struct bounds resample(double (*count)(const void *ctx, const uint32_t *times), const void *ctx, size_t n_units,
                       const struct resample *r)
{
	double value = count(ctx, NULL);

	if (isnan(value) || r->draws <= 0)
		return (struct bounds){ value, NAN, NAN };
	uint32_t *times = mem_array(n_units, sizeof(*times));
	double *draws = mem_array((size_t)r->draws, sizeof(*draws));
	for (int i = 0; i < r->draws; i++) {
		resample_times(times, n_units, r->seed, i);
		draws[i] = count(ctx, times);
	}
	struct bounds b = resample_bounds(value, draws, (size_t)r->draws);
	mem_free(draws);
	mem_free(times);
	return b;
}
