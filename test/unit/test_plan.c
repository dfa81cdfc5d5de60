/* test_plan: what a plan recomputes under a limit follows what ops cost on the machine that it is told of, and changes
 * no bit; what costs nothing known is weighed by the roofline; and measuring the ops gives a share to each that a
 * model's block has. Kept in 8 bits, activations take less, the forward is the same and gradients are near. */
#include "../test.h"

#include <stdio.h>
#include <string.h>

#include "../op_case.h"
#include "op/roofline.h"

enum { ROWS = 96, C = 64, LAYERS = 4 };

static uint32_t project(struct tape *t, uint32_t x, uint32_t residual)
{
	uint32_t w = tape_param(t, "w", 2, (size_t[]){ C, C });

	return op_linear(t, &(struct linear){ .x = x, .w = w, .residual = residual });
}

/* In each layer backward reads two products and what attention made. */
static void record(struct op_block *m, bool rows)
{
	const struct attention_spec two = { .H = 2, .G = 2, .scale = 0.2F };
	uint32_t x = rows ? tape_state(&m->t, "x", AXIS_ROWS, 2, (size_t[]){ ROWS, C }) :
	                    tape_param(&m->t, "x", 2, (size_t[]){ ROWS, C });

	for (m->t.layer = 0; m->t.layer < LAYERS; m->t.layer++) {
		uint32_t q = project(&m->t, x, TENSOR_NONE), gate = project(&m->t, x, TENSOR_NONE);
		x = project(&m->t, op_act(&m->t, ACT_SILU, gate, op_attention(&m->t, q, q, q, two)), x);
	}
	m->t.layer = -1;
	m->out = x;
}

static void bind(struct op_block *m, float size)
{
	for (uint32_t i = 1; i < m->t.n_tensors; i++) {
		struct rng_stream rng = { i };
		if (m->p.offset[i] != SIZE_MAX)
			continue;
		float *x = random_floats(&m->mem, &rng, tensor_count(&m->t.tensors[i]));
		for (size_t k = 0; k < tensor_count(&m->t.tensors[i]); k++)
			x[k] *= size;
		run_bind(&m->r, i, x);
	}
}

static void begin_of(struct op_block *m, const struct plan_options *o, bool rows, int threads)
{
	const struct kernels *k = kernels_get(NULL, NULL);
	struct rng_stream rng = { 3 };

	*m = (struct op_block){ .pool = pool_new(threads) };
	tape_init(&m->t, &batch_sample_cap, true);
	batch_init(&m->batch, &batch_sample_cap);
	batch_sample(&m->batch, &rng, ROWS, 5);
	record(m, rows);
	op_block_plan(m, ROWS, C, k, o);
	bind(m, rows ? 0.2F : 1);
	run_step(&m->r, &m->batch);
}

static void begin(struct op_block *m, const struct plan_options *o) { begin_of(m, o, false, 2); }

static int recomputed(const struct op_block *m, const char *op)
{
	int n = 0;

	for (uint32_t i = 0; i < m->p.n_nodes; i++)
		n += m->p.nodes[i].phase == PHASE_RECOMPUTE && !strncmp(m->p.nodes[i].op->name, op, strlen(op));
	return n;
}

static bool same(const struct op_block *a, const struct op_block *b)
{
	for (uint32_t i = 1; i < a->t.n_tensors; i++)
		if (a->t.tensors[i].role == ROLE_GRAD &&
		    memcmp(run_f32(&a->r, i), run_f32(&b->r, i), tensor_count(&a->t.tensors[i]) * sizeof(float)) != 0)
			return false;
	return !memcmp(run_f32(&a->r, a->out), run_f32(&b->r, b->out), ROWS * C * sizeof(float));
}

static void test_choice(struct test *t)
{
	static const struct { const char *what, *cheap, *dear; struct speeds speeds;
	} ways[] = {
		{ "attention is declared dear",
		  "linear",
		  "attention",
		  { 1e11, 2e11, 1e10, { { "linear", 10 }, { "attention", 0.01 } }, 2 } },
		{ "products are declared dear",
		  "attention",
		  "linear",
		  { 1e11, 2e11, 1e10, { { "linear", 0.01 }, { "attention", 10 } }, 2 } },
	};
	struct op_block kept, limited;

	begin(&kept, NULL);
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		struct plan_options o = { .limit_bytes = kept.p.arena_bytes - 1, .speeds = &ways[i].speeds };
		test_case(t, "%s", ways[i].what);
		begin(&limited, &o);
		CHECK_MSG(t, recomputed(&limited, ways[i].cheap) > 0 && recomputed(&limited, ways[i].dear) == 0,
		          "%d and %d", recomputed(&limited, ways[i].cheap), recomputed(&limited, ways[i].dear));
		CHECK(t, limited.p.arena_bytes <= o.limit_bytes && same(&limited, &kept));
		op_block_release(&limited);
	}
	op_block_release(&kept);
}

