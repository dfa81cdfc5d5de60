/* forecast: quantiles of how far past predictions were off, with the prior counted in where there are few. */
#include "gas/forecast.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

const struct forecast_scale forecast_time = { 0.08, 0.02, 0 };      /* seconds */
/* Bytes. Files are mapped by windows of 16 pages, and where those begin is drawn anew for every process with the places
 * of its libraries: twelve runs of one command deviate by 100 KB (with setarch -R by 16), so a plan and another
 * process's run by 140. A run's own plan shares its layout and does not show it. */
const struct forecast_scale forecast_memory = { 0.003, 180 << 10, 140 << 10 };
const struct forecast_scale forecast_energy = { 0.15, 0.5, 0 };     /* joules */

double forecast_sigma(struct forecast_scale s, double predicted)
{
	return hypot(s.share * predicted, s.least);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

/* What is off, in units of σ, ascending; how many. */
static size_t collect(double *z, struct forecast_scale scale, const struct forecast_past *past, size_t n)
{
	size_t some = 0;

	for (size_t i = n > FORECAST_LAST ? n - FORECAST_LAST : 0; i < n; i++)
		if (past[i].predicted > 0 && past[i].actual > 0 && isfinite(past[i].predicted) &&
		    isfinite(past[i].actual))
			z[some++] = (past[i].actual - past[i].predicted) /
			            (past[i].sigma > 0 ? past[i].sigma : forecast_sigma(scale, past[i].predicted));
	qsort(z, some, sizeof(*z), by_value);
	return some;
}

static double median(const double *z, size_t n)
{
	return n == 0 ? 0 : n % 2 ? z[n / 2] : (z[n / 2 - 1] + z[n / 2]) / 2;
}

/* Middle: the median drawn towards 0; width: the mean square about it and the prior's 1, pooled. */
static struct span few(const double *z, size_t n)
{
	double weight = (double)n / (double)(n + FORECAST_PRIOR), middle = weight * median(z, n),
	       squares = FORECAST_PRIOR;

	for (size_t i = 0; i < n; i++)
		squares += fmin((z[i] - middle) * (z[i] - middle), 25);
	double deviation = sqrt(squares / (double)(n + FORECAST_PRIOR) * (1 + 1 / (double)(n + FORECAST_PRIOR)));
	return span_error(middle, deviation);
}

/* The order statistic of rank (n + 1)·q, between two of them as far as it lies between. */
static double quantile(const double *z, size_t n, double q)
{
	double rank = fmin(fmax(q * (double)(n + 1), 1), (double)n);
	size_t below = (size_t)rank, above = MIN(below + 1, n);
	return z[below - 1] + (rank - (double)below) * (z[above - 1] - z[below - 1]);
}

static struct span many(const double *z, size_t n)
{
	return (struct span){ median(z, n), quantile(z, n, 0.05), quantile(z, n, 0.95) };
}

struct span forecast(double predicted, double sigma, struct forecast_scale scale, const struct forecast_past *past,
                     size_t n)
{
	double z[FORECAST_LAST];
	size_t some = collect(z, scale, past, n);
	struct span s = some >= FORECAST_ENOUGH ? many(z, some) : few(z, some);
	double least = 0.1 * predicted; /* nothing is done in no time */
	double middle = predicted + sigma * s.mid, low = predicted + sigma * s.low, high = predicted + sigma * s.high;
	struct span noise = span_error(middle, scale.noise);

	return (struct span){ fmax(middle, least), fmax(fmin(low, noise.low), least),
		              fmax(fmax(high, noise.high), least) };
}
