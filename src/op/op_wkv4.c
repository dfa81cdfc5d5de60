/* wkv4: RWKV-4's mixing along time (Peng et al. 2023): a mean of all values so far, by weights exp(key) that decay.
 *
 *     k, v, o (N,C)      decay, first (C)      each column by itself
 *
 *     w = −exp(decay)      o_t = (A + exp(first + k_t)·v_t) / (B + exp(first + k_t))
 *     A = exp(w)·A + exp(k_t)·v_t      B = exp(w)·B + exp(k_t)
 *
 * A and B are kept as a·exp(m) and b·exp(m), m their largest exponent, so that no exponential overflows; what m is
 * changes nothing else. A state is three rows of C: a, b, m. A segment of the forest goes on from its parent's end, a
 * session's from what it keeps (op/state.h); a work item is a block of columns over all rows.
 *
 * Backward goes the other way round. Where a gradient is wanted, forward leaves the state after each row. With p, q the
 * gradients in a and b after a row, x = exp(first + k − n) and y = exp(m − n) of its mean, n its largest exponent,
 * and f = exp(m + w − m'), e = exp(k − m') of its state:
 *
 *     g = do/(y·b + x)      dv = g·x + p·e      dk = g·(v − o)·x + (p·v + q)·e      dfirst += g·(v − o)·x
 *     dw += (p·a + q·b)·f      p = p·f + g·y      q = q·f − g·o·y      ddecay = w·dw */
#include "op/ops.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "kernel/kernels.h"
#include "op/batch_sample.h"
#include "op/run.h"
#include "op/state.h"

enum { IN_K, IN_V, IN_DECAY, IN_FIRST, IN_STATE, N_IN };
enum { OUT_Y, OUT_STATES, OUT_STATE };
enum { BLOCK = 64, A = 0, B, M, PARTS, ROW_FLOPS = 60 };
#define NO_EXPONENT (-1e38F)

struct wkv_attr { bool add_decay, add_first; };

static int wkv4_shape(struct tape *t, struct node *n, struct err *e)
{
	struct tensor k = *tape_tensor(t, n->in[IN_K]);
	const struct tensor *v = tape_tensor(t, n->in[IN_V]),
			    *s = n->in[IN_STATE] ? tape_tensor(t, n->in[IN_STATE]) : NULL;
	bool gradient = false;

	if (k.n_dims != 2 || v->axis != k.axis || tensor_count(v) != tensor_count(&k))
		return err_set(e, "%s and %s are not two matrices of one shape", k.name, v->name);
	for (int i = IN_DECAY; i <= IN_FIRST; i++)
		if (tensor_count(tape_tensor(t, n->in[i])) != k.dim[1])
			return err_set(e, "%s: %zu numbers, %zu are wanted", tape_tensor(t, n->in[i])->name,
			               tensor_count(tape_tensor(t, n->in[i])), k.dim[1]);
	if (s && (s->role != ROLE_STATE || s->dim[1] != PARTS * k.dim[1]))
		return err_set(e, "%s keeps no states of %zu numbers", s->name, PARTS * k.dim[1]);
	for (int i = 0; i < IN_STATE; i++)
		gradient |= tape_wants(t, n->in[i]);
	if (s && gradient)
		return err_set(e, "%s is a state, which passes no gradient back", s->name);
	tape_output(t, n, OUT_Y, "wkv4", k.axis, 2, k.dim);
	if (gradient)
		tape_output(t, n, OUT_STATES, "wkv4_states", k.axis, 2, (size_t[]){ k.dim[0], PARTS * k.dim[1] });
	if (s)
		n->out[OUT_STATE] = n->in[IN_STATE];
	return 0;
}

struct work {
	const struct kernels *kernels;
	const struct batch *b;
	const struct run *r;
	const struct wkv_attr *attr;
	const float *k, *v, *decay, *first;
	float *y, *states, *state;     /* states, state: or NULL */
	const int32_t *place;
	size_t C;
	/* backward */
	const float *dy;
	float *dk, *dv, *d_decay, *d_first; /* the last two NULL: not wanted */
};

/* What goes into a row, and the state before it; c: the block's first column, n of them. */
struct exponentials { float x[BLOCK], y[BLOCK], e[BLOCK], f[BLOCK], m[BLOCK]; };

