/* memory_state: recurrent states, a place of [n_layers][n_places][state] numbers for each range: the state after the
 * last token of it so far. What is written is never older than that, because a range in several lists is copied before
 * it goes on; so a sequence can go on at its end, where its last range stands, or after any whole range. */
#include "infer/sequences.h"

#include "base/mem.h"
#include "op/device.h"
#include "op/kv_cache.h"

static int places(const struct memory_size *size) { return size->n_ranges; }

static size_t range_bytes(const struct memory_size *size) { return size->state * sizeof(float); }

float *memory_states(const struct memory *m, int layer)
{
	return (float *)(void *)m->data + (size_t)layer * (size_t)m->n_places * m->size.state;
}

/* A state begins as zeros only at position 0, which its op knows (op/state.h). */
static void take(struct memory *m, const struct sequences *q, int range)
{
	(void)q;
	memory_take(m, range);
}

static float *state_of(const struct memory *m, int range, int layer)
{
	return memory_states(m, layer) + (size_t)m->place[range] * m->size.state;
}

static void copy(struct memory *m, int range, const struct memory *from, int from_range, int n)
{
	(void)n;
	for (int i = 0; i < m->size.n_layers; i++)
		m->device->type->copy(m->device, state_of(m, range, i), state_of(from, from_range, i),
		                      range_bytes(&m->size));
}

static void append(struct memory *m, const struct sequences *q, int sequence, int first)
{
	(void)m;
	(void)q;
	(void)sequence;
	(void)first;
}

static int reach(const struct memory *m, const struct sequences *q, int sequence, int length)
{
	(void)m;
	return length == q->length[sequence] ? length : length / KV_RANGE * KV_RANGE;
}

static void *piece(const struct memory *m, int range, int n, size_t i, size_t *bytes)
{
	if (n == 0 || m->place[range] < 0 || i >= (size_t)m->size.n_layers)
		return NULL;
	*bytes = range_bytes(&m->size);
	return state_of(m, range, (int)i);
}

static size_t resident(const struct memory *m, int n, int partial, int tokens)
{
	size_t sum = 0, end = 0, bytes = (size_t)MIN(n, m->n_places) * range_bytes(&m->size);

	(void)partial;
	(void)tokens;
	for (int i = 0; i < m->size.n_layers; i++) {
		size_t from = (size_t)i * (size_t)m->n_places * range_bytes(&m->size);
		sum += memory_pages(m, from, from + bytes, &end);
	}
	return sum;
}

const struct memory_type memory_state = {
	.name = "state",
	.places = places,
	.range_bytes = range_bytes,
	.take = take,
	.drop = memory_drop,
	.copy = copy,
	.append = append,
	.reach = reach,
	.piece = piece,
	.resident = resident,
	.states = true,
};
