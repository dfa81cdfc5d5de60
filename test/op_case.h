/* op_case: a small tape recorded, planned and run, for tests of single ops. A mistake on the way is a BUG. */
#ifndef TEST_OP_CASE_H
#define TEST_OP_CASE_H

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "op/batch_sample.h"
#include "op/ops.h"
#include "op/run.h"

struct op_case {
	struct tape t;
	struct plan p;
	struct run r;
	struct device d;
};

static inline void op_case_init(struct op_case *c, const struct batch_cap *cap, bool gradients)
{
	tape_init(&c->t, cap, gradients);
}

static inline void op_case_plan(struct op_case *c, const struct kernels *k, struct pool *pool)
{
	struct err e = ERR_INIT;

	c->d = device_cpu(k, pool);
	if (c->t.gradients && tape_backward(&c->t, &e) < 0)
		BUG("%s", e.msg);
	if (plan_make(&c->p, &c->t, k, NULL, &e) < 0 || run_init(&c->r, &c->p, &c->d, &e) < 0)
		BUG("%s", e.msg);
}

static inline void op_case_release(struct op_case *c)
{
	run_release(&c->r);
	plan_release(&c->p);
	tape_release(&c->t);
}

/* Several ops with everything that running them takes. */
struct op_block {
	struct tape t;
	struct plan p;
	struct run r;
	struct batch batch;
	struct arena mem;
	struct pool *pool;
	struct device d;
	uint32_t out;                /* where the gradient begins, [rows][cols] */
};

static inline void op_block_plan(struct op_block *b, size_t rows, size_t cols, const struct kernels *k,
                                 const struct plan_options *o)
{
	struct err e = ERR_INIT;

	b->d = device_cpu(k, b->pool);
	tape_seed(&b->t, b->out, tape_state(&b->t, "seed", AXIS_ROWS, 2, (size_t[]){ rows, cols }));
	if (tape_backward(&b->t, &e) < 0 || plan_make(&b->p, &b->t, k, o, &e) < 0 ||
	    run_init(&b->r, &b->p, &b->d, &e) < 0)
		BUG("%s", e.msg);
}

static inline void op_block_release(struct op_block *b)
{
	run_release(&b->r);
	plan_release(&b->p);
	tape_release(&b->t);
	batch_release(&b->batch);
	arena_release(&b->mem);
	pool_free(b->pool);
}

static inline float *random_floats(struct arena *a, struct rng_stream *rng, size_t n)
{
	float *x = arena_array(a, n + 1, sizeof(*x));
	for (size_t i = 0; i < n; i++)
		x[i] = rng_next_float(rng);
	return x;
}

/* The largest |x − want| over the largest |want|, or over 0.01 where all of it is rounding. */
static inline double worst(const float *x, const double *want, size_t n)
{
	double off = 0, size = 0.01;
	for (size_t i = 0; i < n; i++) {
		double d = fabs(x[i] - want[i]);
		off = d <= off ? off : d; /* NaN stays */
		size = fmax(size, fabs(want[i]));
	}
	return off / size;
}

#endif
