/* memory_window: keys and values of the last tokens alone, for layers whose rows see no more than `window` tokens,
 * themselves included. The row at position p sees positions from p − window + 1 on; a range before that is nobody's
 * any more once that holds for the next row of every sequence that has it. Its place is given back when another is
 * wanted, so a sequence may still be cut, or branched from, a little before its end:
 *
 *     it can go on after `length` tokens where the ranges of all positions from length − window + 1 on have places
 *
 * and where they have not, none of its earlier lengths but 0 is any better, as they want earlier positions still. */
#include "infer/sequences.h"

#include "base/mem.h"
#include "op/kv_cache.h"

/* Of one sequence: what a window and the rows of a step can reach into. */
static int places(const struct memory_size *size)
{
	int most = size->n_ranges / size->n_sequences;
	return size->n_sequences * MIN(most, (size->window + size->rows) / KV_RANGE + 2);
}

/* The first range that rows from position `length` on see something of. */
static int first_seen(const struct memory *m, int length)
{
	return MAX(length - m->size.window + 1, 0) / KV_RANGE;
}

static void take(struct memory *m, const struct sequences *q, int range)
{
	memory_make_room(m, q, first_seen, false);
	memory_keys_take(m, q, range);
}

static int reach(const struct memory *m, const struct sequences *q, int sequence, int length)
{
	for (int i = first_seen(m, length); i * KV_RANGE < length; i++)
		if (m->place[sequence_range(q, sequence, i)] < 0)
			return 0;
	return length;
}

const struct memory_type memory_window = {
	.name = "window",
	.places = places,
	.range_bytes = memory_keys_bytes,
	.take = take,
	.drop = memory_drop,
	.copy = memory_keys_copy,
	.append = memory_keys_append,
	.reach = reach,
	.piece = memory_keys_piece,
	.resident = memory_keys_resident,
};
