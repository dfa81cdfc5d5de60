/* temperature: the loss is convex in 1/T, so the least is found by golden section of log T. See temperature.h. */
#include "learn/temperature.h"

#include <math.h>

#define MOST 20.0
#define GOLDEN 0.61803398874989484820
enum { HALVINGS = 60 };

/* What is lost where `smooth` of each label is wanted besides. */
static double smooth_loss(const double *z, const int32_t *y, size_t n, size_t k, double t, double smooth)
{
	double loss = 0;
	size_t counted = 0;

	for (size_t i = 0; i < n; i++, z += k) {
		double most = z[0], sum = 0, mean = 0;
		if (y[i] < 0)
			continue;
		for (size_t j = 1; j < k; j++)
			most = fmax(most, z[j]);
		for (size_t j = 0; j < k; j++) {
			sum += exp((z[j] - most) / t);
			mean += (z[j] - most) * smooth;
		}
		loss += log(sum) - ((1 - smooth * (double)k) * (z[y[i]] - most) + mean) / t;
		counted++;
	}
	return counted ? loss / (double)counted : 0;
}

double temperature_loss(const double *z, const int32_t *y, size_t n, size_t k, double t)
{
	return smooth_loss(z, y, n, k, t, 0);
}

double temperature_fit(const double *z, const int32_t *y, size_t n, size_t k, double smooth)
{
	double a = -log(MOST), b = log(MOST);
	double c = b - GOLDEN * (b - a), d = a + GOLDEN * (b - a);
	double at_c = smooth_loss(z, y, n, k, exp(c), smooth), at_d = smooth_loss(z, y, n, k, exp(d), smooth);
	size_t counted = 0;

	for (size_t i = 0; i < n; i++)
		counted += y[i] >= 0;
	for (int i = 0; i < HALVINGS; i++) {
		if (at_c <= at_d) {
			b = d;
			d = c;
			at_d = at_c;
			c = b - GOLDEN * (b - a);
			at_c = smooth_loss(z, y, n, k, exp(c), smooth);
		} else {
			a = c;
			c = d;
			at_c = at_d;
			d = a + GOLDEN * (b - a);
			at_d = smooth_loss(z, y, n, k, exp(d), smooth);
		}
	}
	return counted ? exp((a + b) / 2) : 1;
}
