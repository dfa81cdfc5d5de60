/* roofline: how fast this machine does the ops of a step. The block that is measured is a llama's with what GPT-2 has
 * besides, its numbers zeros: how long a kernel takes does not depend on them. Nodes are run as a step runs them, one
 * after the other, so that what one makes is as near the next as it will be. See roofline.h. */
#include "op/roofline.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/stop.h"
#include "op/batch_sample.h"
#include "op/ops.h"
#include "op/pass.h"

enum {
	ROWS = 512,
	HEADS = 8,
	KV_HEADS = 4,
	HEAD = 64,
	WIDTH = HEADS * HEAD,
	KV_WIDTH = KV_HEADS * HEAD,
	WIDE = 1536,
	REPETITIONS = 20
};
static const double budget = 0.2; /* seconds of repetitions, after one that warms up */

/* Of a machine that was not measured, in the time of a byte: within a factor of two of today's processors; every op at
 * the roofline. */
static const struct speeds speeds_usual = { .flops = 10, .int_ops = 20, .bytes = 1 };

/* --- what a node costs --- */

static void name_of(const struct node *n, char name[SPEEDS_NAME])
{
	snprintf(name, SPEEDS_NAME, "%s%s", n->op->name, node_int8(n) ? " int8" : "");
}

static double share_of(const struct speeds *s, const struct node *n)
{
	char name[SPEEDS_NAME];

	name_of(n, name);
	for (int i = 0; i < s->n_ops; i++)
		if (!strcmp(s->op[i].op, name) && s->op[i].share > 0)
			return s->op[i].share;
	return 1;
}

static double roofline_seconds(const struct speeds *s, const struct tape *t, const struct node *n,
                               const struct live *live)
{
	double flops = 0, bytes = 0, in_int8 = 0;

	n->op->cost(t, n, live, &flops, &bytes);
	if (node_int8(n))
		in_int8 = flops - (n->op->in_f32 ? n->op->in_f32(t, n, live) : 0);
	return fmax((flops - in_int8) / s->flops + in_int8 / (s->int_ops > 0 ? s->int_ops : s->flops),
	            bytes / s->bytes);
}

double node_seconds(const struct speeds *s, const struct tape *t, const struct node *n, const struct live *live)
{
	if (!s || s->flops <= 0 || s->bytes <= 0)
		s = &speeds_usual;
	return roofline_seconds(s, t, n, live) / share_of(s, n);
}

/* --- the block that is measured --- */

static uint32_t vector(struct tape *t, size_t n)
{
	return tape_weight(t, "vector", DTYPE_F32, 1, &n);
}

static uint32_t linear(struct tape *t, uint32_t x, size_t to, size_t from, bool int8, uint32_t residual)
{
	struct linear l = { .x = x, .residual = residual, .int8 = int8 };

	l.w = tape_weight(t, "matrix", int8 ? DTYPE_Q4_0 : DTYPE_F32, 2, (size_t[]){ to, from });
	t->tensors[l.w].panels = int8;
	return op_linear(t, &l);
}

static void record(struct tape *t, bool int8)
{
	uint32_t x = tape_state(t, "x", AXIS_ROWS, 2, (size_t[]){ ROWS, WIDTH }), table, q, k, v, gate, up, part[2];
	uint32_t h = op_rmsnorm(t, x, vector(t, WIDTH), 1e-5F);

	table = tape_weight(t, "angles", DTYPE_F32, 2, (size_t[]){ ROWS, HEAD });
	q = linear(t, h, WIDTH, WIDTH, int8, TENSOR_NONE);
	k = linear(t, h, KV_WIDTH, WIDTH, int8, TENSOR_NONE);
	v = linear(t, h, KV_WIDTH, WIDTH, int8, TENSOR_NONE);
	h = op_attention(t, op_rope(t, q, table, HEADS, true), op_rope(t, k, table, KV_HEADS, true), v,
	                 (struct attention_spec){ HEADS, KV_HEADS, .scale = 0.125F });
	x = linear(t, h, WIDTH, WIDTH, int8, x);
	h = op_layernorm(t, x, vector(t, WIDTH), vector(t, WIDTH), 1e-5F);
	gate = linear(t, h, WIDE, WIDTH, int8, TENSOR_NONE);
	up = linear(t, h, WIDE, WIDTH, int8, TENSOR_NONE);
	h = op_add(t, op_act(t, ACT_SILU, gate, up), op_dropout(t, up, 0.1F, 0));
	x = linear(t, h, WIDTH, WIDE, int8, x);
	op_split(t, x, 1, 2, (size_t[]){ WIDTH / 2, WIDTH / 2 }, part);
}

