/* test_timing: a pass is timed by some of its nodes: every op can be run so, alone with rubbish, and a stack of equal
 * layers takes what it takes when all are run, by a held clock. */
#include "../test.h"

#include <math.h>

#include "../held/held.h"
#include "../op_case.h"
#include "base/clock.h"
#include "op/table.h"
#include "op/timing.h"

static void bind_weights(void *ctx, struct run *r)
{
	struct arena *mem = ctx;
	for (uint32_t i = 1; i < r->plan->n_tensors; i++)
		if (r->plan->tensors[i].role == ROLE_WEIGHT)
			run_bind(r, i, arena_alloc64(mem, tensor_count(&r->plan->tensors[i]) * sizeof(float)));
}

static double pass_seconds(const struct plan *p, const struct batch *b)
{
	struct tape view = { .tensors = p->tensors, .n_tensors = p->n_tensors, .cap = p->cap };
	struct live live = batch_live(b);
	double seconds = 0;

	for (uint32_t i = 0; i < p->n_nodes; i++)
		seconds += held_node_seconds(&view, &p->nodes[i], &live);
	return seconds;
}

/* A node's end is read once, which takes a microsecond. */
static bool is_pass(const struct timing *timing, const struct plan *p, double seconds)
{
	return fabs(timing->seconds - seconds - 1e-6 * p->n_nodes) <= 1e-6 * seconds + 1e-8 && timing->spread < 1e-9;
}

static void time_sample(struct test *t, const struct op *op, int number, struct pool *pool, const struct kernels *k)
{
	struct arena mem = ARENA_INIT;
	struct batch batch;
	struct tape tape;
	struct plan plan;
	struct timing timing;
	struct err e = ERR_INIT;
	struct rng_stream rng = { 5 };
	struct device d = device_cpu(k, pool);

	tape_init(&tape, &batch_sample_cap, true);
	batch_init(&batch, &batch_sample_cap);
	uint32_t out = op->sample(&tape, &batch, &rng, number);
	if (out && !op->starts_gradient) {
		struct tensor like = *tape_tensor(&tape, out);
		tape_seed(&tape, out, tape_state(&tape, "seed", like.axis, like.n_dims, like.dim));
	}
	CHECK_MSG(t, out && tape_backward(&tape, &e) == 0 && plan_make(&plan, &tape, k, NULL, &e) == 0, "%s", e.msg);
	struct timing_options o = { .batch = &batch, .mean = batch_live(&batch), .bind = bind_weights, .ctx = &mem };
	CHECK_MSG(t, plan_time(&timing, &plan, &d, &o, &e) == 0, "%s", e.msg);
	double want = pass_seconds(&plan, &batch);
	CHECK_MSG(t, is_pass(&timing, &plan, want), "%s: %.9g s, not %.9g", op->name, timing.seconds, want);
	plan_release(&plan);
	batch_release(&batch);
	tape_release(&tape);
	arena_release(&mem);
}

static void test_every_op(struct test *t, struct pool *pool, const struct kernels *k)
{
	test_case(t, "every op's nodes can be run alone");
	for (size_t i = 0; op_table[i]; i++)
		if (op_table[i]->sample)
			time_sample(t, op_table[i], 0, pool, k);
}

enum { LAYERS = 24, WIDTH = 256, ROWS = 64 };

static void test_stack(struct test *t, struct pool *pool, const struct kernels *k)
{
	struct batch_cap cap = { .rows = ROWS, .targets = 1, .labels = 1, .segments = 1, .docs = 1, .keys = ROWS };
	struct arena mem = ARENA_INIT;
	struct batch batch;
	struct op_case c;
	struct timing timing;
	struct err e = ERR_INIT;
	uint32_t x;

	test_case(t, "a stack of layers takes as long as its kinds of nodes say");
	op_case_init(&c, &cap, false);
	batch_init(&batch, &cap);
	batch.n_rows = ROWS;
	x = tape_state(&c.t, "x", AXIS_ROWS, 2, (size_t[]){ ROWS, WIDTH });
	uint32_t input = x;
	for (int i = 0; i < LAYERS; i++) {
		uint32_t w = tape_weight(&c.t, "w", DTYPE_F32, 2, (size_t[]){ WIDTH, WIDTH });
		x = op_linear(&c.t, &(struct linear){ .x = x, .w = w });
	}
	op_case_plan(&c, k, pool);
	struct timing_options o = { .batch = &batch, .mean = batch_live(&batch), .bind = bind_weights, .ctx = &mem };
	CHECK_MSG(t, plan_time(&timing, &c.p, &c.d, &o, &e) == 0, "%s", e.msg);
	bind_weights(&mem, &c.r);
	run_bind(&c.r, input, arena_alloc64(&mem, ROWS * WIDTH * sizeof(float)));
	double begin = clock_seconds();
	run_step(&c.r, &batch);
	double step = clock_seconds() - begin;
	CHECK_MSG(t, is_pass(&timing, &c.p, step), "%.9g s predicted, %.9g s taken", timing.seconds, step);
	batch_release(&batch);
	op_case_release(&c);
	arena_release(&mem);
}

void test_timing(struct test *t)
{
	struct err e = ERR_INIT;
	struct pool *pool = pool_new(2);
	const struct kernels *k = kernels_get(NULL, &e);

	held_begin();
	test_every_op(t, pool, k);
	test_stack(t, pool, k);
	held_end();
	pool_free(pool);
}
