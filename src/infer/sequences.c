/* sequences: lists of range numbers, and of each range how many lists have it. The first that nobody has is taken;
 * one is dropped when its last list goes; who wants to write into one that others have copies it first. */
#include "infer/sequences.h"

#include <string.h>

#include "base/mem.h"
#include "op/kv_cache.h"

static int ranges_of(int tokens) { return (tokens + KV_RANGE - 1) / KV_RANGE; }

int sequences_ranges(int n, int n_ctx) { return n * ranges_of(n_ctx); }

void sequences_init(struct sequences *q, int n, int n_ctx, struct memory *memories, int n_memories)
{
	*q = (struct sequences){ .n = n,
		                 .n_ctx = n_ctx,
		                 .most = ranges_of(n_ctx),
		                 .n_ranges = sequences_ranges(n, n_ctx),
		                 .memories = memories,
		                 .n_memories = n_memories };
	q->length = mem_array((size_t)n, sizeof(*q->length));
	q->held = mem_array((size_t)n, sizeof(*q->held));
	q->key = mem_array((size_t)n, sizeof(*q->key));
	q->ids = mem_array((size_t)n * (size_t)n_ctx, sizeof(*q->ids));
	q->range = mem_array((size_t)n * (size_t)q->most, sizeof(*q->range));
	q->lists = mem_array((size_t)q->n_ranges, sizeof(*q->lists));
	q->path = mem_array((size_t)q->most, sizeof(*q->path));
}

void sequences_release(struct sequences *q)
{
	mem_free(q->length);
	mem_free(q->held);
	mem_free(q->key);
	mem_free(q->ids);
	mem_free(q->range);
	mem_free(q->lists);
	mem_free(q->path);
	*q = (struct sequences){ 0 };
}

/* --- ranges --- */

static int *list_of(const struct sequences *q, int sequence) { return q->range + (size_t)sequence * (size_t)q->most; }

int32_t *sequence_ids(const struct sequences *q, int sequence)
{
	return q->ids + (size_t)sequence * (size_t)q->n_ctx;
}

int sequence_range(const struct sequences *q, int sequence, int i) { return list_of(q, sequence)[i]; }

int sequences_held(const struct sequences *q)
{
	int n = 0;

	for (int r = 0; r < q->n_ranges; r++)
		n += q->lists[r] > 0;
	return n;
}

int sequence_wants(const struct sequences *q, int sequence, int length)
{
	int has = q->length[sequence], held = q->held[sequence];

	if (length <= has)
		return 0;
	bool copy = has % KV_RANGE && q->lists[sequence_range(q, sequence, has / KV_RANGE)] > 1;
	return MAX(ranges_of(length) - held, 0) + copy;
}

static int range_take(struct sequences *q)
{
	int r = 0;

	while (r < q->n_ranges && q->lists[r])
		r++;
	if (r == q->n_ranges)
		BUG("all %d ranges are taken", r);
	q->lists[r] = 1;
	for (int i = 0; i < q->n_memories; i++)
		q->memories[i].type->take(&q->memories[i], q, r);
	return r;
}

/* One list has it no more. */
static void range_leave(struct sequences *q, int range)
{
	if (--q->lists[range])
		return;
	for (int i = 0; i < q->n_memories; i++)
		q->memories[i].type->drop(&q->memories[i], range);
}

static void range_copy(struct sequences *q, int range, const struct sequences *others, int from, int n)
{
	for (int i = 0; i < q->n_memories; i++)
		q->memories[i].type->copy(&q->memories[i], range, &others->memories[i], from, n);
}

/* --- one sequence --- */

void sequence_reserve(struct sequences *q, int sequence, int n)
{
	int *list = list_of(q, sequence), length = q->length[sequence], last = length / KV_RANGE;

	if (length % KV_RANGE && q->lists[list[last]] > 1) {
		int own = range_take(q), all = list[last];
		range_copy(q, own, q, all, length % KV_RANGE);
		range_leave(q, all);
		list[last] = own;
	}
	while (q->held[sequence] < ranges_of(length + n))
		list[q->held[sequence]++] = range_take(q);
}

void sequence_append(struct sequences *q, int sequence, const int32_t *ids, int n)
{
	int first = q->length[sequence] / KV_RANGE;

	memcpy(sequence_ids(q, sequence) + q->length[sequence], ids, (size_t)n * sizeof(*ids));
	q->length[sequence] += n;
	for (int i = 0; i < q->n_memories; i++)
		q->memories[i].type->append(&q->memories[i], q, sequence, first);
}

