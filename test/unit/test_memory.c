/* test_memory: every kind of memory under sequences that are fed, branched, cut, copied and dropped in random order:
 * what a sequence will still see is there and its own, whoever it shares it with, and there is always room. */
#include "../test.h"

#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "infer/sequences.h"
#include "op/device.h"
#include "op/kv_cache.h"

enum { N = 5, CONTEXT = 3000, ROWS = 300, DEEDS = 3000 };

struct bench {
	struct test *t;
	struct sequences q;
	struct memory memories[3];     /* all tokens, a window, and states of one number */
	int window;
	struct rng_stream rng;
	int32_t next;                  /* no token is there twice */
	int cut_short;                 /* how often a memory could not go back */
};

static int draw(struct bench *b, int n) { return (int)rng_below(&b->rng, (uint32_t)n); }

/* The number that stands for the token in a range: the value of its only head. */
static float *value_at(const struct memory *m, int range, int i)
{
	size_t bytes;
	char *rows = memory_rows(m, 0, true, &bytes);

	return (float *)(void *)(rows + ((size_t)m->place[range] * KV_RANGE + (size_t)i) * bytes);
}

static float *state_at(const struct memory *m, int range) { return memory_states(m, 0) + m->place[range]; }

/* As kv_put does it, and an op whose state is the last token. */
static void put(struct bench *b, int sequence, int n)
{
	int32_t ids[ROWS];
	int at = b->q.length[sequence];

	sequence_reserve(&b->q, sequence, n);
	for (int i = 0; i < n; i++) {
		int range = sequence_range(&b->q, sequence, (at + i) / KV_RANGE);
		ids[i] = b->next++;
		for (int k = 0; k < 2; k++)
			*value_at(&b->memories[k], range, (at + i) % KV_RANGE) = (float)ids[i];
		*state_at(&b->memories[2], range) = (float)ids[i];
	}
	sequence_append(&b->q, sequence, ids, n);
}

/* Every sequence can go on: the state after its last token is there. */
static void check_states(struct bench *b, const char *when)
{
	const struct memory *m = &b->memories[2];

	for (int s = 0; s < N; s++) {
		int length = b->q.length[s], range = length ? sequence_range(&b->q, s, (length - 1) / KV_RANGE) : -1;
		bool fine = length == 0 || (m->place[range] >= 0 &&
		                            *state_at(m, range) == (float)sequence_ids(&b->q, s)[length - 1]);
		CHECK_MSG(b->t, fine, "%s: sequence %d: the state after %d tokens is gone", when, s, length);
	}
}

static void check(struct bench *b, const char *when)
{
	check_states(b, when);
	for (int s = 0; s < N; s++)
		for (int k = 0; k < 2; k++) {
			int length = b->q.length[s], from = k ? MAX(length - b->window + 1, 0) : 0;
			for (int p = from; p < length; p++) {
				int range = sequence_range(&b->q, s, p / KV_RANGE);
				bool there = b->memories[k].place[range] >= 0;
				if (there && *value_at(&b->memories[k], range, p % KV_RANGE) ==
				                     (float)sequence_ids(&b->q, s)[p])
					continue;
				CHECK_MSG(b->t, false, "%s: %s: sequence %d, position %d of %d: %s", when,
				          b->memories[k].type->name, s, p, length, there ? "another's" : "gone");
				return;
			}
		}
}

static void deed(struct bench *b)
{
	int s = draw(b, N), other = draw(b, N), length = b->q.length[s], n;

	switch (draw(b, 8)) {
	case 0:
		n = draw(b, draw(b, 2) ? 40 : 900);
		n = MAX(length - n, 0);
		b->cut_short += sequence_truncate(&b->q, s, n) != n;
		break;
	case 1:
		n = draw(b, 2) ? length : draw(b, length + 1);
		if (s == other)
			break;
		sequence_truncate(&b->q, other, 0);
		b->cut_short += sequence_branch(&b->q, other, s, n) != n;
		break;
	case 2:
		sequence_truncate(&b->q, s, draw(b, 3) ? length : 0);
		break;
	default:
		n = 1 + draw(b, draw(b, 3) ? 20 : ROWS);
		n = MIN(n, CONTEXT - length);
		if (n > 0)
			put(b, s, n);
	}
}

static void bench_begin(struct bench *b, struct device *d)
{
	struct memory_size size = { .n_layers = 1,
		                    .G = 1,
		                    .D = 4,
		                    .types = { DTYPE_F32, DTYPE_F32 },
		                    .n_ranges = sequences_ranges(N, CONTEXT),
		                    .n_sequences = N,
		                    .rows = ROWS };
	struct err e = ERR_INIT;

	CHECK_MSG(b->t, memory_init(&b->memories[0], d, &memory_kv, &size, &e) == 0, "%s", e.msg);
	size.window = b->window;
	CHECK_MSG(b->t, memory_init(&b->memories[1], d, &memory_window, &size, &e) == 0, "%s", e.msg);
	size.state = 1;
	CHECK_MSG(b->t, memory_init(&b->memories[2], d, &memory_state, &size, &e) == 0, "%s", e.msg);
	sequences_init(&b->q, N, CONTEXT, b->memories, 3);
}

static void bench_end(struct bench *b)
{
	sequences_release(&b->q);
	memory_release(&b->memories[0]);
	memory_release(&b->memories[1]);
	memory_release(&b->memories[2]);
}

void test_memory(struct test *t)
{
	static const int windows[] = { 1, 100, 256, 257, 700 };
	struct err e = ERR_INIT;
	struct pool *pool = pool_new(1);
	struct device d = device_cpu(kernels_get(NULL, &e), pool);
	int cut_short = 0;

	for (size_t i = 0; i < ARRAY_LEN(windows); i++) {
		struct bench b = { .t = t, .window = windows[i], .rng = { 5 + i }, .next = 1 };
		struct bench other = { .t = t, .window = windows[i], .rng = { 7 }, .next = 1 << 20 };
		test_case(t, "what is seen again is kept, by all tokens, by a window of %d and as states", windows[i]);
		bench_begin(&b, &d);
		for (int k = 0; k < DEEDS; k++) {
			deed(&b);
			check(&b, "at any time");
		}
		cut_short += b.cut_short;
		CHECK_MSG(t, b.memories[1].n_places < b.memories[0].n_places, "%d places of %d",
		          b.memories[1].n_places, b.memories[0].n_places);
		test_case(t, "a sequence of others is the same as theirs, window of %d", windows[i]);
		bench_begin(&other, &d);
		for (int k = 0; k < DEEDS / 10; k++) {
			int from = draw(&b, N), to = draw(&other, N);
			deed(&other);
			sequence_copy(&other.q, to, &b.q, from);
			CHECK(t, other.q.length[to] == b.q.length[from] &&
			                 !memcmp(sequence_ids(&other.q, to), sequence_ids(&b.q, from),
			                         (size_t)b.q.length[from] * sizeof(int32_t)));
			check(&other, "a copy");
		}
		bench_end(&other);
		bench_end(&b);
	}
	test_case(t, "a window was too short to go back, now and then");
	CHECK_MSG(t, cut_short > 10, "%d times", cut_short);
	pool_free(pool);
}
