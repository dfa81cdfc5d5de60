/* gae: see gae.h. */
#include "train/gae.h"

#include <math.h>

void gae(const float *reward, const float *value, size_t n, double gamma, double lambda, float *advantage,
         float *returns)
{
	double next = 0, after = 0;

	for (size_t t = n; t-- > 0;) {
		next = (double)reward[t] + gamma * after - (double)value[t] + gamma * lambda * next;
		after = (double)value[t];
		advantage[t] = (float)next;
		returns[t] = (float)(next + after);
	}
}

void whitening_add(struct whitening *w, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		w->mean += ((double)x[i] - w->mean) / ++w->n;
}

void whitening_add_squares(struct whitening *w, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		w->squares += ((double)x[i] - w->mean) * ((double)x[i] - w->mean);
}

void whiten(const struct whitening *w, float *x, size_t n, bool keep_mean)
{
	double by = 1 / sqrt((w->n > 1 ? w->squares / (w->n - 1) : 0) + 1e-8);

	for (size_t i = 0; i < n; i++)
		x[i] = (float)(((double)x[i] - w->mean) * by + (keep_mean ? w->mean : 0));
}
