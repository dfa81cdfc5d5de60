/* route: which experts a row goes to, and with what weights.      logits z (N,E)      weights p (N,k)
 *
 *     s = softmax(z), or softmax of the k chosen z alone      chosen: the k largest z      p_j = s of the j-th chosen
 *
 * The first is Switch's and OLMoE's (Fedus et al. 2021), the second Mixtral's, which divides the first by its sum over
 * the chosen, and gpt-oss's: they are the same number. A row's chosen experts stand in ascending order, so that what is
 * summed over them has the order of the experts. Which of equal z are taken is decided as in torch.topk (topk.h).
 *
 *     dz_e = s_e·([e chosen] dp_e − Σ_j dp_j s_j)      e over all, or over the chosen, and 0 elsewhere
 *
 * Then the N·k choices, called slots (slot n·k + j is the j-th expert of row n), are listed expert by expert, each
 * expert's ascending: what its matrices multiply is a list of rows. Nothing of that has a gradient. */
#include "op/ops.h"

#include <string.h>

#include "base/mem.h"
#include "op/batch_sample.h"
#include "op/run.h"
#include "op/topk.h"

extern const struct op op_row_route;

enum { ROUTE_ROWS = 64 };
enum { OUT_WEIGHTS, OUT_CHOSEN, OUT_SLOTS, OUT_ROWS, OUT_FIRST, OUT_NEXT };

struct route_attr {
	struct route_spec spec;
	bool accumulate;               /* backward */
};

static int route_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct route_attr *attr = n->attr;
	struct tensor z = *tape_tensor(t, n->in[0]);
	size_t E = z.dim[1], dim[2] = { z.dim[0], (size_t)attr->spec.k };

	if (z.n_dims != 2 || E > EXPERTS_MOST)
		return err_set(e, "%s: rows of %zu numbers, one for each of at most %d experts is wanted", z.name, E,
		               EXPERTS_MOST);
	if (attr->spec.k < 1 || dim[1] > E)
		return err_set(e, "%d of %zu experts are to be chosen", attr->spec.k, E);
	tape_output(t, n, OUT_WEIGHTS, "route", z.axis, 2, dim);
	tape_output_of(t, n, OUT_CHOSEN, "chosen", DTYPE_I32, z.axis, 2, dim);
	tape_output_of(t, n, OUT_SLOTS, "slots", DTYPE_I32, z.axis, 2, dim);
	tape_output_of(t, n, OUT_ROWS, "slot_rows", DTYPE_I32, z.axis, 2, dim);
	tape_output_of(t, n, OUT_FIRST, "first", DTYPE_I32, AXIS_FIXED, 1, (size_t[]){ E + 1 });
	tape_scratch(t, n, OUT_NEXT, "next", E);
	return 0;
}

struct route_work {
	const struct kernels *k;
	const struct route_attr *attr;
	size_t E, top, N;
	const float *z, *dp;
	float *p, *dz;
	int32_t *chosen;
};

/* s = softmax(z); n numbers */
static void softmax(const struct kernels *k, float *s, const float *z, size_t n)
{
	float sum;

	k->exp_sum(s, z, k->max(z, n), n, &sum);
	k->scale(s, s, 1 / sum, n);
}

static void route_row(const struct route_work *w, size_t i)
{
	const float *z = w->z + i * w->E;
	float *p = w->p + i * w->top, s[EXPERTS_MOST];
	int32_t *chosen = w->chosen + i * w->top;

	topk(z, w->E, w->top, chosen);
	if (!w->attr->spec.of_chosen)
		softmax(w->k, s, z, w->E);
	for (size_t j = 0; j < w->top; j++)
		p[j] = w->attr->spec.of_chosen ? z[chosen[j]] : s[chosen[j]];
	if (w->attr->spec.of_chosen)
		softmax(w->k, p, p, w->top);
}

static void route_rows(void *ctx, size_t item, int thread)
{
	const struct route_work *w = ctx;
	(void)thread;

	for (size_t i = item * ROUTE_ROWS; i < MIN(w->N, (item + 1) * ROUTE_ROWS); i++)
		route_row(w, i);
}

/* Counted, then dealt out in the order of the slots. */
static void list_slots(const struct route_work *w, int32_t *slots, int32_t *rows, int32_t *first, int32_t *next)
{
	size_t n = w->N * w->top;

	memset(first, 0, (w->E + 1) * sizeof(*first));
	for (size_t s = 0; s < n; s++)
		first[w->chosen[s] + 1]++;
	for (size_t e = 0; e < w->E; e++) {
		first[e + 1] += first[e];
		next[e] = first[e];
	}
	for (size_t s = 0; s < n; s++) {
		int32_t at = next[w->chosen[s]]++;
		slots[at] = (int32_t)s;
		rows[at] = (int32_t)(s / w->top);
	}
}

static void route_forward(struct run *r, const struct node *n)
{
	struct route_work w = {
		.k = r->kernels, .attr = n->attr, .E = run_tensor(r, n->in[0])->dim[1], .N = run_rows(r, n->in[0])
	};

	w.top = (size_t)w.attr->spec.k;
	w.z = run_f32(r, n->in[0]);
	w.p = run_f32(r, n->out[OUT_WEIGHTS]);
	w.chosen = run_i32(r, n->out[OUT_CHOSEN]);
	pool_run(r->pool, (w.N + ROUTE_ROWS - 1) / ROUTE_ROWS, route_rows, &w);
	list_slots(&w, run_i32(r, n->out[OUT_SLOTS]), run_i32(r, n->out[OUT_ROWS]), run_i32(r, n->out[OUT_FIRST]),
	           run_i32(r, n->out[OUT_NEXT]));
}

