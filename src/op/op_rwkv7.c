/* rwkv7: RWKV-7's mixing along time (Peng et al. 2025), without its products: a state of D × D numbers a head that
 * each token decays, takes something out of, and adds something to.
 *
 *     r, w, k, v, a, g, y (N,C): H heads of D numbers      k_k, k_a, r_k, ln_w, ln_b (C)      S (D,D) of values × keys
 *
 *     α = σ(a)      decay = exp(−e^(−1/2)·σ(w))      k' = k∘(1 + k_a∘(α − 1))
 *     κ = k∘k_k / max(‖k∘k_k‖, 10⁻¹²), a head's
 *     S = S·diag(decay) − (S·κ)·(κ∘α)ᵀ + v·k'ᵀ      o = S·r
 *     x̂ = (o − mean(o))/√(var(o) + ε), a head's      b = Σ r∘k'∘r_k, a head's
 *     y = (x̂∘ln_w + ln_b + b·v)∘g
 *
 * S is kept with keys outermost, so that everything is sums and multiples of rows of D values. A segment of the forest
 * begins with its parent's state. Rows follow each other, so a work item is a head, over all rows of the batch; a row's
 * bits depend on those before it in its document alone. In a session the state is kept beside (op/state.h).
 *
 * Backward goes the other way round through the same rows. Forward leaves the state at the beginning of every CHUNK
 * rows of a segment; from there the chunk's states are made again, one a row. A parent's state collects the gradients
 * of its children's before its own rows are met. With G the gradient in S after a row, P the state before it:
 *
 *     G += do·rᵀ      dr = Sᵀ·do      d decay = diag(PᵀG)      dk' = Gᵀ·v      dv = G·k'
 *     dsa = G·(κ∘α)
 *     d(κ∘α) = Gᵀ·(−P·κ)      dκ = −Pᵀ·dsa + d(κ∘α)∘α      G = G·diag(decay) − dsa·κᵀ */
#include "op/ops.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "kernel/kernels.h"
#include "op/batch_sample.h"
#include "op/run.h"
#include "op/state.h"

enum {
	IN_R,
	IN_W,
	IN_K,
	IN_V,
	IN_A,
	IN_G,
	N_ROWS,
	IN_KK = N_ROWS,
	IN_KA,
	IN_RK,
	IN_LW,
	IN_LB,
	N_NUMBERS,
	IN_STATE = N_NUMBERS,
	N_IN
};
enum { OUT_Y, OUT_STATES, OUT_STATE };
enum { CHUNK = 32, N_VECTORS = N_NUMBERS - N_ROWS };
#define DECAY 0.6065306597f            /* e^(−1/2) */
#define NORM_LEAST 1e-12f

struct rwkv7_attr { size_t D; float eps; bool add[N_VECTORS]; };

static size_t slots(const struct tape *t)
{
	return (size_t)t->cap.rows / CHUNK + (size_t)t->cap.segments;
}

static int check_inputs(const struct tape *t, const struct node *n, const struct tensor *r, struct err *e)
{
	for (int i = 0; i < N_NUMBERS; i++) {
		const struct tensor *x = tape_tensor(t, n->in[i]);
		size_t want = i < N_ROWS ? tensor_count(r) : r->dim[1];
		if (tensor_count(x) != want || (i < N_ROWS && x->axis != r->axis))
			return err_set(e, "%s: %zu numbers, %zu are wanted", x->name, tensor_count(x), want);
	}
	return 0;
}

