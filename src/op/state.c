/* state: see state.h. Ranges of keys are numbered in depth-first order, so the range before one on its path is the last
 * one before it whose positions are KV_RANGE less. */
#include "op/state.h"

#include "base/mem.h"
#include "op/kv_cache.h"

int32_t state_row_before(const struct batch *b, const struct segment *s)
{
	if (s->parent < 0)
		return -1;
	const struct segment *p = &b->segments[s->parent];
	return p->start + p->len - 1;
}

static int32_t place_of(const int32_t *place, int32_t range)
{
	if (place[range] < 0)
		BUG("range %d is none that its memory has", range);
	return place[range];
}

int32_t state_place_before(const struct batch *b, const int32_t *place, const struct segment *s)
{
	int32_t range = b->key[s->start] / KV_RANGE, at = b->key_pos[range * KV_RANGE];

	if (s->pos0 % KV_RANGE)
		return place_of(place, range);
	if (s->pos0 == 0)
		return -1;
	do
		if (--range < 0)
			BUG("no range before position %d", s->pos0);
	while (b->key_pos[range * KV_RANGE] != at - KV_RANGE);
	return place_of(place, range);
}

int32_t state_place_after(const struct batch *b, const int32_t *place, const struct segment *s, int32_t row)
{
	if (row + 1 < s->start + s->len && (b->pos[row] + 1) % KV_RANGE)
		return -1;
	return place_of(place, b->key[row] / KV_RANGE);
}
