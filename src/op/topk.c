/* topk: see topk.h. Indices are moved, the numbers stay. */
#include "op/topk.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { SHORT = 3, HEAP_SHARE = 64 };

struct order { const float *z; uint16_t *at; };

static bool larger(const float *z, uint16_t i, uint16_t j)
{
	return z[i] > z[j] || (isnan(z[i]) && !isnan(z[j]));
}

static bool before(struct order o, size_t i, size_t j) { return larger(o.z, o.at[i], o.at[j]); }

static void swap(struct order o, size_t i, size_t j)
{
	uint16_t x = o.at[i];

	o.at[i] = o.at[j];
	o.at[j] = x;
}

/* --- a heap whose first is the smallest --- */

/* The hole sinks to a leaf, the larger child's place being taken by the smaller, and x rises from there. */
static void sink(struct order o, size_t hole, size_t n, uint16_t x)
{
	size_t top = hole, child = hole;

	while (n && child < (n - 1) / 2) {
		child = 2 * child + 2;
		if (before(o, child, child - 1))
			child--;
		o.at[hole] = o.at[child];
		hole = child;
	}
	if (n >= 2 && n % 2 == 0 && child == (n - 2) / 2) {
		o.at[hole] = o.at[2 * child + 1];
		hole = 2 * child + 1;
	}
	while (hole > top && larger(o.z, o.at[(hole - 1) / 2], x)) {
		o.at[hole] = o.at[(hole - 1) / 2];
		hole = (hole - 1) / 2;
	}
	o.at[hole] = x;
}

static void select_by_heap(struct order o, size_t k, size_t n)
{
	for (size_t parent = k / 2; parent-- > 0;)
		sink(o, parent, k, o.at[parent]);
	for (size_t i = k; i < n; i++)
		if (before(o, i, 0)) {
			uint16_t x = o.at[i];
			o.at[i] = o.at[0];
			sink(o, 0, k, x);
		}
}

/* --- quickselect --- */

static void median_first(struct order o, size_t first, size_t a, size_t b, size_t c)
{
	size_t middle;

	if (before(o, a, b))
		middle = before(o, b, c) ? b : before(o, a, c) ? c : a;
	else
		middle = before(o, a, c) ? a : before(o, b, c) ? c : b;
	swap(o, first, middle);
}

/* Around the number at `first`; where the second half begins. */
static size_t part(struct order o, size_t first, size_t last)
{
	size_t low = first + 1;

	median_first(o, first, first + 1, first + (last - first) / 2, last - 1);
	for (;; low++) {
		while (before(o, low, first))
			low++;
		last--;
		while (before(o, first, last))
			last--;
		if (low >= last)
			return low;
		swap(o, low, last);
	}
}

static void sort_few(struct order o, size_t first, size_t last)
{
	for (size_t i = first + 1; i < last; i++) {
		uint16_t x = o.at[i];
		size_t j = larger(o.z, x, o.at[first]) ? first : i;
		if (j == first)
			memmove(o.at + first + 1, o.at + first, (i - first) * sizeof(x));
		for (; j > first && larger(o.z, x, o.at[j - 1]); j--)
			o.at[j] = o.at[j - 1];
		o.at[j] = x;
	}
}

static void quickselect(struct order o, size_t k, size_t n)
{
	size_t first = 0, last = n, nth = k - 1;
	int depth = 0;

	for (size_t m = n; m > 1; m /= 2)
		depth += 2;
	for (; last - first > SHORT; depth--) {
		if (depth == 0) {
			select_by_heap((struct order){ o.z, o.at + first }, nth + 1 - first, last - first);
			return;
		}
		size_t cut = part(o, first, last);
		if (cut <= nth)
			first = cut;
		else
			last = cut;
	}
	sort_few(o, first, last);
}

void topk(const float *z, size_t n, size_t k, int32_t *out)
{
	uint64_t taken[TOPK_MOST / 64] = { 0 };
	uint16_t at[TOPK_MOST];
	struct order o = { z, at };

	for (size_t i = 0; i < n; i++)
		at[i] = (uint16_t)i;
	if (k * HEAP_SHARE <= n)
		select_by_heap(o, k, n);
	else
		quickselect(o, k, n);
	for (size_t i = 0; i < k; i++)
		taken[at[i] / 64] |= (uint64_t)1 << at[i] % 64;
	for (size_t i = 0; i < n; i++)
		if (taken[i / 64] >> i % 64 & 1)
			*out++ = (int32_t)i;
}
