/* test_batcher_limits: how much is done at once: long prompts come in parts beside growing answers, the cache is never
 * over its bound and whoever begins can end, the least served goes next, time runs out, kept sequences as files. */
#include "../test.h"

#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "infer/batcher.h"
#include "infer/turns.h"

enum { CONTEXT = 128, LONG = 120, SHORT = 5, MOST = 12, KEPT = 96, REQUESTS = 24 };

struct bench {
	struct test *t;
	struct model model;
	struct pool *pool;
	struct device device;
	const struct kernels *kernels;
	struct sampler greedy;
	int32_t ids[LONG];
	struct session *s;
	struct batcher *b;
	int n_done, order[REQUESTS];   /* tickets as they ended */
	size_t tokens, kept;           /* of the last that ended */
	enum finish finish;
	int begun;
};

static int take(void *ctx, int64_t ticket, struct generation *g, struct err *e)
{
	struct bench *b = ctx;
	(void)e;

	b->order[b->n_done++] = (int)ticket;
	b->tokens = g->ids.n;
	b->kept = g->kept;
	b->finish = g->finish;
	return 0;
}

static void begun(void *ctx, int64_t ticket)
{
	struct bench *b = ctx;
	(void)ticket;
	b->begun++;
}

static int64_t ask(struct bench *b, size_t from, size_t n, size_t most, uint64_t client, double until)
{
	struct err e = ERR_INIT;
	struct batcher_request r = { .ids = b->ids + from,
		                     .n = n,
		                     .client = client,
		                     .until = until,
		                     .begun = begun,
		                     .done = take,
		                     .ctx = b,
		                     .generate = { .max_new_tokens = most, .sampler = &b->greedy } };
	int64_t ticket = batcher_add(b->b, &r, &e);

	CHECK_MSG(b->t, ticket >= 0, "%s", e.msg);
	return ticket;
}

static void open(struct bench *b, int sequences, struct batcher_limits limits)
{
	struct err e = ERR_INIT;
	struct session_size size = { .n_ctx = CONTEXT, .n_sequences = sequences };

	CHECK_MSG(b->t, session_new(&b->s, &b->model, NULL, &b->device, &size, &e) == 0, "%s", e.msg);
	b->b = batcher_new(b->s, b->model.tokenizer, b->pool);
	batcher_limit(b->b, &limits);
	b->n_done = b->begun = 0;
}

static void close_all(struct bench *b)
{
	batcher_free(b->b);
	CHECK(b->t, session_ranges(b->s) == 0);
	session_free(b->s);
}

static void step(struct bench *b)
{
	struct err e = ERR_INIT;

	CHECK_MSG(b->t, batcher_step(b->b, &e) == 0, "%s", e.msg);
}

static void run(struct bench *b, int ranges)
{
	while (batcher_busy(b->b)) {
		step(b);
		CHECK_MSG(b->t, !ranges || session_ranges(b->s) <= ranges, "%d ranges of %d", session_ranges(b->s),
		          ranges);
	}
}

static void test_parts(struct bench *b)
{
	size_t before;
	int steps = 0;

	test_case(b->t, "an answer grows by a token in every step while a long prompt is read beside it");
	open(b, 3, (struct batcher_limits){ .step_seconds = 1e-9 });
	ask(b, 0, SHORT, 40, 0, 0);
	while (batcher_new_tokens(b->b) == 0)
		step(b);
	ask(b, 7, LONG - 7, 1, 0, 0);
	while (batcher_slot(b->b, 1).ticket < 0 || batcher_slot(b->b, 1).reads) {
		before = batcher_slot(b->b, 0).made;
		step(b);
		steps += batcher_slot(b->b, 1).reads;
		CHECK(b->t, batcher_slot(b->b, 0).made == before + 1);
		if (b->n_done)
			break;
	}
	CHECK_MSG(b->t, steps >= 3, "%d steps", steps);
	run(b, 0);
	close_all(b);

	test_case(b->t, "a short prompt does not wait for a long one that is read before it");
	open(b, 3, (struct batcher_limits){ .step_seconds = 1e-9 });
	ask(b, 7, LONG - 7, 1, 0, 0);
	ask(b, 0, SHORT, 1, 0, 0);
	run(b, 0);
	CHECK(b->t, b->order[0] == 1 && b->order[1] == 0);
	close_all(b);
}

static void test_room(struct bench *b)
{
	test_case(b->t, "the cache stays within its bound, and who begins comes to its end");
	open(b, 4, (struct batcher_limits){ 0 });
	int full = session_ranges_full(b->s);
	batcher_limit(b->b, &(struct batcher_limits){ .ranges = full });
	for (size_t i = 0; i < 6; i++)
		ask(b, i, LONG / 2, CONTEXT, 0, 0); /* each may fill the context: one at a time */
	for (size_t i = 0; i < 6; i++)
		ask(b, 10 + i, SHORT, MOST, 0, 0);
	run(b, full);
	CHECK_MSG(b->t, b->n_done == 12 && b->begun == 12, "%d of 12", b->n_done);
	for (int i = 0; i < 12; i++)
		CHECK(b->t, b->order[i] == i);
	close_all(b);

	test_case(b->t, "what is kept goes by its last use");
	open(b, 4, (struct batcher_limits){ .parallel = 1, .ranges = 2 });
	ask(b, 0, KEPT, 1, 0, 0);
	run(b, 2);
	ask(b, 20, KEPT, 1, 0, 0);
	run(b, 2);
	ask(b, 0, KEPT, 1, 0, 0);
	run(b, 2);
	CHECK_MSG(b->t, b->kept == KEPT - 1, "%zu tokens were kept", b->kept);
	ask(b, 40, KEPT / 2, 1, 0, 0); /* a range more: there is none, so the second's go */
	run(b, 2);
	ask(b, 0, KEPT, 1, 0, 0);
	run(b, 2);
	CHECK_MSG(b->t, b->kept == KEPT - 1, "%zu tokens were kept", b->kept);
	ask(b, 20, KEPT, 1, 0, 0);
	run(b, 2);
	CHECK_MSG(b->t, b->kept < KEPT / 2, "%zu tokens were kept", b->kept);
	close_all(b);
}

