/* router_load: how a batch's tokens spread over experts.     logits z (N,E)     chosen (N,k)     load (2E + 1)
 *
 *     s = softmax(z), over all E        m_n: how many documents go through row n, which is that often a token
 *     load = before + ( Σ_n m_n·[e chosen by n] of each e,  Σ_n m_n·s_ne of each e,  Σ_n m_n )
 *
 * What a loss that balances experts is made of (Fedus et al. 2021, equations 4 to 6): its first half is counted and has
 * no gradient.
 *
 *     dz_ne = m_n·s_ne·(d_e − Σ_j d_j·s_nj)      d: the gradient of the second half
 *
 * Sums go up in f64, rows in order, on one thread: little beside the products that the logits come from. */
#include "op/ops.h"

#include <string.h>

#include "base/mem.h"
#include "op/batch_sample.h"
#include "op/run.h"

extern const struct op op_row_router_load;

enum { IN_LOGITS, IN_CHOSEN, IN_BEFORE };
enum { LOAD_ROWS = 64 };

struct load_attr { bool accumulate; }; /* backward */

static int load_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct tensor *z = tape_tensor(t, n->in[IN_LOGITS]);
	size_t dim = 2 * z->dim[1] + 1;

	if (z->n_dims != 2 || z->dim[1] > EXPERTS_MOST)
		return err_set(e, "%s: rows of %zu numbers, one for each of at most %d experts is wanted", z->name,
		               z->dim[1], EXPERTS_MOST);
	if (n->in[IN_BEFORE] && tape_tensor(t, n->in[IN_BEFORE])->dim[0] != dim)
		return err_set(e, "%s: %zu experts, layers before have another number of them", z->name, z->dim[1]);
	tape_output(t, n, 0, "router_load", AXIS_FIXED, 1, &dim);
	return 0;
}

/* s = softmax(z) */
static void softmax(const struct kernels *k, float *s, const float *z, size_t E)
{
	float sum;

	k->exp_sum(s, z, k->max(z, E), E, &sum);
	k->scale(s, s, 1 / sum, E);
}

static void load_forward(struct run *r, const struct node *n)
{
	size_t E = run_tensor(r, n->in[IN_LOGITS])->dim[1], k = run_tensor(r, n->in[IN_CHOSEN])->dim[1];
	const float *z = run_f32(r, n->in[IN_LOGITS]), *before = n->in[IN_BEFORE] ? run_f32(r, n->in[IN_BEFORE]) : NULL;
	const int32_t *chosen = run_i32(r, n->in[IN_CHOSEN]);
	float *load = run_f32(r, n->out[0]), s[EXPERTS_MOST];
	double sum[2 * EXPERTS_MOST + 1] = { 0 };

	for (int32_t g = 0; g < r->batch->n_segments; g++) {
		const struct segment *seg = &r->batch->segments[g];
		for (size_t i = (size_t)seg->start; i < (size_t)(seg->start + seg->len); i++) {
			softmax(r->kernels, s, z + i * E, E);
			for (size_t j = 0; j < k; j++)
				sum[chosen[i * k + j]] += seg->docs;
			for (size_t e = 0; e < E; e++)
				sum[E + e] += seg->docs * (double)s[e];
		}
		sum[2 * E] += (double)seg->docs * seg->len;
	}
	for (size_t i = 0; i <= 2 * E; i++)
		load[i] = (float)(sum[i] + (before ? (double)before[i] : 0));
}

/* An exponential is eight. */
static void load_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	double numbers = tensor_live(tape_tensor(t, n->in[IN_LOGITS]), live);

	*flops = 12 * numbers;
	*bytes = 4 * numbers;
}

/* --- backward. in: d load, z; out: dz --- */

struct back_work {
	const struct kernels *k;
	const struct batch *b;
	const float *z, *d;            /* d: of the second half */
	float *dz;
	size_t E, N;
	bool accumulate;
};

static void back_row(const struct back_work *w, size_t i)
{
	float *dz = w->dz + i * w->E, s[EXPERTS_MOST];
	float m = (float)w->b->segments[batch_segment_of(w->b, (int32_t)i)].docs;

	softmax(w->k, s, w->z + i * w->E, w->E);
	float mean = w->k->dot(w->d, s, w->E);
	for (size_t e = 0; e < w->E; e++)
		dz[e] = (w->accumulate ? dz[e] : 0) + m * s[e] * (w->d[e] - mean);
}

static void back_rows(void *ctx, size_t item, int thread)
{
	const struct back_work *w = ctx;
	(void)thread;

	for (size_t i = item * LOAD_ROWS; i < MIN(w->N, (item + 1) * LOAD_ROWS); i++)
		back_row(w, i);
}

static void back_forward(struct run *r, const struct node *n)
{
	struct back_work w = { .k = r->kernels, .b = r->batch, .z = run_f32(r, n->in[1]),
		               .E = run_tensor(r, n->in[1])->dim[1], .N = run_rows(r, n->in[1]),
		               .dz = run_f32(r, n->out[0]),
		               .accumulate = ((const struct load_attr *)n->attr)->accumulate };

	w.d = run_f32(r, n->in[0]) + w.E;
	pool_run(r->pool, (w.N + LOAD_ROWS - 1) / LOAD_ROWS, back_rows, &w);
}

static void back_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	*flops = 15 * tensor_live(tape_tensor(t, n->out[0]), live);
	*bytes = 8 * tensor_live(tape_tensor(t, n->out[0]), live);
}

static const struct op load_back = { .name = "router_load_back", .cost = back_cost, .forward = back_forward };

static void load_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];
	struct load_attr attr;
	uint32_t d = tape_grad(t, n.out[0]);

	if (tape_wants(t, n.in[IN_LOGITS])) {
		uint32_t dz = tape_grad_target(t, n.in[IN_LOGITS], &attr.accumulate);
		tape_emit(t, &load_back, (uint32_t[]){ d, n.in[IN_LOGITS] }, 2, &dz, 1, &attr, sizeof(attr));
	}
	if (n.in[IN_BEFORE] && tape_wants(t, n.in[IN_BEFORE]))
		tape_grad_pass(t, n.in[IN_BEFORE], d);
}

/* Two layers. What is chosen is by other numbers, so that differences do not change it. */
static uint32_t load_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t E; int k; } cases[] = { { 1, 1, 1 }, { 33, 5, 2 }, { 90, 8, 3 } };
	size_t dim[2] = { (size_t)cases[i].N, cases[i].E };
	uint32_t load = TENSOR_NONE;

	batch_sample(b, rng, cases[i].N, 50);
	for (int layer = 0; layer < 2; layer++) {
		struct routing to;
		op_route(t, tape_weight(t, "by", DTYPE_F32, 2, dim), (struct route_spec){ cases[i].k, false }, &to);
		load = op_router_load(t, tape_param(t, "z", 2, dim), &to, load);
	}
	return load;
}

const struct op op_row_router_load = {
	.name = "router_load",
	.shape = load_shape,
	.cost = load_cost,
	.forward = load_forward,
	.backward = load_backward,
	.saves = 1U << IN_LOGITS,
	.exact = 1U << IN_LOGITS,
	.sample = load_sample,
	.sample_count = 3,
};

uint32_t op_router_load(struct tape *t, uint32_t logits, const struct routing *to, uint32_t before)
{
	return tape_record(t, &op_row_router_load, (uint32_t[]){ logits, to->chosen, before }, 3, NULL, 0);
}