/* An exponential is eight, finding the largest k times one each. */
static void route_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                       double *bytes)
{
	double numbers = tensor_live(tape_tensor(t, n->in[0]), live);

	*flops = (10 + ((const struct route_attr *)n->attr)->spec.k) * numbers;
	*bytes = 4 * numbers + 16 * tensor_live(tape_tensor(t, n->out[0]), live);
}

/* --- backward. in: dp, z, chosen; out: dz --- */

static void back_row(const struct route_work *w, size_t i)
{
	const float *z = w->z + i * w->E, *dp = w->dp + i * w->top;
	const int32_t *chosen = w->chosen + i * w->top;
	bool all = !w->attr->spec.of_chosen;
	float *dz = w->dz + i * w->E, s[EXPERTS_MOST], own[EXPERTS_MOST], sum = 0;

	for (size_t j = 0; j < w->top; j++)
		own[j] = z[chosen[j]];
	softmax(w->k, s, all ? z : own, all ? w->E : w->top);
	for (size_t j = 0; j < w->top; j++)
		sum += dp[j] * s[all ? (size_t)chosen[j] : j];
	for (size_t e = 0; e < w->E; e++) {
		float was = w->attr->accumulate ? dz[e] : 0;
		dz[e] = all ? was - s[e] * sum : was;
	}
	for (size_t j = 0; j < w->top; j++)
		dz[chosen[j]] += all ? s[chosen[j]] * dp[j] : s[j] * (dp[j] - sum);
}

static void back_rows(void *ctx, size_t item, int thread)
{
	const struct route_work *w = ctx;
	(void)thread;

	for (size_t i = item * ROUTE_ROWS; i < MIN(w->N, (item + 1) * ROUTE_ROWS); i++)
		back_row(w, i);
}

static void back_forward(struct run *r, const struct node *n)
{
	struct route_work w = {
		.k = r->kernels, .attr = n->attr, .E = run_tensor(r, n->in[1])->dim[1], .N = run_rows(r, n->in[1])
	};

	w.top = (size_t)w.attr->spec.k;
	w.dp = run_f32(r, n->in[0]);
	w.z = run_f32(r, n->in[1]);
	w.chosen = run_i32(r, n->in[2]);
	w.dz = run_f32(r, n->out[0]);
	pool_run(r->pool, (w.N + ROUTE_ROWS - 1) / ROUTE_ROWS, back_rows, &w);
}

static void back_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	*flops = 12 * tensor_live(tape_tensor(t, n->out[0]), live);
	*bytes = 8 * tensor_live(tape_tensor(t, n->out[0]), live);
}

static const struct op route_back = { .name = "route_back", .cost = back_cost, .forward = back_forward };

static void route_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];
	struct route_attr attr = *(const struct route_attr *)n.attr;
	uint32_t dz = tape_grad_target(t, n.in[0], &attr.accumulate);

	tape_emit(t, &route_back, (uint32_t[]){ tape_grad(t, n.out[OUT_WEIGHTS]), n.in[0], n.out[OUT_CHOSEN] }, 3, &dz,
	          1, &attr, sizeof(attr));
}

/* Far apart but for what is trained: differences must not change the choice. */
static uint32_t route_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t E; struct route_spec spec; } cases[] = {
		{ 1, 1, { 1, false } }, { 7, 5, { 2, false } }, { 6, 8, { 3, true } },
		{ 33, 4, { 4, false } }, { 70, 3, { 3, true } },
	};
	size_t dim[2] = { (size_t)cases[i].N, cases[i].E };
	struct routing to;

	batch_sample(b, rng, cases[i].N, 50);
	uint32_t apart = op_scale(t, tape_weight(t, "apart", DTYPE_F32, 2, dim), 8);
	op_route(t, op_add(t, op_scale(t, tape_param(t, "z", 2, dim), 0.5F), apart), cases[i].spec, &to);
	return to.weights;
}

const struct op op_row_route = {
	.name = "route",
	.shape = route_shape,
	.cost = route_cost,
	.forward = route_forward,
	.backward = route_backward,
	.saves = 1U | SAVES_OUT(OUT_CHOSEN),
	.exact = 1U,
	.sample = route_sample,
	.sample_count = 5,
};

uint32_t op_route(struct tape *t, uint32_t logits, struct route_spec spec, struct routing *out)
{
	struct route_attr attr = { .spec = spec };

	*out = (struct routing){ .k = spec.k };
	if (!tape_record(t, &op_row_route, &logits, 1, &attr, sizeof(attr)))
		return TENSOR_NONE;
	const uint32_t *made = t->nodes[t->n_nodes - 1].out;
	out->weights = made[OUT_WEIGHTS];
	out->chosen = made[OUT_CHOSEN];
	out->slots = made[OUT_SLOTS];
	out->rows = made[OUT_ROWS];
	out->first = made[OUT_FIRST];
	return out->weights;
}
