/* memory_kv: keys and values of every token. A range is held from its first token until no sequence has it, and a
 * sequence can go back to any length. */
#include "infer/memory.h"

static int places(const struct memory_size *size) { return size->n_ranges; }

static int reach(const struct memory *m, const struct sequences *q, int sequence, int length)
{
	(void)m;
	(void)q;
	(void)sequence;
	return length;
}

const struct memory_type memory_kv = {
	.name = "kv",
	.places = places,
	.range_bytes = memory_keys_bytes,
	.take = memory_keys_take,
	.drop = memory_drop,
	.copy = memory_keys_copy,
	.append = memory_keys_append,
	.reach = reach,
	.piece = memory_keys_piece,
	.resident = memory_keys_resident,
};