/* The rows of a batch may see little of what the capacity allows. */
static void test_live(struct test *t)
{
	struct live few = { .rows = ROWS, .targets = 1, .labels = 1, .visible = ROWS }, many = few;
	struct speeds s = { .flops = 1, .int_ops = 1, .bytes = 1e9 };
	struct op_block kept, limited;

	many.visible = ROWS * 1e3;
	begin(&kept, NULL);
	for (int i = 0; i < 2; i++) {
		struct plan_options o = { .limit_bytes = kept.p.arena_bytes - 1,
			                  .speeds = &s,
			                  .live = i ? &many : &few };
		test_case(t, "attention over %s keys", i ? "many" : "few");
		begin(&limited, &o);
		CHECK_MSG(t, (recomputed(&limited, "attention") > 0) == !i && (recomputed(&limited, "linear") > 0) == i,
		          "%d and %d", recomputed(&limited, "attention"), recomputed(&limited, "linear"));
		op_block_release(&limited);
	}
	op_block_release(&kept);
}

/* |a − b| over |b|, of the gradients of all parameters. */
static double off(const struct op_block *a, const struct op_block *b)
{
	double sum = 0, all = 0;

	for (uint32_t i = 1; i < a->t.n_tensors; i++) {
		const float *x = a->t.tensors[i].role == ROLE_GRAD ? run_f32(&a->r, i) : NULL, *y = run_f32(&b->r, i);
		for (size_t k = 0; x && k < tensor_count(&a->t.tensors[i]); k++) {
			sum += pow((double)x[k] - (double)y[k], 2);
			all += pow((double)y[k], 2);
		}
	}
	return sqrt(sum / all);
}

static void test_8bit(struct test *t)
{
	struct op_block exact, packed, again;
	size_t bytes = (size_t)ROWS * C * sizeof(float);

	test_case(t, "in 8 bits: the same forward, gradients within 1 %%, less memory");
	begin_of(&exact, NULL, true, 2);
	begin_of(&packed, &(struct plan_options){ .in_8bit = true }, true, 2);
	CHECK(t, !memcmp(run_f32(&exact.r, exact.out), run_f32(&packed.r, packed.out), bytes));
	CHECK_MSG(t, off(&packed, &exact) > 0 && off(&packed, &exact) < 0.01, "%g", off(&packed, &exact));
	CHECK_MSG(t, packed.p.arena_bytes < exact.p.arena_bytes * 3 / 5, "%zu, %zu", packed.p.arena_bytes,
	          exact.p.arena_bytes);
	test_case(t, "in 8 bits: the same bits on three threads, and all recomputed beside it");
	begin_of(&again, &(struct plan_options){ .in_8bit = true }, true, 3);
	CHECK(t, same(&again, &packed));
	op_block_release(&again);
	begin_of(&again, &(struct plan_options){ .in_8bit = true, .recompute_all = true }, true, 2);
	CHECK_MSG(t, recomputed(&again, "linear") > 0 && off(&again, &exact) < 0.01, "%g", off(&again, &exact));
	op_block_release(&again);
	op_block_release(&exact);
	op_block_release(&packed);
}

static void test_seconds(struct test *t)
{
	struct speeds s = { .flops = 1e9, .bytes = 1e8, .op = { { "linear", 0.5 } }, .n_ops = 1 }, zero = { 0 };
	struct live live = { .rows = 10 };
	struct tape tape;

	test_case(t, "a node's seconds: the roofline over its share");
	tape_init(&tape, &batch_sample_cap, false);
	uint32_t x = tape_state(&tape, "x", AXIS_ROWS, 2, (size_t[]){ ROWS, 1000 }),
		 w = tape_weight(&tape, "w", DTYPE_F32, 2, (size_t[]){ 10, 1000 });
	op_linear(&tape, &(struct linear){ .x = x, .w = w });
	double bytes = 4 * (10 * 1000 + 10 * 1000 + 10 * 10);
	CHECK_MSG(t, fabs(node_seconds(&s, &tape, &tape.nodes[0], &live) / (bytes / 1e8 / 0.5) - 1) < 1e-9, "%g",
	          node_seconds(&s, &tape, &tape.nodes[0], &live));
	s.bytes = 1e12;
	s.n_ops = 0;
	CHECK(t, fabs(node_seconds(&s, &tape, &tape.nodes[0], &live) / (2 * 10 * 10 * 1000 / 1e9) - 1) < 1e-9);
	CHECK(t, node_seconds(NULL, &tape, &tape.nodes[0], &live) == node_seconds(&zero, &tape, &tape.nodes[0], &live));
	tape_release(&tape);
}

