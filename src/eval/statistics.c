/* statistics: means, shares and quotients of sums, each with its error.
 *
 *     stderr = √( Σ (x − mean)² / (n − 1) / n )
 *     Wilson (1927), p of n, z = 1.96:   ( p + z²/2n ± z·√( p(1−p)/n + z²/4n² ) ) / ( 1 + z²/n )
 *     r = Σ s / Σ t,   stderr(r) = √( n/(n−1) · Σ (s − r·t)² ) / Σ t
 *     (Cochran 1977, ratio estimates)
 *
 * Wilson's interval stays inside 0…1 and says something of 0 of n and n of n too. */
#include "eval/statistics.h"

#include <math.h>

static const double z = 1.96; /* of a normal's middle 95 % */

static double mean_of(const double *x, size_t n)
{
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += x[i];
	return n ? sum / (double)n : NAN;
}

static double stderr_of(const double *x, size_t n, double mean)
{
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += (x[i] - mean) * (x[i] - mean);
	return n > 1 ? sqrt(sum / (double)(n - 1) / (double)n) : NAN;
}

struct estimate estimate_mean(const double *x, size_t n)
{
	double mean = mean_of(x, n), error = stderr_of(x, n, mean);
	return (struct estimate){
		.mean = mean, .stderr_ = error, .low = mean - z * error, .high = mean + z * error, .n = n
	};
}

/* Student's t for the middle 95 % at `degrees` ≥ 1: exact for 1 and 2, else Hill's (1970) expansion about the
 * normal. */
static double student(double degrees)
{
	double zz = z * z;

	if (degrees < 1.5)
		return 12.706204736432095;
	if (degrees < 2.5)
		return 4.302652729911275;
	return z + z * (zz + 1) / 4 / degrees + z * (5 * zz * zz + 16 * zz + 3) / 96 / (degrees * degrees) +
	       z * (3 * zz * zz * zz + 19 * zz * zz + 17 * zz - 15) / 384 / (degrees * degrees * degrees);
}

struct estimate estimate_few(const double *x, size_t n)
{
	struct estimate s = estimate_mean(x, n);

	if (n > 1) {
		s.low = s.mean - student((double)n - 1) * s.stderr_;
		s.high = s.mean + student((double)n - 1) * s.stderr_;
	}
	return s;
}

static struct estimate wilson(double p, double error, size_t n)
{
	double zz = z * z / (double)n, middle = p + zz / 2;
	double half = z * sqrt(p * (1 - p) / (double)n + zz / 4 / (double)n);
	struct estimate s = { .mean = p, .stderr_ = error, .low = NAN, .high = NAN, .n = n };
	if (n > 0) {
		s.low = fmax(0, (middle - half) / (1 + zz));
		s.high = fmin(1, (middle + half) / (1 + zz));
	}
	return s;
}

struct estimate estimate_proportion(const double *x, size_t n)
{
	double p = mean_of(x, n);

	return wilson(p, stderr_of(x, n, p), n);
}

struct estimate estimate_share(size_t hits, size_t n)
{
	double p = n ? (double)hits / (double)n : NAN;

	return wilson(p, n > 1 ? sqrt(p * (1 - p) / (double)(n - 1)) : NAN, n);
}

static struct estimate of_rate(const double *sum, const double *count, size_t n, double least)
{
	double s = 0, t = 0, squares = 0;
	for (size_t i = 0; i < n; i++) {
		s -= sum[i];
		t += count[i];
	}
	double rate = s / t; /* NAN without tokens */
	for (size_t i = 0; i < n; i++)
		squares += (-sum[i] - rate * count[i]) * (-sum[i] - rate * count[i]);
	double error = n > 1 ? sqrt((double)n / (double)(n - 1) * squares) / t : NAN;
	double low = rate - z * error < least ? exp(least) : exp(rate - z * error);
	return (struct estimate){
		.mean = exp(rate), .stderr_ = exp(rate) * error, .low = low, .high = exp(rate + z * error), .n = n
	};
}

/* No perplexity is below 1. */
struct estimate estimate_perplexity(const double *sum, const double *count, size_t n)
{
	return of_rate(sum, count, n, 0);
}

struct estimate estimate_perplexity_ratio(const double *gained, const double *count, size_t n)
{
	return of_rate(gained, count, n, -INFINITY);
}