struct block {
	struct pass pass;
	struct arena mem;
	double *best;               /* [n_nodes] seconds */
};

static void bind(struct block *b)
{
	struct pass *p = &b->pass;

	for (uint32_t i = 1; i < p->tape.n_tensors; i++) {
		const struct tensor *x = &p->tape.tensors[i];
		if (x->role == ROLE_WEIGHT || x->role == ROLE_STATE)
			run_bind_host(&p->run, i, arena_alloc64(&b->mem, tensor_bytes(x)));
	}
}

static int block_begin(struct block *b, struct device *d, bool int8, struct err *e)
{
	struct batch_cap cap = {
		.rows = ROWS, .targets = ROWS, .labels = ROWS, .segments = 2, .docs = 2, .keys = ROWS
	};
	struct rng_stream rng = { 1 };
	struct pass *p = &b->pass;

	*b = (struct block){ 0 };
	pass_begin(p, d, &cap, false);
	p->tape.layer = 0;
	record(&p->tape, int8);
	if (pass_plan(p, &(struct plan_options){ .no_fusion = true }, e) < 0 || pass_start(p, e) < 0)
		return -1;
	batch_sample_sized(&p->batch, &rng, ROWS, 2, cap.segments, cap.labels);
	b->best = arena_array(&b->mem, p->plan.n_nodes, sizeof(*b->best));
	bind(b);
	return run_ready(&p->run, e);
}

static void block_end(struct block *b)
{
	pass_release(&b->pass);
	arena_release(&b->mem);
}

/* --- running it --- */

static void run_once(struct block *b, bool first)
{
	struct pass *p = &b->pass;
	double last = clock_seconds();

	p->run.batch = &p->batch;
	for (uint32_t i = 0; i < p->plan.n_nodes && !stop_asked(); i++) {
		run_node(&p->run, &p->plan.nodes[i]);
		double now = clock_seconds();
		b->best[i] = first ? now - last : MIN(b->best[i], now - last);
		last = now;
	}
}

static void run_often(struct block *b)
{
	double begin = clock_seconds();

	run_once(b, true);
	for (int i = 0; i < REPETITIONS && (i == 0 || clock_seconds() - begin < budget / 2); i++)
		run_once(b, false);
}

/* Adds what nodes of every kind took and what the roofline wants; s->op[].share is their quotient in the end. */
static void sum_up(struct speeds *s, const struct block *b)
{
	const struct pass *p = &b->pass;
	struct live live = batch_live(&p->batch);
	double took[SPEEDS_OPS] = { 0 }, want[SPEEDS_OPS] = { 0 };
	char name[SPEEDS_NAME];

	for (uint32_t i = 0; i < p->plan.n_nodes; i++) {
		const struct node *n = &p->plan.nodes[i];
		int at = 0;
		name_of(n, name);
		while (at < s->n_ops && strcmp(s->op[at].op, name) != 0)
			at++;
		if (at == SPEEDS_OPS)
			BUG("more than %d kinds of ops", SPEEDS_OPS);
		if (at == s->n_ops)
			memcpy(s->op[s->n_ops++].op, name, sizeof(name));
		took[at] += b->best[i];
		want[at] += roofline_seconds(s, &p->tape, n, &live);
	}
	for (int i = 0; i < s->n_ops; i++)
		if (took[i] > 0)
			s->op[i].share = want[i] / took[i];
}

int speeds_measure(struct speeds *s, struct device *d, struct err *e)
{
	int status = 0;

	s->n_ops = 0;
	for (int int8 = 0; int8 < 2 && status == 0; int8++) {
		struct block b;
		status = block_begin(&b, d, int8, e);
		if (status == 0) {
			run_often(&b);
			status = stop_look(e, "the machine was measured");
		}
		if (status == 0)
			sum_up(s, &b);
		block_end(&b);
	}
	return status;
}