static void exponentials(const struct work *w, struct exponentials *o, size_t at, const float *m, const float *decay,
                         size_t c, size_t n)
{
	float *all[] = { o->x, o->y, o->e, o->f }, unused;

	for (size_t j = 0; j < n; j++) {
		float k = w->k[at + j], now = k + w->first[c + j], most = fmaxf(m[j], now);
		o->x[j] = now - most;
		o->y[j] = m[j] - most;
		o->m[j] = fmaxf(m[j] + decay[j], k);
		o->e[j] = k - o->m[j];
		o->f[j] = m[j] + decay[j] - o->m[j];
	}
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		w->kernels->exp_sum(all[i], all[i], 0, n, &unused);
}

/* w of a block: −exp(decay) */
static void rates(const struct work *w, float *rate, size_t c, size_t n)
{
	float unused;

	w->kernels->exp_sum(rate, w->decay + c, 0, n, &unused);
	w->kernels->scale(rate, rate, -1, n);
}

/* A block's state, [PARTS][BLOCK] while it is at work and [PARTS][C] where it is kept. */
static void load(float *s, const float *from, size_t C, size_t n)
{
	for (int p = 0; p < PARTS; p++)
		memcpy(s + p * BLOCK, from + (size_t)p * C, n * sizeof(float));
}

static void store(float *to, const float *s, size_t C, size_t n)
{
	for (int p = 0; p < PARTS; p++)
		memcpy(to + (size_t)p * C, s + p * BLOCK, n * sizeof(float));
}

static void nothing(float *s)
{
	memset(s, 0, PARTS * BLOCK * sizeof(float));
	for (int j = 0; j < BLOCK; j++)
		s[M * BLOCK + j] = NO_EXPONENT;
}

/* --- forward --- */

static size_t forward_scratch(const struct tape *t, const struct node *n, const struct kernels *k)
{
	(void)n;
	(void)k;
	return ((size_t)t->cap.segments + 1) * PARTS * BLOCK * sizeof(float);
}

static void step(const struct work *w, float *s, const float *decay, size_t at, size_t c, size_t n)
{
	struct exponentials o;
	float *a = s + A * BLOCK, *b = s + B * BLOCK;

	exponentials(w, &o, at, s + M * BLOCK, decay, c, n);
	for (size_t j = 0; j < n; j++) {
		float v = w->v[at + j];
		w->y[at + j] = (o.y[j] * a[j] + o.x[j] * v) / (o.y[j] * b[j] + o.x[j]);
		a[j] = o.f[j] * a[j] + o.e[j] * v;
		b[j] = o.f[j] * b[j] + o.e[j];
	}
	memcpy(s + M * BLOCK, o.m, n * sizeof(float));
}

/* branch: [segments] the state at a segment's end. */
static void begin_segment(const struct work *w, float *s, const float *branch, const struct segment *g, size_t c,
                          size_t n)
{
	int32_t place = w->state ? state_place_before(w->b, w->place, g) : -1;

	if (place >= 0)
		load(s, w->state + (size_t)place * PARTS * w->C + c, w->C, n);
	else if (g->parent >= 0)
		load(s, branch + (size_t)g->parent * PARTS * BLOCK, BLOCK, n);
	else
		nothing(s);
}

static void forward_block(void *ctx, size_t item, int thread)
{
	const struct work *w = ctx;
	size_t c = item * BLOCK, n = MIN(w->C - c, (size_t)BLOCK);
	float *s = run_scratch(w->r, thread), *branch = s + PARTS * BLOCK, decay[BLOCK];

	rates(w, decay, c, n);
	for (int32_t i = 0; i < w->b->n_segments; i++) {
		const struct segment *g = &w->b->segments[i];
		begin_segment(w, s, branch, g, c, n);
		for (int32_t row = g->start; row < g->start + g->len; row++) {
			step(w, s, decay, (size_t)row * w->C + c, c, n);
			if (w->states)
				store(w->states + (size_t)row * PARTS * w->C + c, s, w->C, n);
			int32_t place = w->state ? state_place_after(w->b, w->place, g, row) : -1;
			if (place >= 0)
				store(w->state + (size_t)place * PARTS * w->C + c, s, w->C, n);
		}
		if (g->end > g->start + g->len)
			store(branch + (size_t)i * PARTS * BLOCK, s, BLOCK, n);
	}
}