static int rwkv7_shape(struct tape *t, struct node *n, struct err *e)
{
	struct tensor r = *tape_tensor(t, n->in[IN_R]);
	const struct tensor *s = n->in[IN_STATE] ? tape_tensor(t, n->in[IN_STATE]) : NULL;
	const struct rwkv7_attr *a = n->attr;
	bool gradient = false;

	if (r.n_dims != 2 || a->D < 1 || r.dim[1] % a->D)
		return err_set(e, "%s is no matrix of rows of heads of %zu", r.name, a->D);
	if (check_inputs(t, n, &r, e) < 0)
		return -1;
	if (s && (s->role != ROLE_STATE || s->dim[1] != r.dim[1] * a->D))
		return err_set(e, "%s keeps no states of %zu numbers", s->name, r.dim[1] * a->D);
	for (int i = 0; i < N_NUMBERS; i++)
		gradient |= tape_wants(t, n->in[i]);
	if (s && gradient)
		return err_set(e, "%s is a state, which passes no gradient back", s->name);
	tape_output(t, n, OUT_Y, "rwkv7", r.axis, 2, r.dim);
	if (gradient)
		tape_output(t, n, OUT_STATES, "rwkv7_states", AXIS_FIXED, 2,
		            (size_t[]){ slots(t), r.dim[1] * a->D });
	if (s)
		n->out[OUT_STATE] = n->in[IN_STATE];
	return 0;
}

/* --- one row of one head --- */

struct work {
	const struct kernels *k;
	const struct batch *b;
	const struct rwkv7_attr *attr;
	const float *in[N_NUMBERS];
	size_t C, D;
	float *y, *states, *state;     /* states, state: or NULL */
	const int32_t *place;
	/* backward */
	const float *dy;
	float *d_rows[N_ROWS], *d_vector[N_VECTORS]; /* NULL: not wanted */
	const struct run *r;
};

/* A thread's memory: vectors of D, then matrices of D·D. */
enum vector {
	V_DECAY,
	V_ALPHA,
	V_KAPPA,
	V_KEY,
	V_RATE /* κ∘α */,
	V_TAKEN /* −S·κ */,
	V_O,
	V_HAT,
	V_DO,
	V_DR,
	V_DDECAY,
	V_DKEY,
	V_DV,
	V_DTAKEN,
	V_DRATE,
	V_DKAPPA,
	VECTORS
};

struct scratch {
	float *v[VECTORS];
	double *sum[N_VECTORS];        /* backward: gradients of the vectors */
	float *chunk;                  /* [CHUNK + 1][D·D] states; forward: [1] */
	/* [segments][D·D] forward: the state at a segment's end; backward: its gradient */
	float *branch;
};

static size_t scratch_at(struct scratch *s, char *base, size_t D, size_t chunk, size_t segments)
{
	float *x = (float *)(void *)base;
	double *sums = (double *)(void *)base;
	size_t at = 2 * N_VECTORS * D;

	for (int i = 0; i < N_VECTORS; i++)
		s->sum[i] = sums + (size_t)i * D;
	for (int i = 0; i < VECTORS; i++, at += D)
		s->v[i] = x + at;
	s->chunk = x + at;
	s->branch = s->chunk + chunk * D * D;
	return (at + (chunk + segments) * D * D) * sizeof(float);
}

static size_t forward_scratch(const struct tape *t, const struct node *n, const struct kernels *k)
{
	static char origin[64]; /* only its address, to measure */
	struct scratch s;
	(void)k;
	return scratch_at(&s, origin, ((const struct rwkv7_attr *)n->attr)->D, 1, (size_t)t->cap.segments);
}

static size_t back_scratch(const struct tape *t, const struct node *n, const struct kernels *k)
{
	static char origin[64];
	struct scratch s;
	(void)k;
	return scratch_at(&s, origin, ((const struct rwkv7_attr *)n->attr)->D, CHUNK + 1, (size_t)t->cap.segments);
}

static const float *at_row(const struct work *w, int in, size_t row, size_t head)
{
	return w->in[in] + (in < N_ROWS ? row * w->C : 0) + head * w->D;
}

