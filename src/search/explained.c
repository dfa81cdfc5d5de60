/* explained: see explained.h. */
#include "search/explained.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

double explained_share(const double *value, const int *group, size_t n, int k)
{
	double mean = 0, all = 0, within = 0, *sum = mem_array((size_t)k + 1, sizeof(*sum));
	size_t count = 0, *size = mem_array((size_t)k + 1, sizeof(*size)), groups = 0;

	for (size_t i = 0; i < n; i++) {
		if (group[i] < 0)
			continue;
		sum[group[i]] += value[i];
		mean += value[i];
		groups += size[group[i]]++ == 0;
		count++;
	}
	mean /= (double)count;
	for (size_t i = 0; i < n; i++) {
		if (group[i] < 0)
			continue;
		double own = sum[group[i]] / (double)size[group[i]];
		all += (value[i] - mean) * (value[i] - mean);
		within += (value[i] - own) * (value[i] - own);
	}
	mem_free(sum);
	mem_free(size);
	if (groups < 2 || count <= groups || !(all > 0))
		return NAN;
	double chance = (double)(groups - 1) * within / (double)(count - groups);
	return fmax(0, (all - within - chance) / all);
}

struct placed { double where; size_t i; };

static int by_where(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;

	return x->where < y->where ? -1 : x->where > y->where;
}

int explained_bins(const double *where, int *group, size_t n, int most)
{
	struct placed *p = mem_array(n + 1, sizeof(*p));
	size_t count = 0;
	int bin = -1, last = -1;

	for (size_t i = 0; i < n; i++) {
		group[i] = -1;
		if (!isnan(where[i]))
			p[count++] = (struct placed){ where[i], i };
	}
	qsort(p, count, sizeof(*p), by_where);
	size_t bins = MAX(MIN((size_t)most, count / 2), (size_t)1);
	for (size_t k = 0; k < count; k++) {
		int wanted = (int)(k * bins / count);
		if (wanted != last && (k == 0 || p[k].where != p[k - 1].where)) {
			bin++;
			last = wanted;
		}
		group[p[k].i] = bin;
	}
	mem_free(p);
	return bin + 1;
}