static struct work work_of(struct run *r, const uint32_t *in)
{
	return (struct work){ .kernels = r->kernels,
		              .b = r->batch,
		              .r = r,
		              .k = run_f32(r, in[IN_K]),
		              .v = run_f32(r, in[IN_V]),
		              .decay = run_f32(r, in[IN_DECAY]),
		              .first = run_f32(r, in[IN_FIRST]),
		              .C = run_tensor(r, in[IN_K])->dim[1] };
}

static void wkv4_forward(struct run *r, const struct node *n)
{
	struct work w = work_of(r, n->in);

	w.y = run_f32(r, n->out[OUT_Y]);
	w.states = run_f32(r, n->out[OUT_STATES]);
	w.state = run_f32(r, n->in[IN_STATE]);
	if (w.state)
		w.place = batch_places(r->batch, run_tensor(r, n->in[IN_STATE])->memory);
	pool_run(r->pool, (w.C + BLOCK - 1) / BLOCK, forward_block, &w);
}

static void wkv4_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	*flops = ROW_FLOPS * tensor_live(tape_tensor(t, n->in[IN_K]), live);
	*bytes = 12 * tensor_live(tape_tensor(t, n->in[IN_K]), live);
}

/* --- backward. in: the inputs but the state, dy, y, states; out: dk, dv, ddecay, dfirst --- */

enum { BACK_DY = IN_STATE, BACK_Y, BACK_STATES };

/* p, q: gradients in a and b after a row, which become those before it. */
struct back { float p[BLOCK], q[BLOCK]; };
struct sums { double decay[BLOCK], first[BLOCK]; };

static size_t back_scratch(const struct tape *t, const struct node *n, const struct kernels *k)
{
	(void)n;
	(void)k;
	return (size_t)t->cap.segments * sizeof(struct back);
}

static void back_row(const struct work *w, struct back *d, struct sums *sum, const float *s, const float *decay,
                     size_t at, size_t c, size_t n)
{
	const float *a = s + A * BLOCK, *b = s + B * BLOCK, *o = w->y + at;
	struct exponentials x;

	exponentials(w, &x, at, s + M * BLOCK, decay, c, n);
	for (size_t j = 0; j < n; j++) {
		float v = w->v[at + j], g = w->dy[at + j] / (x.y[j] * b[j] + x.x[j]), now = g * (v - o[j]) * x.x[j];
		w->dv[at + j] = g * x.x[j] + d->p[j] * x.e[j];
		w->dk[at + j] = now + (d->p[j] * v + d->q[j]) * x.e[j];
		sum->first[j] += now;
		sum->decay[j] += (double)(d->p[j] * a[j] + d->q[j] * b[j]) * x.f[j];
		d->p[j] = d->p[j] * x.f[j] + g * x.y[j];
		d->q[j] = d->q[j] * x.f[j] - g * o[j] * x.y[j];
	}
}

static void back_segment(const struct work *w, struct back *d, struct sums *sum, int32_t i, const float *decay,
                         size_t c, size_t n)
{
	const struct segment *g = &w->b->segments[i];
	float s[PARTS * BLOCK];

	for (int32_t row = g->start + g->len; row-- > g->start;) {
		int32_t before = row > g->start ? row - 1 : state_row_before(w->b, g);
		if (before < 0)
			nothing(s);
		else
			load(s, w->states + (size_t)before * PARTS * w->C + c, w->C, n);
		back_row(w, &d[i], sum, s, decay, (size_t)row * w->C + c, c, n);
	}
	for (size_t j = 0; g->parent >= 0 && j < n; j++) {
		d[g->parent].p[j] += d[i].p[j];
		d[g->parent].q[j] += d[i].q[j];
	}
}

static void back_block(void *ctx, size_t item, int thread)
{
	const struct work *w = ctx;
	size_t c = item * BLOCK, n = MIN(w->C - c, (size_t)BLOCK);
	struct back *d = run_scratch(w->r, thread);
	struct sums sum = { 0 };
	float decay[BLOCK];

	rates(w, decay, c, n);
	memset(d, 0, (size_t)w->b->n_segments * sizeof(*d));
	for (int32_t i = w->b->n_segments; i-- > 0;)
		back_segment(w, d, &sum, i, decay, c, n);
	for (size_t j = 0; w->d_decay && j < n; j++)
		w->d_decay[c + j] = (w->attr->add_decay ? w->d_decay[c + j] : 0) + (float)sum.decay[j] * decay[j];
	for (size_t j = 0; w->d_first && j < n; j++)
		w->d_first[c + j] = (w->attr->add_first ? w->d_first[c + j] : 0) + (float)sum.first[j];
}