/* All that the recurrence takes, of what the products gave. Returns the norm that κ was divided by. */
static float prepare(const struct work *w, const struct scratch *s, size_t row, size_t h)
{
	const float *k = at_row(w, IN_K, row, h), *k_k = at_row(w, IN_KK, row, h), *k_a = at_row(w, IN_KA, row, h);
	float *decay = s->v[V_DECAY], *alpha = s->v[V_ALPHA], *kappa = s->v[V_KAPPA], unused;
	size_t D = w->D;

	w->k->act[ACT_SIGMOID].f(decay, at_row(w, IN_W, row, h), D);
	w->k->scale(decay, decay, -DECAY, D);
	w->k->exp_sum(decay, decay, 0, D, &unused);
	w->k->act[ACT_SIGMOID].f(alpha, at_row(w, IN_A, row, h), D);
	for (size_t j = 0; j < D; j++)
		kappa[j] = k[j] * k_k[j];
	float norm = fmaxf(sqrtf((float)w->k->sum_squares(kappa, D)), NORM_LEAST);
	for (size_t j = 0; j < D; j++) {
		kappa[j] /= norm;
		s->v[V_KEY][j] = k[j] + k[j] * k_a[j] * (alpha[j] - 1);
		s->v[V_RATE][j] = kappa[j] * alpha[j];
	}
	return norm;
}

/* sum = Σ of a state's rows, each times its number: taken is −S·κ, o is S·r. */
static void rows_sum(const struct work *w, float *sum, const float *state, float sign, const float *by)
{
	memset(sum, 0, w->D * sizeof(float));
	for (size_t j = 0; j < w->D; j++)
		w->k->axpy(sum, sign * by[j], state + j * w->D, w->D);
}

/* state = before·diag(decay) + taken·rateᵀ + v·keyᵀ, o = state·r; state may be before. */
static void step(const struct work *w, const struct scratch *s, const float *before, float *state, size_t row, size_t h)
{
	const float *v = at_row(w, IN_V, row, h), *r = at_row(w, IN_R, row, h);
	const struct kernels *k = w->k;
	size_t D = w->D;

	rows_sum(w, s->v[V_TAKEN], before, -1, s->v[V_KAPPA]);
	memset(s->v[V_O], 0, D * sizeof(float));
	for (size_t j = 0; j < D; j++) {
		float *x = state + j * D;
		k->scale(x, before + j * D, s->v[V_DECAY][j], D);
		k->axpy(x, s->v[V_RATE][j], s->v[V_TAKEN], D);
		k->axpy(x, s->v[V_KEY][j], v, D);
		k->axpy(s->v[V_O], r[j], x, D);
	}
}

/* x̂ of o; returns the factor of the norm. */
static float norm_head(const struct work *w, const struct scratch *s)
{
	const float *o = s->v[V_O];
	float *hat = s->v[V_HAT];
	double mean = 0, square = 0;
	size_t D = w->D;

	for (size_t j = 0; j < D; j++)
		mean += o[j];
	mean /= (double)D;
	for (size_t j = 0; j < D; j++)
		square += (o[j] - mean) * (o[j] - mean);
	float factor = 1 / sqrtf((float)(square / (double)D) + w->attr->eps);
	for (size_t j = 0; j < D; j++)
		hat[j] = (o[j] - (float)mean) * factor;
	return factor;
}

/* b: how much of v a token gets of itself. */
static float bonus(const struct work *w, const struct scratch *s, size_t row, size_t h)
{
	const float *r = at_row(w, IN_R, row, h), *r_k = at_row(w, IN_RK, row, h);
	double sum = 0;

	for (size_t j = 0; j < w->D; j++)
		sum += (double)(r[j] * s->v[V_KEY][j]) * r_k[j];
	return (float)sum;
}

static void write_row(const struct work *w, const struct scratch *s, size_t row, size_t h)
{
	const float *v = at_row(w, IN_V, row, h), *g = at_row(w, IN_G, row, h), *lw = at_row(w, IN_LW, row, h),
	            *lb = at_row(w, IN_LB, row, h);
	float *y = w->y + row * w->C + h * w->D, b = bonus(w, s, row, h);

	norm_head(w, s);
	for (size_t j = 0; j < w->D; j++)
		y[j] = (s->v[V_HAT][j] * lw[j] + lb[j] + b * v[j]) * g[j];
}

/* --- forward --- */

static float *kept_state(const struct work *w, int32_t place, size_t h)
{
	return w->state + (size_t)place * w->C * w->D + h * w->D * w->D;
}

