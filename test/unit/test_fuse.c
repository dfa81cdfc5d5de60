/* test_fuse: what a plan joins computes what was recorded: outputs with the same bits, gradients up to the rounding of
 * one sum, with second products on any of the linears; at any number of threads and whatever is recomputed the same
 * bits; the same operations in fewer nodes. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "../op_case.h"
#include "matrix_sample.h"
#include "op/fuse.h"
#include "quant/panels.h"

enum { ROWS = 70, C = 64, WIDE = 96, RANK = 3, PARTS = 5 };

/* How a block is recorded: bits of lora are the linears that have an adapter. */
struct shape {
	unsigned lora;
	bool trained, bias;
};

static uint32_t weight(struct op_block *b, const struct shape *s, size_t rows, size_t cols)
{
	size_t dim[2] = { rows, cols };

	return s->trained ? tape_param(&b->t, "w", 2, dim) : tape_weight(&b->t, "w", DTYPE_F32, 2, dim);
}

static uint32_t project(struct op_block *b, const struct shape *s, int i, uint32_t x, size_t to, size_t from,
                        float scale)
{
	struct linear l = { .x = x, .w = weight(b, s, to, from), .scale = scale };

	if (s->bias)
		l.bias = tape_param(&b->t, "bias", 1, &to);
	if (s->lora >> i & 1) {
		uint32_t a = tape_param(&b->t, "a", 2, (size_t[]){ RANK, from });
		l.term[0].u = op_linear(&b->t, &(struct linear){ .x = x, .w = a, .scale = 2 });
		l.term[0].up = tape_param(&b->t, "b", 2, (size_t[]){ to, RANK });
	}
	return op_linear(&b->t, &l);
}

/* A model's block without its attention. */
static void record(struct op_block *b, const struct shape *s)
{
	size_t width = C;
	uint32_t x = tape_param(&b->t, "x", 2, (size_t[]){ ROWS, C });
	uint32_t h = op_rmsnorm(&b->t, x, tape_param(&b->t, "norm", 1, &width), 1e-5F);
	uint32_t q = project(b, s, 0, h, C, C, 1), k = project(b, s, 1, h, C, C, 0.5F),
		 v = project(b, s, 2, h, C, C, 1);

	x = op_add(&b->t, x, op_add(&b->t, q, op_act(&b->t, ACT_SILU, k, v)));
	h = op_rmsnorm(&b->t, x, tape_param(&b->t, "norm", 1, &width), 1e-5F);
	uint32_t gate = project(b, s, 3, h, WIDE, C, 1), up = project(b, s, 4, h, WIDE, C, 1);
	b->out = op_linear(&b->t, &(struct linear){
					  .x = op_act(&b->t, ACT_SILU, gate, up),
					  .w = weight(b, s, C, WIDE), .residual = x });
}

static void bind(struct op_block *b)
{
	for (uint32_t i = 1; i < b->t.n_tensors; i++) {
		const struct tensor *x = &b->t.tensors[i];
		struct rng_stream rng = { 100 + i };
		if (x->role == ROLE_ACT || x->role == ROLE_SCRATCH)
			continue;
		float *data = random_floats(&b->mem, &rng, tensor_count(x));
		for (size_t k = 0; k < tensor_count(x); k++)
			data[k] *= 0.3F;
		run_bind(&b->r, i, data);
	}
}

static void begin(struct op_block *b, const struct shape *s, const struct kernels *k, int threads,
                  const struct plan_options *o)
{
	struct batch_cap cap = { .rows = ROWS, .targets = 1, .labels = 1, .segments = 1, .docs = 1, .keys = ROWS };

	*b = (struct op_block){ .pool = pool_new(threads) };
	tape_init(&b->t, &cap, true);
	batch_init(&b->batch, &cap);
	b->batch.n_rows = ROWS - 3;
	b->t.layer = 0;
	record(b, s);
	op_block_plan(b, ROWS, C, k, o);
	bind(b);
	run_step(&b->r, &b->batch);
}

static bool same_output(const struct op_block *a, const struct op_block *b)
{
	return !memcmp(run_f32(&a->r, a->out), run_f32(&b->r, b->out), (size_t)a->batch.n_rows * C * sizeof(float));
}

/* The worst difference of a gradient, over its largest number. */
static double gradients_differ(const struct op_block *a, const struct op_block *b)
{
	double far = 0;

	for (uint32_t i = 1; i < a->t.n_tensors; i++) {
		double off = 0, size = 1e-6;
		if (a->t.tensors[i].role != ROLE_GRAD)
			continue;
		size_t n = tensor_live_rows(&a->t.tensors[i], &a->batch) *
		           (a->t.tensors[i].n_dims > 1 ? a->t.tensors[i].dim[1] : 1);
		/* of x, which has the batch's rows */
		n = a->t.tensors[i].dim[0] == ROWS ? (size_t)a->batch.n_rows * C : n;
		for (size_t k = 0; k < n; k++) {
			off = fmax(off, fabs((double)run_f32(&a->r, i)[k] - run_f32(&b->r, i)[k]));
			size = fmax(size, fabs((double)run_f32(&a->r, i)[k]));
		}
		far = fmax(far, off / size);
	}
	return far;
}