static void back_forward(struct run *r, const struct node *n)
{
	struct work w = work_of(r, n->in);

	w.attr = n->attr;
	w.dy = run_f32(r, n->in[BACK_DY]);
	w.y = run_f32(r, n->in[BACK_Y]);
	w.states = run_f32(r, n->in[BACK_STATES]);
	w.dk = run_f32(r, n->out[IN_K]);
	w.dv = run_f32(r, n->out[IN_V]);
	w.d_decay = run_f32(r, n->out[IN_DECAY]);
	w.d_first = run_f32(r, n->out[IN_FIRST]);
	pool_run(r->pool, (w.C + BLOCK - 1) / BLOCK, back_block, &w);
}

static void back_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	wkv4_cost(t, n, live, flops, bytes);
	*flops *= 1.5;
	*bytes *= 3;
}

static const struct op wkv4_back = {
	.name = "wkv4_back", .cost = back_cost, .forward = back_forward, .scratch = back_scratch
};

static void wkv4_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i], made = { 0 };
	struct tensor like = *tape_tensor(t, n.in[IN_K]);
	struct wkv_attr a = { false, false };
	uint32_t in[] = { n.in[IN_K],     n.in[IN_V],     n.in[IN_DECAY],    n.in[IN_FIRST], tape_grad(t, n.out[OUT_Y]),
		          n.out[OUT_Y], n.out[OUT_STATES] };

	for (int j = IN_K; j <= IN_V; j++)
		tape_output(t, &made, j, "d_wkv4", like.axis, like.n_dims, like.dim);
	if (tape_wants(t, n.in[IN_DECAY]))
		made.out[IN_DECAY] = tape_grad_target(t, n.in[IN_DECAY], &a.add_decay);
	if (tape_wants(t, n.in[IN_FIRST]))
		made.out[IN_FIRST] = tape_grad_target(t, n.in[IN_FIRST], &a.add_first);
	tape_emit(t, &wkv4_back, in, ARRAY_LEN(in), made.out, IN_STATE, &a, sizeof(a));
	for (int j = IN_K; j <= IN_V; j++)
		if (tape_wants(t, n.in[j]))
			tape_grad_pass(t, n.in[j], made.out[j]);
}

static uint32_t wkv4_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t C; bool frozen; } cases[] = {
		{ 1, 1, false }, { 70, 67, false }, { 96, 65, true },
	};
	size_t C = cases[i].C, dim[2] = { (size_t)cases[i].N, C };

	batch_sample(b, rng, cases[i].N, 50);
	uint32_t k = tape_param(t, "k", 2, dim), v = tape_param(t, "v", 2, dim);
	if (cases[i].frozen)
		return op_wkv4(t, k, v, tape_weight(t, "decay", DTYPE_F32, 1, &C),
		               tape_weight(t, "first", DTYPE_F32, 1, &C), TENSOR_NONE);
	return op_wkv4(t, k, v, tape_param(t, "decay", 1, &C), tape_param(t, "first", 1, &C), TENSOR_NONE);
}

const struct op op_row_wkv4 = {
	.name = "wkv4",
	.shape = wkv4_shape,
	.cost = wkv4_cost,
	.forward = wkv4_forward,
	.backward = wkv4_backward,
	.saves = ((1U << IN_STATE) - 1) | SAVES_OUT(OUT_Y) | SAVES_OUT(OUT_STATES),
	.exact = ((1U << IN_STATE) - 1) | SAVES_OUT(OUT_Y) | SAVES_OUT(OUT_STATES),
	.scratch = forward_scratch,
	.sample = wkv4_sample,
	.sample_count = 3,
};

uint32_t op_wkv4(struct tape *t, uint32_t k, uint32_t v, uint32_t decay, uint32_t first, uint32_t state)
{
	return tape_record(t, &op_row_wkv4, (uint32_t[N_IN]){ k, v, decay, first, state }, N_IN, NULL, 0);
}