static void test_measuring(struct test *t)
{
	static const char *const ops[] = { "linear", "linear int8", "attention", "rope",    "rmsnorm", "layernorm",
		                           "act",    "add",         "dropout",   "split" };
	struct speeds s = { .flops = 1e11, .int_ops = 2e11, .bytes = 1e10 };
	struct pool *pool = pool_new(2);
	struct device d = device_cpu(kernels_get(NULL, NULL), pool);
	struct err e = ERR_INIT;

	test_case(t, "the ops of a block are measured");
	CHECK_MSG(t, speeds_measure(&s, &d, &e) == 0, "%s", e.msg);
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		int at = 0;
		while (at < s.n_ops && strcmp(s.op[at].op, ops[i]) != 0)
			at++;
		CHECK_MSG(t, at < s.n_ops && s.op[at].share > 0, "%s", ops[i]);
	}
	pool_free(pool);
}

/* --- outputs that are no floats: of every row the column of its largest number, then those numbers --- */

static int largest_shape(struct tape *t, struct node *n, struct err *e)
{
	struct tensor x = *tape_tensor(t, n->in[0]);
	(void)e;
	tape_output_of(t, n, 0, "column", DTYPE_I32, x.axis, 1, x.dim);
	tape_output_of(t, n, 1, "is_largest", DTYPE_U8, x.axis, 2, x.dim);
	return 0;
}

static void largest_forward(struct run *r, const struct node *n)
{
	size_t cols = run_tensor(r, n->in[0])->dim[1];
	const float *x = run_f32(r, n->in[0]);
	uint8_t *is = r->data[n->out[1]];

	memset(is, 0, run_rows(r, n->in[0]) * cols);
	for (size_t i = 0; i < run_rows(r, n->in[0]); i++, x += cols, is += cols) {
		size_t best = 0;
		for (size_t j = 1; j < cols; j++)
			best = x[j] > x[best] ? j : best;
		run_i32(r, n->out[0])[i] = (int32_t)best;
		is[best] = 1;
	}
}

static int take_shape(struct tape *t, struct node *n, struct err *e)
{
	(void)e;
	tape_output(t, n, 0, "taken", tape_tensor(t, n->in[1])->axis, 1, tape_tensor(t, n->in[1])->dim);
	return 0;
}

static void take_forward(struct run *r, const struct node *n)
{
	size_t cols = run_tensor(r, n->in[0])->dim[1];

	for (size_t i = 0; i < run_rows(r, n->in[0]); i++) {
		size_t at = i * cols + (size_t)run_i32(r, n->in[1])[i];
		run_f32(r, n->out[0])[i] = run_f32(r, n->in[0])[at] * (float)((uint8_t *)r->data[n->in[2]])[at];
	}
}

static void no_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	(void)t, (void)n, (void)live;
	*flops = *bytes = 0;
}

static void test_integers(struct test *t)
{
	static const struct op largest = {
		.name = "largest", .shape = largest_shape, .cost = no_cost, .forward = largest_forward
	};
	static const struct op take = { .name = "take", .shape = take_shape, .cost = no_cost, .forward = take_forward };
	struct op_case c = { 0 };
	struct arena mem = ARENA_INIT;
	struct rng_stream rng = { 4 };
	struct batch b = { .n_rows = ROWS };
	struct pool *pool = pool_new(1);

	test_case(t, "whole numbers as outputs: as wide as they are, without a gradient");
	op_case_init(&c, &batch_sample_cap, true);
	uint32_t x = tape_param(&c.t, "x", 2, (size_t[]){ ROWS, C }), row = tape_record(&c.t, &largest, &x, 1, NULL, 0);
	uint32_t is = c.t.nodes[0].out[1],
		 y = tape_record(&c.t, &take, (uint32_t[]){ x, row, is }, 3, NULL, 0);
	CHECK(t, !tape_wants(&c.t, row) && !tape_wants(&c.t, is) && tape_wants(&c.t, y));
	c.t.gradients = false;
	op_case_plan(&c, kernels_get(NULL, NULL), pool);
	CHECK_MSG(t, c.p.arena_bytes == 2 * ROWS * 4 + ROWS * C, "%zu bytes", c.p.arena_bytes);
	float *numbers = random_floats(&mem, &rng, ROWS * C);
	run_bind(&c.r, x, numbers);
	run_step(&c.r, &b);
	for (size_t i = 0; i < ROWS; i++)
		CHECK(t, run_f32(&c.r, y)[i] == kernels_get("ref", NULL)->max(numbers + i * C, C));
	op_case_release(&c);
	arena_release(&mem);
	pool_free(pool);
}

void test_plan(struct test *t);
void test_plan(struct test *t)
{
	test_choice(t);
	test_live(t);
	test_8bit(t);
	test_seconds(t);
	test_measuring(t);
	test_integers(t);
}
