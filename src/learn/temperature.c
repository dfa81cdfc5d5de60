/* temperature: the loss is convex in 1/T, so the least is found by golden section of log T. See temperature.h. */
#include "learn/temperature.h"

#include <math.h>

#define MOST 20.0
#define GOLDEN 0.61803398874989484820
enum { HALVINGS = 60 };

double temperature_loss(const double *z, const int32_t *y, size_t n, size_t k, double t)
{
	double loss = 0;
	size_t counted = 0;

	for (size_t i = 0; i < n; i++, z += k) {
		double most = z[0], sum = 0;
		if (y[i] < 0)
			continue;
		for (size_t j = 1; j < k; j++)
			most = fmax(most, z[j]);
		for (size_t j = 0; j < k; j++)
			sum += exp((z[j] - most) / t);
		loss += log(sum) - (z[y[i]] - most) / t;
		counted++;
	}
	return counted ? loss / (double)counted : 0;
}

double temperature_fit(const double *z, const int32_t *y, size_t n, size_t k)
{
	double a = -log(MOST), b = log(MOST);
	double c = b - GOLDEN * (b - a), d = a + GOLDEN * (b - a);
	double at_c = temperature_loss(z, y, n, k, exp(c)), at_d = temperature_loss(z, y, n, k, exp(d));
	size_t counted = 0;

	for (size_t i = 0; i < n; i++)
		counted += y[i] >= 0;
	for (int i = 0; i < HALVINGS; i++) {
		if (at_c <= at_d) {
			b = d;
			d = c;
			at_d = at_c;
			c = b - GOLDEN * (b - a);
			at_c = temperature_loss(z, y, n, k, exp(c));
		} else {
			a = c;
			c = d;
			at_c = at_d;
			d = a + GOLDEN * (b - a);
			at_d = temperature_loss(z, y, n, k, exp(d));
		}
	}
	return counted ? exp((a + b) / 2) : 1;
}