static float *slot_state(const struct work *w, size_t slot, size_t h)
{
	return w->states + slot * w->C * w->D + h * w->D * w->D;
}

static size_t chunks_of(const struct segment *s) { return ((size_t)s->len + CHUNK - 1) / CHUNK; }

static void begin_segment(const struct work *w, const struct scratch *x, const struct segment *s, size_t h)
{
	size_t numbers = w->D * w->D;
	int32_t place = w->state ? state_place_before(w->b, w->place, s) : -1;
	const float *from = place >= 0 ? kept_state(w, place, h)
	                    : s->parent >= 0 ? x->branch + (size_t)s->parent * numbers : NULL;

	if (from)
		memcpy(x->chunk, from, numbers * sizeof(float));
	else
		memset(x->chunk, 0, numbers * sizeof(float));
}

static void forward_segment(const struct work *w, const struct scratch *x, int32_t number, size_t slot, size_t h)
{
	const struct segment *s = &w->b->segments[number];
	size_t bytes = w->D * w->D * sizeof(float);

	begin_segment(w, x, s, h);
	for (int32_t i = s->start; i < s->start + s->len; i++) {
		if (w->states && (i - s->start) % CHUNK == 0)
			memcpy(slot_state(w, slot++, h), x->chunk, bytes);
		prepare(w, x, (size_t)i, h);
		step(w, x, x->chunk, x->chunk, (size_t)i, h);
		write_row(w, x, (size_t)i, h);
		int32_t place = w->state ? state_place_after(w->b, w->place, s, i) : -1;
		if (place >= 0)
			memcpy(kept_state(w, place, h), x->chunk, bytes);
	}
	if (s->end > s->start + s->len)
		memcpy(x->branch + (size_t)number * w->D * w->D, x->chunk, bytes);
}

static void forward_head(void *ctx, size_t h, int thread)
{
	const struct work *w = ctx;
	struct scratch x;
	size_t slot = 0;

	scratch_at(&x, run_scratch(w->r, thread), w->D, 1, (size_t)w->b->cap.segments);
	for (int32_t i = 0; i < w->b->n_segments; slot += chunks_of(&w->b->segments[i++]))
		forward_segment(w, &x, i, slot, h);
}

static struct work work_of(struct run *r, const struct node *n, int first)
{
	const struct rwkv7_attr *a = n->attr;
	struct work w = { .k = r->kernels, .b = r->batch, .attr = a, .D = a->D, .r = r };

	for (int i = 0; i < N_NUMBERS; i++)
		w.in[i] = run_f32(r, n->in[first + i]);
	w.C = run_tensor(r, n->in[first + IN_R])->dim[1];
	return w;
}

static void rwkv7_forward(struct run *r, const struct node *n)
{
	struct work w = work_of(r, n, 0);

	w.y = run_f32(r, n->out[OUT_Y]);
	w.states = run_f32(r, n->out[OUT_STATES]);
	w.state = run_f32(r, n->in[IN_STATE]);
	if (w.state)
		w.place = batch_places(r->batch, run_tensor(r, n->in[IN_STATE])->memory);
	pool_run(r->pool, w.C / w.D, forward_head, &w);
}

static void rwkv7_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                       double *bytes)
{
	double numbers = tensor_live(tape_tensor(t, n->in[IN_R]), live);

	*flops = numbers * (9 * (double)((const struct rwkv7_attr *)n->attr)->D + 50);
	*bytes = 28 * numbers;
}

/* --- backward. in: dy, then the inputs, then the states; out: gradients in the order of the inputs --- */

enum { BACK_DY, BACK_IN, BACK_STATES = BACK_IN + N_NUMBERS };

static void put(const struct work *w, int in, size_t row, size_t h, size_t j, float x)
{
	w->d_rows[in][row * w->C + h * w->D + j] = x;
}

