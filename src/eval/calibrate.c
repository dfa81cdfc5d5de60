/* calibrate: probabilities over what the prompt says by itself. See calibrate.h. */
#include "eval/calibrate.h"

#include <float.h>
#include <math.h>

static void to_sum_one(double *x, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += x[i];
	for (size_t i = 0; i < n; i++)
		x[i] /= sum;
}

void calibrate_softmax(const double *logprob, size_t n, double *p)
{
	double most = -INFINITY;

	for (size_t i = 0; i < n; i++)
		most = fmax(most, logprob[i]);
	for (size_t i = 0; i < n; i++)
		p[i] = exp(logprob[i] - most);
	to_sum_one(p, n);
}

void calibrate_prior(const double *p, size_t n, size_t n_choices, double *prior)
{
	for (size_t k = 0; k < n_choices; k++) {
		prior[k] = 0;
		for (size_t i = 0; i < n; i++)
			prior[k] += p[i * n_choices + k] / (double)n;
	}
	to_sum_one(prior, n_choices);
}

size_t calibrate_row(const double *p, const double *prior, size_t n, double *q)
{
	size_t best = 0;

	for (size_t k = 0; k < n; k++) {
		q[k] = p[k] / fmax(prior[k], DBL_MIN); /* 0 beside 0 is 0 */
		best = q[k] > q[best] ? k : best;
	}
	to_sum_one(q, n);
	return best;
}
