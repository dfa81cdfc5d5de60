/* rank_scores: see rank_scores.h. */
#include "retrieve/rank_scores.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static double dcg(const double *gain, size_t n, size_t k)
{
	double sum = 0;

	for (size_t i = 0; i < MIN(n, k); i++)
		sum += fmax(gain[i], 0) / log2((double)i + 2);
	return sum;
}

static int descending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x < y) - (x > y);
}

double rank_ndcg(const double *found, size_t n, const double *ideal, size_t m, size_t k)
{
	double *sorted = mem_array(m + 1, sizeof(*sorted));

	memcpy(sorted, ideal, m * sizeof(*sorted));
	qsort(sorted, m, sizeof(*sorted), descending);
	double most = dcg(sorted, m, k);
	mem_free(sorted);
	return most > 0 ? dcg(found, n, k) / most : 0;
}

double rank_recall(const double *found, size_t n, const double *ideal, size_t m, size_t k)
{
	size_t hits = 0, all = 0;

	for (size_t i = 0; i < MIN(n, k); i++)
		hits += found[i] > 0;
	for (size_t i = 0; i < m; i++)
		all += ideal[i] > 0;
	return all ? (double)hits / (double)all : 0;
}

double rank_mrr(const double *found, size_t n, size_t k)
{
	for (size_t i = 0; i < MIN(n, k); i++)
		if (found[i] > 0)
			return 1 / ((double)i + 1);
	return 0;
}
