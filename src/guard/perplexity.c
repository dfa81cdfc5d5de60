/* perplexity: windows of tokens whose costs are given; whoever calls has the model. */
#include "guard/perplexity.h"

#include <math.h>

#include "base/mem.h"

static double perplexity(const float *cost, size_t n)
{
	double sum = 0;
	size_t known = 0;

	for (size_t i = 0; i < n; i++)
		if (!isnan(cost[i])) {
			sum += (double)cost[i];
			known++;
		}
	return known ? exp(sum / (double)known) : 1;
}

void guard_perplexity_look(const struct guard_perplexity *p, const int32_t *at, const float *cost, size_t n,
                           size_t bytes, size_t whole, struct guard_result *r)
{
	size_t w = MIN((size_t)p->window, n), begin = 0, end = 0; /* of what is being joined, bytes */

	if (!(p->above > 0) || n < GUARD_PERPLEXITY_LEAST)
		return;
	for (size_t i = 0;; i = MIN(i + MAX(w / 2, (size_t)1), n - w)) {
		if (perplexity(cost + i, w) > p->above) {
			size_t from = (size_t)at[i], to = i + w < n ? (size_t)at[i + w] : bytes;
			if (end && from > end)
				guard_add(r, "perplexity.window", p->verdict, begin, end, 1);
			begin = end && from <= end ? begin : from;
			end = to;
		}
		if (i + w == n)
			break;
	}
	if (end)
		guard_add(r, "perplexity.window", p->verdict, whole ? 0 : begin, whole ? whole : end, 1);
}