/* From dy to do, and what r, k', v and g have of it beside the recurrence. */
static void back_output(const struct work *w, const struct scratch *s, size_t row, size_t h)
{
	const float *v = at_row(w, IN_V, row, h), *g = at_row(w, IN_G, row, h), *lw = at_row(w, IN_LW, row, h),
	            *lb = at_row(w, IN_LB, row, h), *r = at_row(w, IN_R, row, h), *r_k = at_row(w, IN_RK, row, h),
	            *dy = w->dy + row * w->C + h * w->D, *hat = s->v[V_HAT], *key = s->v[V_KEY];
	float factor = norm_head(w, s), b = bonus(w, s, row, h);
	double db = 0, mean = 0, product = 0;

	for (size_t j = 0; j < w->D; j++) {
		float dz = dy[j] * g[j], dx = dz * lw[j];
		put(w, IN_G, row, h, j, dy[j] * (hat[j] * lw[j] + lb[j] + b * v[j]));
		s->sum[IN_LW - N_ROWS][j] += dz * hat[j];
		s->sum[IN_LB - N_ROWS][j] += dz;
		s->v[V_DV][j] = b * dz;
		s->v[V_DO][j] = dx;
		db += (double)dz * v[j];
		mean += dx;
		product += (double)dx * hat[j];
	}
	float m = (float)(mean / (double)w->D), p = (float)(product / (double)w->D), d = (float)db;
	for (size_t j = 0; j < w->D; j++) {
		s->v[V_DO][j] = factor * (s->v[V_DO][j] - m - hat[j] * p);
		s->v[V_DR][j] = d * key[j] * r_k[j];
		s->v[V_DKEY][j] = d * r[j] * r_k[j];
		s->sum[IN_RK - N_ROWS][j] += d * r[j] * key[j];
	}
}

/* Through the recurrence: G (grad, [D][D]) from after the row to before it. */
static void back_step(const struct work *w, const struct scratch *s, const float *before, const float *after,
                      float *grad, size_t row, size_t h)
{
	const float *v = at_row(w, IN_V, row, h), *r = at_row(w, IN_R, row, h), *d_o = s->v[V_DO];
	const struct kernels *k = w->k;
	size_t D = w->D;

	memset(s->v[V_DTAKEN], 0, D * sizeof(float));
	for (size_t j = 0; j < D; j++) {
		float *g = grad + j * D;
		k->axpy(g, r[j], d_o, D);
		s->v[V_DR][j] += k->dot(after + j * D, d_o, D);
		s->v[V_DDECAY][j] = k->dot(g, before + j * D, D);
		s->v[V_DKEY][j] += k->dot(g, v, D);
		s->v[V_DRATE][j] = k->dot(g, s->v[V_TAKEN], D);
		k->axpy(s->v[V_DV], s->v[V_KEY][j], g, D);
		k->axpy(s->v[V_DTAKEN], s->v[V_RATE][j], g, D);
	}
	for (size_t j = 0; j < D; j++) {
		float *g = grad + j * D;
		s->v[V_DKAPPA][j] = s->v[V_DRATE][j] * s->v[V_ALPHA][j] - k->dot(before + j * D, s->v[V_DTAKEN], D);
		k->scale(g, g, s->v[V_DECAY][j], D);
		k->axpy(g, -s->v[V_KAPPA][j], s->v[V_DTAKEN], D);
	}
}

/* From what the recurrence took to what the products gave. */
static void back_prepare(const struct work *w, const struct scratch *s, float norm, size_t row, size_t h)
{
	const float *k = at_row(w, IN_K, row, h), *k_k = at_row(w, IN_KK, row, h), *k_a = at_row(w, IN_KA, row, h),
	            *alpha = s->v[V_ALPHA], *decay = s->v[V_DECAY], *kappa = s->v[V_KAPPA], *d_key = s->v[V_DKEY],
	            *d_kappa = s->v[V_DKAPPA];
	float along = norm > NORM_LEAST ? w->k->dot(kappa, d_kappa, w->D) : 0;

	for (size_t j = 0; j < w->D; j++) {
		float dq = (d_kappa[j] - kappa[j] * along) / norm, less = alpha[j] - 1,
		      d_alpha = s->v[V_DRATE][j] * kappa[j] + d_key[j] * k[j] * k_a[j],
		      of_w = logf(decay[j]) / -DECAY; /* σ(w) */
		s->sum[IN_KK - N_ROWS][j] += dq * k[j];
		s->sum[IN_KA - N_ROWS][j] += d_key[j] * k[j] * less;
		put(w, IN_R, row, h, j, s->v[V_DR][j]);
		put(w, IN_V, row, h, j, s->v[V_DV][j]);
		put(w, IN_K, row, h, j, dq * k_k[j] + d_key[j] * (1 + k_a[j] * less));
		put(w, IN_A, row, h, j, d_alpha * alpha[j] * (1 - alpha[j]));
		put(w, IN_W, row, h, j, s->v[V_DDECAY][j] * decay[j] * -DECAY * of_w * (1 - of_w));
	}
}

