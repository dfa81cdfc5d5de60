/* bound: quantiles by bisection and Hill's (1970) expansion; Tango's bound by bisection, as its statistic falls with
 * δ. */
#include "eval/bound.h"

#include <math.h>
#include <stdbool.h>

#include "base/mem.h"

enum { HALVINGS = 80 };

double bound_normal(double p)
{
	double low = -40, high = 40;

	for (int i = 0; i < HALVINGS; i++) {
		double middle = (low + high) / 2;
		if (erfc(-middle / M_SQRT2) / 2 < p)
			low = middle;
		else
			high = middle;
	}
	return (low + high) / 2;
}

/* Hill's: within a thousandth of the quantile from nine degrees on. */
static double student(double z, double degrees)
{
	double zz = z * z;

	return z + z * (zz + 1) / 4 / degrees + z * (5 * zz * zz + 16 * zz + 3) / 96 / (degrees * degrees) +
	       z * (3 * zz * zz * zz + 19 * zz * zz + 17 * zz - 15) / 384 / (degrees * degrees * degrees);
}

/* --- hits --- */

static bool all_hits(const double *x, size_t n)
{
	for (size_t i = 0; x && i < n; i++)
		if (x[i] != 0 && x[i] != 1)
			return false;
	return true;
}

static double wilson_low(double p, double n, double z)
{
	double zz = z * z / n;

	return (p + zz / 2 - z * sqrt(p * (1 - p) / n + zz / 4 / n)) / (1 + zz);
}

/* Tango's statistic of the difference δ. */
static double tango(double gained, double lost, double n, double delta)
{
	double b = -gained - lost + (2 * n - gained + lost) * delta, c = -lost * delta * (1 - delta);
	double q = (sqrt(fmax(0, b * b - 8 * n * c)) - b) / (4 * n),
	       spread = n * (2 * fmax(q, 0) + delta * (1 - delta));

	return (gained - lost - n * delta) / sqrt(fmax(spread, 1e-300));
}

static double tango_low(double gained, double lost, double n, double z)
{
	double low = -1, high = (gained - lost) / n;

	for (int i = 0; i < HALVINGS; i++) {
		double middle = (low + high) / 2;
		if (tango(gained, lost, n, middle) > z)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static void bound_hits(struct bound *b, const struct bound_samples *s, double z)
{
	double n = (double)s->n, gained = 0, lost = 0, hits = 0;

	for (size_t i = 0; i < s->n; i++) {
		hits += s->x[i];
		gained += s->from && s->x[i] > s->from[i];
		lost += s->from && s->x[i] < s->from[i];
	}
	b->units = s->n;
	b->method = s->from ? "tango" : "wilson";
	b->value = s->from ? (gained - lost) / n : hits / n;
	b->low = s->from ? tango_low(gained, lost, n, z) : fmax(0, wilson_low(b->value, n, z));
	b->high = s->from ? -tango_low(lost, gained, n, z) : fmin(1, 1 - wilson_low(1 - b->value, n, z));
}

/* --- any numbers --- */

static double value_of(const struct bound_samples *s, size_t i) { return s->x[i] - (s->from ? s->from[i] : 0); }

static void bound_numbers(struct bound *b, const struct bound_samples *s, double z)
{
	double *off = mem_array(s->n, sizeof(*off)), sum = 0, weights = 0, squares = 0;

	for (size_t i = 0; i < s->n; i++) {
		double w = s->weight ? s->weight[i] : 1;
		sum += w * value_of(s, i);
		weights += w;
	}
	b->value = sum / weights;
	for (size_t i = 0; i < s->n; i++) {
		size_t k = s->cluster ? s->cluster[i] : i;
		off[k] += (s->weight ? s->weight[i] : 1) * (value_of(s, i) - b->value);
		b->units = MAX(b->units, k + 1);
	}
	for (size_t k = 0; k < b->units; k++)
		squares += off[k] * off[k];
	double n = (double)b->units, error = sqrt(n / (n - 1) * squares) / weights,
	       half = b->units < BOUND_LEAST ? NAN : student(z, n - 1) * error;
	b->method = "student";
	b->low = b->value - half;
	b->high = b->value + half;
	mem_free(off);
}

struct bound bound_of(const struct bound_samples *s, double confidence)
{
	struct bound b = { .value = NAN, .low = NAN, .high = NAN, .method = "none" };
	double z = bound_normal(confidence);

	if (!s->n)
		return b;
	if (!s->weight && !s->cluster && all_hits(s->x, s->n) && all_hits(s->from, s->n))
		bound_hits(&b, s, z);
	else
		bound_numbers(&b, s, z);
	return b;
}
