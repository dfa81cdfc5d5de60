/* exact: open addresses, doubled at two thirds; item 0 is a free slot, so items are kept one higher. */
#include "corpus/exact.h"

#include "base/mem.h"

int64_t exact_find(const struct exact *x, const uint64_t key[2])
{
	if (!x->slots)
		return -1;
	for (size_t i = key[1] & (x->slots - 1); x->item[i]; i = (i + 1) & (x->slots - 1))
		if (x->key[i][0] == key[0] && x->key[i][1] == key[1])
			return (int64_t)x->item[i] - 1;
	return -1;
}

static void put(struct exact *x, const uint64_t key[2], uint32_t item)
{
	size_t i = key[1] & (x->slots - 1);

	while (x->item[i])
		i = (i + 1) & (x->slots - 1);
	x->key[i][0] = key[0];
	x->key[i][1] = key[1];
	x->item[i] = item;
}

void exact_add(struct exact *x, const uint64_t key[2], uint32_t item)
{
	if (3 * (x->n + 1) >= 2 * x->slots) {
		struct exact old = *x;
		x->slots = MAX((size_t)256, 2 * old.slots);
		x->key = mem_array(x->slots, sizeof(*x->key));
		x->item = mem_array(x->slots, sizeof(*x->item));
		for (size_t i = 0; i < old.slots; i++)
			if (old.item[i])
				put(x, old.key[i], old.item[i]);
		mem_free(old.key);
		mem_free(old.item);
	}
	put(x, key, item + 1);
	x->n++;
}

void exact_release(struct exact *x)
{
	mem_free(x->key);
	mem_free(x->item);
	*x = (struct exact){ 0 };
}