/* Rows first … first + n − 1, whose state before is in a slot. */
static void back_chunk(const struct work *w, const struct scratch *x, float *grad, int32_t first, int32_t n,
                       size_t slot, size_t h)
{
	size_t numbers = w->D * w->D;

	memcpy(x->chunk, slot_state(w, slot, h), numbers * sizeof(float));
	for (int32_t i = 0; i < n; i++) {
		prepare(w, x, (size_t)(first + i), h);
		step(w, x, x->chunk + (size_t)i * numbers, x->chunk + (size_t)(i + 1) * numbers, (size_t)(first + i),
		     h);
	}
	for (int32_t i = n - 1; i >= 0; i--) {
		const float *before = x->chunk + (size_t)i * numbers, *after = before + numbers;
		size_t row = (size_t)(first + i);
		float norm = prepare(w, x, row, h);
		rows_sum(w, x->v[V_TAKEN], before, -1, x->v[V_KAPPA]);
		rows_sum(w, x->v[V_O], after, 1, at_row(w, IN_R, row, h));
		back_output(w, x, row, h);
		back_step(w, x, before, after, grad, row, h);
		back_prepare(w, x, norm, row, h);
	}
}

static void back_segment(const struct work *w, const struct scratch *x, int32_t number, size_t slot, size_t h)
{
	const struct segment *s = &w->b->segments[number];
	size_t numbers = w->D * w->D;
	float *grad = x->branch + (size_t)number * numbers;

	for (size_t c = chunks_of(s); c-- > 0;) {
		int32_t first = (int32_t)c * CHUNK;
		back_chunk(w, x, grad, s->start + first, MIN(CHUNK, s->len - first), slot + c, h);
	}
	if (s->parent >= 0)
		w->k->add(x->branch + (size_t)s->parent * numbers, x->branch + (size_t)s->parent * numbers, grad,
		          numbers);
}

static void back_head(void *ctx, size_t h, int thread)
{
	const struct work *w = ctx;
	struct scratch x;
	size_t slot = 0;

	scratch_at(&x, run_scratch(w->r, thread), w->D, CHUNK + 1, (size_t)w->b->cap.segments);
	memset(x.sum[0], 0, N_VECTORS * w->D * sizeof(double));
	memset(x.branch, 0, (size_t)w->b->n_segments * w->D * w->D * sizeof(float));
	for (int32_t i = 0; i < w->b->n_segments; i++)
		slot += chunks_of(&w->b->segments[i]);
	for (int32_t i = w->b->n_segments - 1; i >= 0; i--)
		back_segment(w, &x, i, slot -= chunks_of(&w->b->segments[i]), h);
	for (int i = 0; i < N_VECTORS; i++) {
		float *d = w->d_vector[i] ? w->d_vector[i] + h * w->D : NULL;
		for (size_t j = 0; d && j < w->D; j++)
			d[j] = (w->attr->add[i] ? d[j] : 0) + (float)x.sum[i][j];
	}
}

static void back_forward(struct run *r, const struct node *n)
{
	struct work w = work_of(r, n, BACK_IN);

	w.dy = run_f32(r, n->in[BACK_DY]);
	w.states = run_f32(r, n->in[BACK_STATES]);
	for (int i = 0; i < N_ROWS; i++)
		w.d_rows[i] = run_f32(r, n->out[i]);
	for (int i = 0; i < N_VECTORS; i++)
		w.d_vector[i] = run_f32(r, n->out[N_ROWS + i]);
	pool_run(r->pool, w.C / w.D, back_head, &w);
}