static void test_turns_of(struct bench *b)
{
	int at[2], n = 0;

	test_case(b->t, "who asks for little does not stand behind all that another one asks for");
	open(b, 1, (struct batcher_limits){ .fair = true });
	for (size_t i = 0; i < 10; i++)
		ask(b, i, 20, MOST, 7, 0);
	step(b);
	for (size_t i = 0; i < 2; i++)
		ask(b, 50 + i, 20, MOST, 8, 0);
	run(b, 0);
	for (int i = 0; i < 12; i++)
		if (b->order[i] >= 10)
			at[n++] = i;
	CHECK_MSG(b->t, n == 2 && at[0] == 1 && at[1] <= 3, "they came as %d and %d of 12", at[0], at[1]);
	close_all(b);

	test_case(b->t, "one that comes back is not owed for the time that it was away");
	struct turns t = { 0 };
	turns_come(&t, 1, 0);
	turns_serve(&t, 1, 0, 1000);
	turns_come(&t, 2, 0);
	turns_come(&t, 2, 1);
	CHECK(b->t, !turns_before(&t, 2, 0, 1, 0) && !turns_before(&t, 1, 0, 2, 0));
	turns_serve(&t, 2, 0, 1);
	CHECK(b->t, turns_before(&t, 1, 0, 2, 0) && turns_before(&t, 2, 1, 2, 0) && !turns_before(&t, 2, 0, 2, 1));
	turns_serve(&t, 1, 0, 5);
	turns_go(&t, 1, 0); /* it comes again at once: what it had counts */
	turns_come(&t, 1, 0);
	CHECK(b->t, turns_before(&t, 2, 0, 1, 0));
	turns_go(&t, 1, 0);
	turns_serve(&t, 2, 1, 500);
	turns_come(&t, 1, 0);
	CHECK(b->t, !turns_before(&t, 1, 0, 2, 0) && !turns_before(&t, 2, 0, 1, 0));
	turns_release(&t);
}

static void test_until(struct bench *b)
{
	test_case(b->t, "one whose time is over ends with what it has, in the queue with nothing");
	open(b, 1, (struct batcher_limits){ 0 });
	ask(b, 0, SHORT, 4, 0, 1e18);
	ask(b, 0, SHORT, 4, 0, 1e-9);
	step(b);
	CHECK(b->t, b->n_done == 1 && b->order[0] == 1 && b->begun == 1);
	CHECK(b->t, b->finish == FINISH_TIMEOUT && b->tokens == 0);
	run(b, 0);
	CHECK(b->t, b->n_done == 2 && b->finish == FINISH_LENGTH && b->tokens == 4);
	close_all(b);
}

static void test_slots(struct bench *b)
{
	struct err e = ERR_INIT;
	char *path = io_join(test_tmp(), "slot.bin");

	test_case(b->t, "a kept sequence becomes a file and comes back");
	open(b, 2, (struct batcher_limits){ 0 });
	ask(b, 0, LONG / 2, MOST, 0, 0);
	step(b);
	CHECK(b->t, batcher_save(b->b, 0, path, &e) == -1 && strstr(e.msg, "slot 0 is answering"));
	CHECK(b->t, batcher_erase(b->b, 2, &e) == -1 && strstr(e.msg, "there is no slot 2"));
	run(b, 0);
	struct batcher_slot has = batcher_slot(b->b, 0);
	CHECK(b->t, has.ticket == -1 && has.tokens == LONG / 2 + MOST - 1);
	CHECK_MSG(b->t, batcher_save(b->b, 0, path, &e) == 0, "%s", e.msg);
	CHECK(b->t, batcher_erase(b->b, 0, &e) == 0 && batcher_slot(b->b, 0).tokens == 0);
	CHECK(b->t, batcher_save(b->b, 0, path, &e) == -1 && strstr(e.msg, "slot 0 holds nothing"));
	CHECK_MSG(b->t, batcher_restore(b->b, 1, 0, path, &e) == 0, "%s", e.msg);
	ask(b, 0, LONG / 2, MOST, 0, 0);
	run(b, 0);
	CHECK_MSG(b->t, b->kept == LONG / 2 - 1, "%zu tokens were kept", b->kept);
	batcher_forget(b->b, 0);
	CHECK(b->t, session_ranges(b->s) == 0);
	close_all(b);
	mem_free(path);
}

void test_batcher_limits(struct test *t)
{
	struct err e = ERR_INIT;
	struct bench b = { .t = t, .pool = pool_new(2), .kernels = kernels_get(NULL, &e) };
	char *path = io_join(test_golden(), "llama");

	b.device = device_cpu(b.kernels, b.pool);
	test_case(t, "the tiny Llama opens");
	CHECK_MSG(t, model_open(&b.model, path, &e) == 0 && model_tokenizer(&b.model, &e) == 0, "%s", e.msg);
	for (int i = 0; i < LONG; i++)
		b.ids[i] = (i * i * 7 + i * 3 + 5) % b.model.config.V;
	test_parts(&b);
	test_room(&b);
	test_turns_of(&b);
	test_until(&b);
	test_slots(&b);
	model_close(&b.model);
	pool_free(b.pool);
	mem_free(path);
}
