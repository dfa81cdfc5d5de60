/* paired: see paired.h. */
#include "search/paired.h"

#include <math.h>

static struct paired compare(const double *a, const double *b, const double *weight, size_t n)
{
	const double z = 1.96;
	double sum = 0, all = 0, squares = 0;

	for (size_t i = 0; i < n; i++) {
		sum += b[i] - (a ? a[i] : 0);
		all += weight[i];
	}
	double d = n ? sum / all : NAN;
	for (size_t i = 0; i < n; i++) {
		double off = b[i] - (a ? a[i] : 0) - d * weight[i];
		squares += off * off;
	}
	double error = n > 1 ? sqrt((double)n / (double)(n - 1) * squares) / all : NAN;
	return (struct paired){ d, error, d - z * error, d + z * error, n };
}

struct paired paired_compare(const double *a, const double *b, const double *weight, size_t n)
{
	return compare(a, b, weight, n);
}

struct paired paired_mean(const double *b, const double *weight, size_t n) { return compare(NULL, b, weight, n); }