static void back_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                      double *bytes)
{
	double numbers = tensor_live(tape_tensor(t, n->in[BACK_DY]), live);

	*flops = numbers * (38 * (double)((const struct rwkv7_attr *)n->attr)->D + 150);
	*bytes = 56 * numbers;
}

static const struct op rwkv7_back = {
	.name = "rwkv7_back", .cost = back_cost, .forward = back_forward, .scratch = back_scratch
};

static void rwkv7_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i], made = { 0 };
	struct rwkv7_attr a = *(const struct rwkv7_attr *)n.attr;
	uint32_t in[NODE_INPUTS] = { tape_grad(t, n.out[OUT_Y]) };

	for (int j = 0; j < N_NUMBERS; j++)
		in[BACK_IN + j] = n.in[j];
	in[BACK_STATES] = n.out[OUT_STATES];
	for (int j = 0; j < N_ROWS; j++) {
		struct tensor like = *tape_tensor(t, n.in[j]);
		tape_output(t, &made, j, "d_rwkv7", like.axis, like.n_dims, like.dim);
	}
	for (int j = 0; j < N_VECTORS; j++)
		if (tape_wants(t, n.in[N_ROWS + j]))
			made.out[N_ROWS + j] = tape_grad_target(t, n.in[N_ROWS + j], &a.add[j]);
	tape_emit(t, &rwkv7_back, in, BACK_STATES + 1, made.out, N_NUMBERS, &a, sizeof(a));
	for (int j = 0; j < N_ROWS; j++)
		if (tape_wants(t, n.in[j]))
			tape_grad_pass(t, n.in[j], made.out[j]);
}

static uint32_t rwkv7_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t H, D; bool frozen; } cases[] = {
		{ 1, 1, 3, false }, { 40, 3, 8, false }, { 96, 2, 5, true },
	};
	size_t C = cases[i].H * cases[i].D, dim[2] = { (size_t)cases[i].N, C };
	uint32_t x[N_NUMBERS];

	batch_sample(b, rng, cases[i].N, 50);
	for (int j = 0; j < N_NUMBERS; j++)
		x[j] = cases[i].frozen && j % 3 == 1
		               ? tape_weight(t, "frozen", DTYPE_F32, j < N_ROWS ? 2 : 1, j < N_ROWS ? dim : &C)
		               : tape_param(t, "x", j < N_ROWS ? 2 : 1, j < N_ROWS ? dim : &C);
	return op_rwkv7(t, &(struct rwkv7){ .r = x[IN_R], .w = x[IN_W], .k = x[IN_K], .v = x[IN_V], .a = x[IN_A],
	                                    .g = x[IN_G], .k_k = x[IN_KK], .k_a = x[IN_KA], .r_k = x[IN_RK],
	                                    .ln_w = x[IN_LW], .ln_b = x[IN_LB], .D = cases[i].D, .eps = 1e-2F });
}

const struct op op_row_rwkv7 = {
	.name = "rwkv7",
	.shape = rwkv7_shape,
	.cost = rwkv7_cost,
	.forward = rwkv7_forward,
	.backward = rwkv7_backward,
	.saves = ((1U << N_NUMBERS) - 1U) | SAVES_OUT(OUT_STATES),
	.exact = ((1U << N_NUMBERS) - 1U) | SAVES_OUT(OUT_STATES),
	.scratch = forward_scratch,
	.sample = rwkv7_sample,
	.sample_count = 3,
};

uint32_t op_rwkv7(struct tape *t, const struct rwkv7 *x)
{
	struct rwkv7_attr a = { .D = x->D, .eps = x->eps };
	uint32_t in[N_IN] = { x->r, x->w, x->k, x->v, x->a, x->g, x->k_k, x->k_a, x->r_k, x->ln_w, x->ln_b, x->state };

	return tape_record(t, &op_row_rwkv7, in, N_IN, &a, sizeof(a));
}