static void test_block(struct test *t, const struct kernels *k, const struct shape *s)
{
	static const struct { int threads; struct plan_options o;
	} ways[] = {
		{ 1, { 0 } },
		{ 3, { 0 } },
		{ 2, { .recompute_all = true } },
		{ 2, { .keep_all = true, .no_inplace = true } },
	};
	struct op_block plain, fused, other;
	double flops[2], bytes[2];

	begin(&plain, s, k, 2, &(struct plan_options){ .no_fusion = true });
	begin(&fused, s, k, 2, NULL);
	CHECK(t, same_output(&plain, &fused));
	CHECK_MSG(t, gradients_differ(&plain, &fused) < 1e-5, "%g", gradients_differ(&plain, &fused));
	struct live live = batch_live(&fused.batch);
	plan_cost(&plain.p, &live, &flops[0], &bytes[0]);
	plan_cost(&fused.p, &live, &flops[1], &bytes[1]);
	CHECK_MSG(t, flops[0] == flops[1] && bytes[0] > bytes[1], "%g and %g operations", flops[0], flops[1]);
	CHECK_MSG(t, fused.p.n_nodes + 6 <= plain.p.n_nodes, "%u nodes of %u", fused.p.n_nodes, plain.p.n_nodes);
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		begin(&other, s, k, ways[i].threads, &ways[i].o);
		CHECK_MSG(t, same_output(&other, &fused) && gradients_differ(&other, &fused) == 0, "way %zu", i);
		op_block_release(&other);
	}
	op_block_release(&plain);
	op_block_release(&fused);
}

/* Products in int8 of one x, with and without an adapter, over weights of two types. */
static void int8_output(struct arena *mem, const struct kernels *k, int rows, bool fused, unsigned lora, float *out,
                        uint32_t *nodes)
{
	static const enum dtype types[3] = { DTYPE_Q4_1, DTYPE_Q8_0, DTYPE_Q4_1 };
	struct shape s = { .lora = lora };
	struct batch_cap cap = { .rows = rows, .targets = 1, .labels = 1, .segments = 1, .docs = 1, .keys = rows };
	struct op_block b = { .pool = pool_new(2) };
	struct err e = ERR_INIT;
	uint32_t y[3], w[3], x;

	tape_init(&b.t, &cap, false);
	batch_init(&b.batch, &cap);
	b.batch.n_rows = rows;
	x = tape_state(&b.t, "x", AXIS_ROWS, 2, (size_t[]){ (size_t)rows, C });
	for (int i = 0; i < 3; i++) {
		struct linear l = { .x = x, .int8 = true };
		l.w = w[i] = tape_weight(&b.t, "w", types[i], 2, (size_t[]){ C, C });
		b.t.tensors[l.w].panels = true;
		if (s.lora >> i & 1) {
			l.term[0].u = op_linear(&b.t, &(struct linear){ .x = x,
			                                        .w = tape_weight(&b.t, "a", DTYPE_F32, 2,
			                                                         (size_t[]){ RANK, C }) });
			l.term[0].up = tape_weight(&b.t, "b", DTYPE_F32, 2, (size_t[]){ C, RANK });
		}
		y[i] = op_linear(&b.t, &l);
	}
	b.d = device_cpu(k, b.pool);
	if (plan_make(&b.p, &b.t, k, &(struct plan_options){ .no_fusion = !fused }, &e) < 0 ||
	    run_init(&b.r, &b.p, &b.d, &e) < 0)
		BUG("%s", e.msg);
	bind(&b);
	for (int i = 0; i < 3; i++) {
		struct rng_stream rng = { 7 + (uint64_t)i };
		struct matrix m = sample_matrix(types[i], C, C, &rng);
		uint8_t *panels = arena_alloc64(mem, panels_bytes(types[i], C, C));
		panels_make(types[i], m.data, C, C, 0, C / PANEL_ROWS, panels);
		run_bind(&b.r, w[i], panels);
		mem_free((void *)m.data);
	}
	run_step(&b.r, &b.batch);
	for (int i = 0; i < 3; i++)
		memcpy(out + (size_t)i * (size_t)rows * C, run_f32(&b.r, y[i]), (size_t)rows * C * sizeof(float));
	*nodes = b.p.n_nodes;
	op_block_release(&b);
}

static void test_int8_together(struct test *t, const struct kernels *k)
{
	static const int rows[] = { 1, 3, 37 };

	test_case(t, "%s: products in int8 of one x are one node with the same bits", k->name);
	for (size_t i = 0; i < ARRAY_LEN(rows) * 8; i++) {
		struct arena mem = ARENA_INIT;
		size_t n = (size_t)rows[i / 8] * C * 3;
		float *plain = arena_array(&mem, n, sizeof(float)), *fused = arena_array(&mem, n, sizeof(float));
		uint32_t nodes[2];
		int8_output(&mem, k, rows[i / 8], false, i % 8, plain, &nodes[0]);
		int8_output(&mem, k, rows[i / 8], true, i % 8, fused, &nodes[1]);
		CHECK_MSG(t, !memcmp(plain, fused, n * sizeof(float)) && nodes[1] <= nodes[0] - 2,
		          "%d rows, adapters %zu", rows[i / 8], i % 8);
		arena_release(&mem);
	}
}

void test_fuse(struct test *t);
void test_fuse(struct test *t)
{
	struct err e = ERR_INIT;
	const struct kernels *k = kernels_get(NULL, &e);

	for (unsigned lora = 0; lora < 1U << PARTS; lora++) {
		test_case(t, "a block with adapters %u: fused as recorded", lora);
		test_block(t, k, &(struct shape){ .lora = lora, .bias = lora % 3 == 0 });
	}
	test_case(t, "a block whose weights are trained: fused as recorded");
	test_block(t, k, &(struct shape){ .trained = true, .bias = true });
	test_int8_together(t, k);
}
