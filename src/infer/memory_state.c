/* memory_state: recurrent states, a place of [n_layers][n_places][state] numbers for each range: the state after the
 * last token of it so far. What is written is never older than that, because a range in several lists is copied before
 * it goes on; so a sequence can go on at its end, where its last range stands, or after a whole range whose place is
 * still there. A state is large and the next token wants the last one alone, so earlier places are given back when
 * another is wanted: but for the first, which tells a file's model (session_snapshot.c). */
#include "infer/sequences.h"

#include "base/mem.h"
#include "op/device.h"
#include "op/kv_cache.h"

/* Of one sequence: the first range, the last two, those that a step's rows reach, and one while it is copied. */
static int places(const struct memory_size *size)
{
	return size->n_sequences * MIN(size->n_ranges / size->n_sequences, size->rows / KV_RANGE + 4);
}

/* Rows from position `length` on begin with the state of the range before theirs, or of their own. */
static int first_needed(const struct memory *m, int length)
{
	(void)m;
	return MAX(length / KV_RANGE - 1, 0);
}

static size_t range_bytes(const struct memory_size *size) { return size->state * sizeof(float); }

float *memory_states(const struct memory *m, int layer)
{
	return (float *)(void *)m->data + (size_t)layer * (size_t)m->n_places * m->size.state;
}

/* A state begins as zeros only at position 0, which its op knows (op/state.h). */
static void take(struct memory *m, const struct sequences *q, int range)
{
	memory_make_room(m, q, first_needed, true);
	memory_take(m, range);
}

static float *state_of(const struct memory *m, int range, int layer)
{
	return memory_states(m, layer) + (size_t)m->place[range] * m->size.state;
}

static void copy(struct memory *m, int range, const struct memory *from, int from_range, int n)
{
	(void)n;
	if (from->place[from_range] < 0) {
		memory_drop(m, range);
		return;
	}
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
	if (length == q->length[sequence])
		return length;
	int whole = length / KV_RANGE;
	while (whole > 0 && m->place[sequence_range(q, sequence, whole - 1)] < 0)
		whole--;
	return whole * KV_RANGE;
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
