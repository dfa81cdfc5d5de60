/* watermark: see watermark.h. Detecting goes by the token before, whose green ones are found once for all its pairs. */
#include "infer/watermark.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/mt19937.h"

size_t watermark_green(const struct watermark *w, int32_t before, size_t V, int32_t *room)
{
	size_t n = (size_t)((double)V * w->greenlist_ratio);
	struct mt19937 g;

	mt19937_seed(&g, (uint32_t)((uint64_t)w->hashing_key * (uint64_t)before));
	for (size_t i = 0; i < V; i++)
		room[i] = (int32_t)i;
	for (size_t i = 0; i < n && i + 1 < V; i++) {
		size_t other = i + mt19937_next(&g) % (V - i);
		int32_t kept = room[i];
		room[i] = room[other];
		room[other] = kept;
	}
	return n;
}

struct pair { int32_t before, token; };

static int by_both(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;

	return x->before != y->before ? (x->before > y->before) - (x->before < y->before) :
	                                (x->token > y->token) - (x->token < y->token);
}

static struct pair *pairs_of(const int32_t *ids, size_t n)
{
	struct pair *pairs = mem_array(n + 1, sizeof(*pairs));

	for (size_t i = 0; i + 1 < n; i++)
		pairs[i] = (struct pair){ ids[i], ids[i + 1] };
	if (n > 1)
		qsort(pairs, n - 1, sizeof(*pairs), by_both);
	return pairs;
}

struct watermark_found watermark_detect(const struct watermark *w, const int32_t *ids, size_t n, size_t V, bool once)
{
	struct watermark_found f = { 0 };
	struct pair *pairs = pairs_of(ids, n);
	int32_t *room = mem_array(V, sizeof(*room));
	bool *green = mem_array(V, sizeof(*green));

	for (size_t i = 0; i + 1 < n; i++) {
		if (i == 0 || pairs[i].before != pairs[i - 1].before) {
			size_t some = watermark_green(w, pairs[i].before, V, room);
			memset(green, 0, V * sizeof(*green));
			for (size_t k = 0; k < some; k++)
				green[room[k]] = true;
		} else if (once && pairs[i].token == pairs[i - 1].token) {
			continue;
		}
		f.scored++;
		f.green += green[pairs[i].token];
	}
	mem_free(pairs);
	mem_free(room);
	mem_free(green);
	double T = (double)f.scored, share = w->greenlist_ratio;
	f.z = f.scored ? ((double)f.green - share * T) / sqrt(T * share * (1 - share)) : NAN;
	f.p = erfc(f.z / sqrt(2)) / 2;
	return f;
}