/* Each memory may go back further than the one before it. */
static int reach(const struct sequences *q, int sequence, int length)
{
	for (int i = 0; i < q->n_memories; i++) {
		int most = q->memories[i].type->reach(&q->memories[i], q, sequence, length);
		if (most < length) {
			length = most;
			i = -1;
		}
	}
	return length;
}

int sequence_branch(struct sequences *q, int to, int from, int length)
{
	int *list = list_of(q, to);

	length = reach(q, from, length);
	memcpy(sequence_ids(q, to), sequence_ids(q, from), (size_t)length * sizeof(*q->ids));
	q->length[to] = length;
	q->held[to] = ranges_of(length);
	for (int i = 0; i < q->held[to]; i++) {
		list[i] = sequence_range(q, from, i);
		q->lists[list[i]]++;
	}
	return length;
}

int sequence_truncate(struct sequences *q, int sequence, int length)
{
	length = reach(q, sequence, length);
	q->length[sequence] = length;
	while (q->held[sequence] > ranges_of(length))
		range_leave(q, sequence_range(q, sequence, --q->held[sequence]));
	return length;
}

void sequence_copy(struct sequences *q, int to, const struct sequences *others, int from)
{
	int n = others->length[from], same = 0, *list = list_of(q, to);
	const int32_t *ids = sequence_ids(others, from);

	while (same < MIN(n, q->length[to]) && sequence_ids(q, to)[same] == ids[same])
		same++;
	same = sequence_truncate(q, to, same / KV_RANGE * KV_RANGE);
	for (int i = q->held[to]; i < ranges_of(n); i++) {
		list[q->held[to]++] = range_take(q);
		range_copy(q, list[i], others, sequence_range(others, from, i), MIN(n - i * KV_RANGE, KV_RANGE));
	}
	memcpy(sequence_ids(q, to) + same, ids + same, (size_t)(n - same) * sizeof(*ids));
	q->length[to] = n;
}

/* --- a step --- */

/* How many ranges two lists begin with together. */
static int common(const struct sequences *q, int a, int b)
{
	const int *x = list_of(q, a), *y = list_of(q, b);
	int n = 0;

	while (n < MIN(q->held[a], q->held[b]) && x[n] == y[n])
		n++;
	return n;
}

/* Those that share ranges come together. None has all of another's: each has one of its own to be fed. */
static void put_in_order(const struct sequences *q, int *sequences, int n)
{
	for (int i = 1; i < n; i++) {
		int one = sequences[i], at = i;
		for (; at > 0; at--) {
			int same = common(q, one, sequences[at - 1]);
			if (sequence_range(q, one, same) > sequence_range(q, sequences[at - 1], same))
				break;
			sequences[at] = sequences[at - 1];
		}
		sequences[at] = one;
	}
}

/* Ranges of the path from number `from` on are seen by no row after keys below `end`. */
static void close_ranges(struct sequences *q, struct batch *b, int from, int to, int end)
{
	for (int i = from; i < to; i++)
		for (int j = 0; j < KV_RANGE; j++)
			b->vis_end[q->path[i] * KV_RANGE + j] = end * KV_RANGE;
}

static void open_range(struct sequences *q, struct batch *b, int sequence, int i, int at)
{
	int range = sequence_range(q, sequence, i), ranges = b->cap.keys / KV_RANGE;

	if (at >= ranges)
		BUG("a step of more than %d ranges", ranges);
	q->path[i] = at;
	for (int j = 0; j < KV_RANGE; j++)
		b->key_pos[at * KV_RANGE + j] = i * KV_RANGE + j;
	for (int m = 0; m < q->n_memories; m++)
		b->place[m * ranges + at] = q->memories[m].place[range];
}

void sequences_lay(struct sequences *q, struct batch *b, int *sequences, int n)
{
	int at = 0, deep = 0;

	put_in_order(q, sequences, n);
	for (int k = 0; k < n; k++) {
		int one = sequences[k], same = k ? common(q, sequences[k - 1], one) : 0;
		close_ranges(q, b, same, deep, at);
		for (deep = same; deep < q->held[one]; deep++)
			open_range(q, b, one, deep, at++);
		int first = q->length[one] / KV_RANGE;
		q->key[one] = (q->path[first] - first) * KV_RANGE;
	}
	close_ranges(q, b, 0, deep, at);
	b->n_keys = at * KV_RANGE;
}
