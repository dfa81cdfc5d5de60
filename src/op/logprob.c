/* logprob: blocks, ranges and tiles of the head, forward and for its gradients. See logprob.h for the formulas.
 *
 * In int8 arithmetic (W frozen; what an adapter adds stays f32) x is quantized in blocks of 32 along C, e along V, and
 * P = e·W is taken from a copy of Wᵀ in Q8_0. What matters most is exact: a label's own logit is a dot product in
 * f32, and its token's share (p_token·Σ_p w_p − w_p)·W_token of dx is in f32 from W itself, its e being 0 in the
 * product. A token that is well learnt has p near 1, and p·W from a copy would not meet −W. */
#include "op/logprob.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "op/batch_sample.h"
#include "quant/panels.h"

enum { ROW_GRAIN = 14, ZERO_PIECE = 65536, CAP_FLOPS = 20 /* a logit: tanh and its slope */ };
enum { LINE = 16, SET_PERIOD = 1024 }; /* floats a cache line and until its set comes round again */

/* --- what is kept of a block --- */

/* Rows a multiple of 4 KB apart would fall into one set of the nearest cache, which holds fewer lines than a micro-tile
 * has rows. */
static size_t padded(size_t n)
{
	return n % SET_PERIOD ? n : n + LINE;
}

static size_t tiles_of(size_t V)
{
	return (V + LOGPROB_TILE - 1) / LOGPROB_TILE;
}

static size_t q8_bytes(size_t n)
{
	return n / PANEL_BLOCK * KERNEL_Q8_BYTES;
}

/* How wide the factors are whose rows want a gradient, and x in int8; 0: not at all. */
struct widths { size_t partial[LOGPROB_FACTORS], quantized, labels, slopes; bool keep; };

/* Lays out, from `at` (NULL: only counts), the floats that a block needs; returns how many. */
static size_t lay_out(struct logprob *w, float *at, const struct widths *widths)
{
	float *q = NULL;
	size_t n = 0;
#define TAKE(p, count) ((p) = at ? at + n : NULL, n += (count))
	TAKE(w->top, LOGPROB_BLOCK * w->tiles);
	TAKE(w->sum, LOGPROB_BLOCK * w->tiles);
	TAKE(w->largest, LOGPROB_BLOCK * LOGPROB_RANGES);
	TAKE(w->row_top, LOGPROB_BLOCK);
	TAKE(w->row_scale, LOGPROB_BLOCK);
	for (size_t i = 0; i < LOGPROB_FACTORS; i++)
		if (widths->partial[i])
			TAKE(w->factor[i].partial, w->ranges * LOGPROB_BLOCK * widths->partial[i]);
	if (widths->keep)
		TAKE(w->e, LOGPROB_BLOCK * w->ld);
	if (widths->quantized)
		TAKE(q, LOGPROB_BLOCK * q8_bytes(widths->quantized) / sizeof(float));
	if (widths->labels) {
		TAKE(w->own, widths->labels);
		TAKE(w->negated, widths->labels);
	}
	if (widths->slopes)
		TAKE(w->slope, widths->slopes);
#undef TAKE
	w->quantized = (uint8_t *)q;
	return n;
}

static struct logprob sizes_of(size_t V)
{
	return (struct logprob){
		.V = V, .tiles = tiles_of(V), .ranges = MIN(tiles_of(V), (size_t)LOGPROB_RANGES), .ld = padded(V)
	};
}

/* --- recording --- */

void logprob_inputs(struct tape *t, const struct linear *l, uint32_t in[N_IN])
{
	if (!t->err.msg[0] && l->residual)
		err_set(&t->err, "the head %s has a residual, which is not computed here", tape_tensor(t, l->w)->name);
	memset(in, 0, N_IN * sizeof(*in));
	in[IN_X] = l->x;
	in[IN_W] = l->w;
	for (int k = 0; k < LINEAR_TERMS && l->term[k].u; k++) {
		in[IN_TERMS + 2 * k] = l->term[k].u;
		in[IN_TERMS + 2 * k + 1] = l->term[k].up;
	}
	in[IN_WT] = l->wt;
	in[IN_BIAS] = l->bias;
}

struct logprob_attr logprob_attr_of(const struct linear *l, float cap)
{
	return (struct logprob_attr){ .int8 = l->int8, .scale = l->scale == 0 ? 1 : l->scale, .cap = cap };
}

static float cap_of(const struct node *n) { return ((const struct logprob_attr *)n->attr)->cap; }

static int check_term(const struct tape *t, const struct node *n, int k, struct err *e)
{
	const struct tensor *x = tape_tensor(t, n->in[IN_X]), *head = tape_tensor(t, n->in[IN_W]);
	const struct tensor *u = tape_tensor(t, n->in[k]), *up = tape_tensor(t, n->in[k + 1]);

	if (u->n_dims != 2 || up->n_dims != 2 || u->dim[0] != x->dim[0] || up->dim[0] != head->dim[0] ||
	    u->dim[1] != up->dim[1])
		return err_set(e, "%s (%zu×%zu) and %s (%zu×%zu) do not add to %s", u->name, u->dim[0], u->dim[1],
		               up->name, up->dim[0], up->dim[1], head->name);
	return 0;
}

static int check_bias(const struct tape *t, const struct node *n, struct err *e)
{
	const struct tensor *bias = tape_tensor(t, n->in[IN_BIAS]), *head = tape_tensor(t, n->in[IN_W]);

	if (bias->dtype != DTYPE_F32 || tensor_count(bias) != head->dim[0])
		return err_set(e, "%s: %zu numbers of %s, %zu of F32 are wanted by %s", bias->name, tensor_count(bias),
		               dtypes[bias->dtype].name, head->dim[0], head->name);
	return 0;
}

/* For the gradient: Wᵀ of the head. */
static bool is_transposed(const struct tape *t, uint32_t x, const struct tensor *head)
{
	const struct tensor *wt = x ? tape_tensor(t, x) : NULL;

	return wt && wt->panels && wt->dtype == DTYPE_Q8_0 && wt->dim[0] == head->dim[1] &&
	       wt->dim[1] == head->dim[0] && head->dim[0] % PANEL_BLOCK == 0;
}

static int check_int8(const struct tape *t, const struct node *n, struct err *e)
{
	const struct tensor *head = tape_tensor(t, n->in[IN_W]);

	if (!head->panels || !panels_int8(head->dtype) || head->dim[1] % PANEL_BLOCK || tape_wants(t, n->in[IN_W]))
		return err_set(e, "%s: int8 arithmetic wants a frozen head in panels, its rows of blocks of %d",
		               head->name, PANEL_BLOCK);
	if (tape_wants(t, n->in[IN_X]) && !is_transposed(t, n->in[IN_WT], head))
		return err_set(e, "%s: its gradient in int8 wants its transpose in panels of Q8_0", head->name);
	return 0;
}

int logprob_check(struct tape *t, const struct node *n, struct err *e)
{
	const struct tensor *x = tape_tensor(t, n->in[IN_X]), *head = tape_tensor(t, n->in[IN_W]);

	if (x->n_dims != 2 || head->n_dims != 2 || x->dim[1] != head->dim[1])
		return err_set(e, "%s has rows of %zu, the head %s of %zu", x->name, x->dim[x->n_dims - 1], head->name,
		               head->dim[head->n_dims - 1]);
	for (int k = IN_TERMS; k < IN_WT && n->in[k]; k += 2)
		if (check_term(t, n, k, e) < 0)
			return -1;
	if (!(cap_of(n) >= 0))
		return err_set(e, "a cap of %g, one above 0 is wanted or none", (double)cap_of(n));
	if ((n->in[IN_BIAS] && check_bias(t, n, e) < 0) || (logprob_int8(n) && check_int8(t, n, e) < 0))
		return -1;
	return 0;
}

void logprob_gradients(struct tape *t, const struct node *n, struct node *made, struct logprob_attr *attr)
{
	for (size_t i = 0; i < LOGPROB_FACTORS; i++) {
		uint32_t rows = n->in[IN_X + 2 * i], matrix = n->in[IN_W + 2 * i];
		if (tape_wants(t, rows)) {
			struct tensor like = *tape_tensor(t, rows);
			tape_output(t, made, OUT_DX + 2 * (int)i, i ? "d_targets_low" : "d_targets", like.axis, 2,
			            like.dim);
		}
		if (tape_wants(t, matrix))
			made->out[OUT_DW + 2 * i] = tape_grad_target(t, matrix, &attr->add[i]);
	}
	if (tape_wants(t, n->in[IN_BIAS]))
		made->out[OUT_DBIAS] = tape_grad_target(t, n->in[IN_BIAS], &attr->add_bias);
}

void logprob_pass(struct tape *t, const struct node *n, const struct node *made)
{
	for (size_t i = 0; i < LOGPROB_FACTORS; i++)
		if (made->out[OUT_DX + 2 * i])
			tape_grad_pass(t, n->in[IN_X + 2 * i], made->out[OUT_DX + 2 * i]);
}

static size_t slopes_of(const struct node *n, int32_t labels)
{
	return cap_of(n) > 0 ? (size_t)labels : 0;
}

void logprob_block(struct tape *t, const struct node *n, struct node *made, bool keep, size_t labels)
{
	struct logprob w = sizes_of(tape_tensor(t, n->in[IN_W])->dim[0]);
	struct widths widths = { .labels = labels, .keep = keep, .slopes = slopes_of(n, t->cap.labels) };

	for (size_t i = 0; i < LOGPROB_FACTORS; i++)
		if (made->out[OUT_DX + 2 * i])
			widths.partial[i] = tape_tensor(t, n->in[IN_X + 2 * i])->dim[1];
	if (logprob_int8(n))
		widths.quantized = tape_tensor(t, n->in[IN_X])->dim[1];
	tape_scratch(t, made, OUT_BLOCK, "logits", lay_out(&w, NULL, &widths));
}

/* Floats of a tile, or a row of W, whichever is more. */
static size_t tile_floats(size_t cols) { return MAX(cols, (size_t)LOGPROB_BLOCK * LOGPROB_TILE_LD); }

/* A product's own, and a tile; with a cap its logits; in int8 a row of W, the tile's e quantized and what a panel of
 * Wᵀ adds. */
size_t logprob_scratch(const struct tape *t, const struct node *n, const struct kernels *k)
{
	size_t cols = tape_tensor(t, n->in[IN_W])->dim[1],
	       tiles = cap_of(n) > 0 ? 2 : 1;

	return gemm_scratch_bytes(k) + tiles * tile_floats(cols) * sizeof(float) +
	       (logprob_int8(n) ? MAX(cols * sizeof(float),
	                              LOGPROB_BLOCK * (q8_bytes(LOGPROB_TILE) + PANEL_ROWS * sizeof(float))) :
	                          0);
}

bool logprob_int8(const struct node *n) { return ((const struct logprob_attr *)n->attr)->int8; }

/* Of one factor. */
static void factor_cost(const struct tape *t, const struct node *n, size_t i, const struct live *live, double *flops,
                        double *bytes)
{
	const struct tensor *matrix = tape_tensor(t, n->in[IN_W + 2 * i]);
	double products = 1 + (n->out[OUT_DX + 2 * i] != TENSOR_NONE) + (n->out[OUT_DW + 2 * i] != TENSOR_NONE);
	double V = (double)matrix->dim[0], k = (double)matrix->dim[1];
	double stored = V * k / dtypes[matrix->dtype].block * dtypes[matrix->dtype].bytes;

	*flops += 2 * products * live->targets * V * k;
	*bytes += ceil(live->targets / LOGPROB_BLOCK) * products * stored + 8 * live->targets * k;
	if (n->out[OUT_DW + 2 * i])
		*bytes += 12 * live->targets * V;
}

void logprob_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	*flops = *bytes = 0;
	for (size_t i = 0; i < LOGPROB_FACTORS; i++)
		if (n->in[IN_X + 2 * i])
			factor_cost(t, n, i, live, flops, bytes);
	if (cap_of(n) > 0)
		*flops += CAP_FLOPS * live->targets * (double)tape_tensor(t, n->in[IN_W])->dim[0];
}

/* What an adapter adds is never done in int8, nor what a cap takes. */
double logprob_in_f32(const struct tape *t, const struct node *n, const struct live *live)
{
	double flops = 0, bytes = 0;

	for (size_t i = 1; i < LOGPROB_FACTORS; i++)
		if (n->in[IN_X + 2 * i])
			factor_cost(t, n, i, live, &flops, &bytes);
	if (cap_of(n) > 0)
		flops += CAP_FLOPS * live->targets * (double)tape_tensor(t, n->in[IN_W])->dim[0];
	return flops;
}

/* --- a node that runs --- */

static struct factor factor_of(const struct run *r, const struct node *n, size_t i)
{
	const struct logprob_attr *attr = n->attr;

	return (struct factor){ .rows = run_f32(r, n->in[IN_X + 2 * i]),
		                .matrix = run_matrix(r, n->in[IN_W + 2 * i]),
		                .scale = i ? 1 : attr->scale,
		                .d_rows = run_f32(r, n->out[OUT_DX + 2 * i]),
		                .d_matrix = run_f32(r, n->out[OUT_DW + 2 * i]),
		                .add = attr->add[i] };
}

struct logprob logprob_of(struct run *r, const struct node *n, bool keep, size_t labels)
{
	const struct logprob_attr *attr = n->attr;
	struct logprob w = sizes_of(run_tensor(r, n->in[IN_W])->dim[0]);
	struct widths widths = { .labels = labels, .keep = keep, .slopes = slopes_of(n, r->plan->cap.labels) };

	w.r = r;
	w.b = r->batch;
	w.weight = w.b->label_weight;
	w.int8 = attr->int8;
	w.cap = attr->cap;
	w.z_loss = attr->z_loss;
	w.transposed = n->in[IN_WT] ? r->data[n->in[IN_WT]] : NULL;
	w.bias = run_f32(r, n->in[IN_BIAS]);
	w.dbias = run_f32(r, n->out[OUT_DBIAS]);
	w.add_bias = attr->add_bias;
	for (size_t i = 0; i < LOGPROB_FACTORS && n->in[IN_X + 2 * i]; i++) {
		w.factor[i] = factor_of(r, n, i);
		widths.partial[i] = w.factor[i].d_rows ? w.factor[i].matrix.cols : 0;
	}
	for (size_t i = 0; i < LOGPROB_FACTORS; i++)
		w.bends |= w.cap > 0 && w.factor[i].d_rows;
	w.bends |= w.cap > 0 && logprob_wants_matrices(&w);
	widths.quantized = w.int8 ? w.factor[0].matrix.cols : 0;
	lay_out(&w, run_f32(r, n->out[OUT_BLOCK]), &widths);
	return w;
}

bool logprob_wants_matrices(const struct logprob *w)
{
	bool wants = w->dbias;

	for (size_t i = 0; i < LOGPROB_FACTORS; i++)
		wants |= w->factor[i].d_matrix != NULL;
	return wants;
}

/* Blocks of equal size, of whole micro-tiles. */
static size_t block_rows(size_t R)
{
	size_t blocks = (R + LOGPROB_BLOCK - 1) / LOGPROB_BLOCK;

	return MIN(ROUND_UP((R + blocks - 1) / blocks, (size_t)ROW_GRAIN), (size_t)LOGPROB_BLOCK);
}

static void quantize_row(void *ctx, size_t row, int thread)
{
	const struct logprob *w = ctx;
	size_t cols = w->factor[0].matrix.cols;
	(void)thread;

	w->r->kernels->q8_row(w->factor[0].rows + (w->first + row) * cols, cols, w->quantized + row * q8_bytes(cols));
}

bool logprob_next(struct logprob *w)
{
	size_t R = (size_t)w->b->n_targets;

	w->first += w->rows;
	if (w->first >= R)
		return false;
	w->rows = MIN(R - w->first, block_rows(R));
	if (w->int8)
		pool_run(w->r->pool, w->rows, quantize_row, w);
	return true;
}

float *logprob_tile(const struct logprob *w, int thread)
{
	return (float *)((char *)run_scratch(w->r, thread) + gemm_scratch_bytes(w->r->kernels));
}

/* A tile's logits beside it, with a cap. */
static float *thread_logits(const struct logprob *w, int thread)
{
	return logprob_tile(w, thread) + tile_floats(w->factor[0].matrix.cols);
}

/* Where logprob_scratch has what int8 needs besides. */
static float *thread_more(const struct logprob *w, int thread)
{
	return logprob_tile(w, thread) + (w->cap > 0 ? 2 : 1) * tile_floats(w->factor[0].matrix.cols);
}

/* The first label of target row `target`. */
static size_t label_from(const struct batch *b, size_t target)
{
	size_t lo = 0, hi = (size_t)b->n_labels;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if ((size_t)b->label_target[mid] < target)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

size_t logprob_labels(const struct logprob *w, size_t row, size_t *begin, double *weight)
{
	size_t end = *begin = label_from(w->b, w->first + row);

	for (*weight = 0; end < (size_t)w->b->n_labels && (size_t)w->b->label_target[end] == w->first + row; end++)
		*weight += w->weight[end];
	return end;
}

/* --- a tile's logits --- */

/* Rows v … v+n−1 of a matrix; v is a multiple of the tile. */
static struct matrix some_rows(struct matrix m, size_t v, size_t n)
{
	m.data = (const char *)m.data + (m.panel_bytes ? v / PANEL_ROWS * m.panel_bytes : v * m.row_bytes);
	m.rows = n;
	return m;
}

/* z (+)= the products of factors from … on (+ bias) */
static void factor_logits(const struct logprob *w, size_t from, size_t v, size_t n, float *z, size_t ld, int thread)
{
	struct gemm g = { .m = w->rows, .n = n, .c = z, .ldc = ld, .accumulate = from > 0 };

	for (size_t i = from; i < LOGPROB_FACTORS && w->factor[i].rows; i++) {
		const struct factor *f = &w->factor[i];
		size_t k = f->matrix.cols;
		g.term[g.n_terms++] = (struct gemm_term){ .a = f->rows + w->first * k,
			                                  .a_row = k,
			                                  .a_col = 1,
			                                  .b = some_rows(f->matrix, v, n),
			                                  .transposed = true,
			                                  .k = k,
			                                  .scale = f->scale };
	}
	if (from == 0 && w->bias)
		g.bias = w->bias + v;
	if (g.n_terms)
		gemm_serial(w->r->kernels, &g, run_scratch(w->r, thread));
}

static void int8_logits(const struct logprob *w, size_t v, size_t n, float *z, size_t ld, int thread)
{
	const struct kernels *k = w->r->kernels;
	const struct factor *f = &w->factor[0];
	const struct matrix *m = &f->matrix;

	for (size_t j = 0; j < n; j += PANEL_ROWS)
		k->q8_tile(m->dtype, w->rows, MIN(n - j, (size_t)PANEL_ROWS), m->cols, w->quantized, q8_bytes(m->cols),
		           (const uint8_t *)m->data + (v + j) / PANEL_ROWS * m->panel_bytes, z + j, ld);
	for (size_t i = 0; i < w->rows && f->scale != 1; i++)
		k->scale(z + i * ld, z + i * ld, f->scale, n);
	factor_logits(w, 1, v, n, z, ld, thread);
	for (size_t i = 0; i < w->rows && w->bias; i++)
		k->add(z + i * ld, z + i * ld, w->bias + v, n);
}

static void matrix_row(const struct matrix *m, size_t row, float *out)
{
	if (m->panel_bytes)
		panels_row(m->dtype, m->data, row, m->cols, out);
	else
		dtypes[m->dtype].part((const char *)m->data + row * m->row_bytes, 0, out, m->cols);
}

/* The logit of one token in f32. `scratch`: room for a row of a matrix. */
static float exact_logit(const struct logprob *w, size_t target, size_t token, float *scratch)
{
	float z = 0;

	for (size_t i = 0; i < LOGPROB_FACTORS && w->factor[i].rows; i++) {
		const struct factor *f = &w->factor[i];
		matrix_row(&f->matrix, token, scratch);
		z += f->scale * w->r->kernels->dot(f->rows + target * f->matrix.cols, scratch, f->matrix.cols);
	}
	return z + (w->bias ? w->bias[token] : 0);
}

/* The labels' own logits, where this tile has them: in int8 made exact, or, at last, kept. */
static void own_logits(const struct logprob *w, size_t v, size_t n, float *z, size_t ld, bool exact, float *scratch)
{
	const struct batch *b = w->b;
	size_t target;

	for (size_t p = label_from(b, w->first);
	     p < (size_t)b->n_labels && (target = (size_t)b->label_target[p]) < w->first + w->rows; p++) {
		size_t token = (size_t)b->label_token[p];
		if (token >= w->V)
			BUG("label %zu is token %d of %zu", p, b->label_token[p], w->V);
		if (token < v || token >= v + n)
			continue;
		float *own = &z[(target - w->first) * ld + token - v];
		if (exact) {
			*own = exact_logit(w, target, token, scratch);
			continue;
		}
		w->own[p] = *own;
		if (w->slope)
			w->slope[p] = 1 - *own / w->cap * (*own / w->cap);
	}
}

void logprob_logits(const struct logprob *w, size_t v, size_t n, float *z, size_t ld, int thread)
{
	if (w->int8) {
		int8_logits(w, v, n, z, ld, thread);
		own_logits(w, v, n, z, ld, true, thread_more(w, thread));
	} else {
		factor_logits(w, 0, v, n, z, ld, thread);
	}
	for (size_t i = 0; i < w->rows && w->cap > 0; i++) {
		w->r->kernels->soft_cap(z + i * ld, z + i * ld, w->cap, n);
		if (w->bends)
			memcpy(thread_logits(w, thread) + i * LOGPROB_TILE_LD, z + i * ld, n * sizeof(*z));
	}
	own_logits(w, v, n, z, ld, false, NULL);
	for (size_t i = 0; i < w->rows && w->temperature != 0 && w->temperature != 1; i++)
		w->r->kernels->scale(z + i * ld, z + i * ld, 1 / w->temperature, n);
}

void logprob_tile_slope(const struct logprob *w, size_t n, float *e, size_t ld, int thread)
{
	for (size_t i = 0; i < w->rows && w->bends; i++)
		w->r->kernels->soft_cap_back(e + i * ld, e + i * ld, thread_logits(w, thread) + i * LOGPROB_TILE_LD,
		                             w->cap, n);
}

/* dz/dy of label p's own logit */
static float own_slope(const struct logprob *w, size_t p) { return w->slope ? w->slope[p] : 1; }

static float exp_of(const struct kernels *k, float x, float max)
{
	float y, sum;

	k->exp_sum(&y, &x, max, 1, &sum);
	return y;
}

float logprob_exp(const struct logprob *w, float x, float max) { return exp_of(w->r->kernels, x, max); }

/* --- a tile's share of the rows' gradients --- */

/* P (+)= e·matrix */
static void add_rows(const struct logprob *w, const struct factor *f, size_t range, bool begins, size_t v, size_t n,
                     const float *e, size_t ld, int thread)
{
	size_t k = f->matrix.cols;
	struct gemm g = { .m = w->rows,
		          .n = k,
		          .n_terms = 1,
		          .c = f->partial + range * LOGPROB_BLOCK * k,
		          .ldc = k,
		          .accumulate = !begins,
		          .free = true };

	g.term[0] = (struct gemm_term){
		.a = e, .a_row = ld, .a_col = 1, .b = some_rows(f->matrix, v, n), .k = n, .scale = 1
	};
	gemm_serial(w->r->kernels, &g, run_scratch(w->r, thread));
}

/* e of the labels' tokens, whose share of the gradient is taken apart in int8: 0, or what it was, from their logits. */
static void own_e(const struct logprob *w, size_t range, size_t v, size_t n, float *e, size_t ld, bool back)
{
	const struct batch *b = w->b;
	size_t target;

	for (size_t p = label_from(b, w->first);
	     p < (size_t)b->n_labels && (target = (size_t)b->label_target[p]) < w->first + w->rows; p++) {
		size_t token = (size_t)b->label_token[p], row = target - w->first;
		float top = w->largest[row * LOGPROB_RANGES + range];
		if (token >= v && token < v + n)
			e[row * ld + token - v] = back ? own_slope(w, p) * logprob_exp(w, w->own[p], top) : 0;
	}
}

/* The same in int8, from Wᵀ: of each of its panels the blocks of these columns. */
static void add_rows_int8(const struct logprob *w, size_t range, bool begins, size_t v, size_t n, float *e, size_t ld,
                          float *more)
{
	const struct kernels *k = w->r->kernels;
	const struct factor *f = &w->factor[0];
	size_t cols = f->matrix.cols, row_bytes = q8_bytes(n);
	float *partial = f->partial + range * LOGPROB_BLOCK * cols, *sum = more;
	uint8_t *q = (uint8_t *)(sum + (size_t)LOGPROB_BLOCK * PANEL_ROWS);

	own_e(w, range, v, n, e, ld, false);
	for (size_t i = 0; i < w->rows; i++)
		k->q8_row(e + i * ld, n, q + i * row_bytes);
	own_e(w, range, v, n, e, ld, true);
	for (size_t c = 0; c < cols; c += PANEL_ROWS) {
		const uint8_t *panel = w->transposed + c / PANEL_ROWS * panel_bytes(DTYPE_Q8_0, w->V) +
		                       panel_block_at(DTYPE_Q8_0, v / PANEL_BLOCK);
		size_t m = MIN(cols - c, (size_t)PANEL_ROWS);
		if (begins) {
			k->q8_tile(DTYPE_Q8_0, w->rows, m, n, q, row_bytes, panel, partial + c, cols);
			continue;
		}
		k->q8_tile(DTYPE_Q8_0, w->rows, m, n, q, row_bytes, panel, sum, PANEL_ROWS);
		for (size_t i = 0; i < w->rows; i++)
			k->add(partial + i * cols + c, partial + i * cols + c, sum + i * PANEL_ROWS, m);
	}
}

void logprob_tile_rows(const struct logprob *w, size_t range, bool begins, size_t v, size_t n, float *e, size_t ld,
                       int thread)
{
	for (size_t i = 0; i < LOGPROB_FACTORS; i++)
		if (w->factor[i].partial && w->int8 && i == 0)
			add_rows_int8(w, range, begins, v, n, e, ld, thread_more(w, thread));
		else if (w->factor[i].partial)
			add_rows(w, &w->factor[i], range, begins, v, n, e, ld, thread);
}

/* --- a row, when all ranges are there --- */

/* What a row's gradient has of its token's row of the matrix besides the product: −w_p; where e was taken out,
 * p_token·Σ w too, once for each token. */
static float own_share(const struct logprob *w, size_t p, size_t begin, double weight, bool taken_out)
{
	const struct batch *b = w->b;
	bool first = true;

	for (size_t other = begin; other < p; other++)
		first &= b->label_token[other] != b->label_token[p];
	return (float)((taken_out && first ? weight * exp((double)w->logp[p]) : 0) - w->weight[p]);
}

static void row_gradient(const struct logprob *w, const struct factor *f, size_t row, size_t begin, size_t end,
                         double weight, float *scratch)
{
	const struct kernels *k = w->r->kernels;
	size_t cols = f->matrix.cols;
	float *d = f->d_rows + (w->first + row) * cols;

	for (size_t i = 0; i < w->ranges; i++) {
		float by = f->scale * w->row_scale[row] *
		           logprob_exp(w, w->largest[row * LOGPROB_RANGES + i], w->row_top[row]);
		const float *partial = f->partial + (i * LOGPROB_BLOCK + row) * cols;
		if (i)
			k->axpy(d, by, partial, cols);
		else
			k->scale(d, partial, by, cols);
	}
	for (size_t p = begin; p < end; p++) {
		matrix_row(&f->matrix, (size_t)w->b->label_token[p], scratch);
		float share = own_share(w, p, begin, weight, w->int8 && f == &w->factor[0]);
		k->axpy(d, f->scale * own_slope(w, p) * share, scratch, cols);
	}
}

void logprob_row(const struct logprob *w, size_t row, size_t begin, size_t end, double weight, int thread)
{
	for (size_t i = 0; i < LOGPROB_FACTORS; i++)
		if (w->factor[i].partial)
			row_gradient(w, &w->factor[i], row, begin, end, weight, logprob_tile(w, thread));
}

/* --- a tile of G, for the gradients of matrices and bias --- */

static void weigh(const struct logprob *w, size_t v, size_t n, float *e, size_t ld, const float *top, size_t top_ld)
{
	const struct kernels *k = w->r->kernels;
	const struct batch *b = w->b;
	size_t target;

	for (size_t i = 0; i < w->rows; i++)
		k->scale(e + i * ld, e + i * ld, w->row_scale[i] * logprob_exp(w, top[i * top_ld], w->row_top[i]), n);
	for (size_t p = label_from(b, w->first);
	     p < (size_t)b->n_labels && (target = (size_t)b->label_target[p]) < w->first + w->rows; p++) {
		size_t token = (size_t)b->label_token[p];
		if (token >= v && token < v + n)
			e[(target - w->first) * ld + token - v] -= own_slope(w, p) * w->weight[p];
	}
}

static void matrix_gradient(const struct logprob *w, const struct factor *f, size_t v, size_t n, const float *G,
                            size_t ld, int thread)
{
	size_t k = f->matrix.cols;
	struct gemm g = { .m = n,
		          .n = k,
		          .n_terms = 1,
		          .c = f->d_matrix + v * k,
		          .ldc = k,
		          .accumulate = f->add || w->first > 0,
		          .free = true };
	struct matrix rows = { .dtype = DTYPE_F32,
		               .data = f->rows + w->first * k,
		               .rows = w->rows,
		               .cols = k,
		               .row_bytes = k * sizeof(float) };

	g.term[0] = (struct gemm_term){ .a = G, .a_row = 1, .a_col = ld, .b = rows, .k = w->rows, .scale = f->scale };
	gemm_serial(w->r->kernels, &g, run_scratch(w->r, thread));
}

void logprob_tile_matrices(const struct logprob *w, size_t v, size_t n, float *e, size_t ld, const float *top,
                           size_t top_ld, int thread)
{
	weigh(w, v, n, e, ld, top, top_ld);
	for (size_t i = 0; i < LOGPROB_FACTORS; i++)
		if (w->factor[i].d_matrix)
			matrix_gradient(w, &w->factor[i], v, n, e, ld, thread);
	if (w->dbias && !w->add_bias && w->first == 0)
		memset(w->dbias + v, 0, n * sizeof(float));
	for (size_t i = 0; i < w->rows && w->dbias; i++)
		w->r->kernels->add(w->dbias + v, w->dbias + v, e + i * ld, n);
}

static void zero_piece(void *ctx, size_t item, int thread)
{
	const struct factor *f = ctx;
	size_t begin = item * ZERO_PIECE, n = MIN(f->matrix.rows * f->matrix.cols - begin, (size_t)ZERO_PIECE);
	(void)thread;
	memset(f->d_matrix + begin, 0, n * sizeof(float));
}

void logprob_zero(const struct logprob *w)
{
	for (size_t i = 0; i < LOGPROB_FACTORS; i++) {
		struct factor f = w->factor[i];
		if (f.d_matrix && !f.add)
			pool_run(w->r->pool, (w->V * f.matrix.cols + ZERO_PIECE - 1) / ZERO_PIECE, zero_piece, &f);
	}
	if (w->dbias && !w->add_bias)
		memset(w->dbias, 0, w->V * sizeof(float));
}

/* --- forward, with the gradient where there is place for it --- */

/* Logits become e; what the range has summed of a row is brought to the row's new t. */
static void tile_exp(const struct logprob *w, size_t range, size_t tile, bool begins, size_t n, float *z, size_t ld)
{
	const struct kernels *k = w->r->kernels;

	for (size_t i = 0; i < w->rows; i++) {
		float *largest = &w->largest[i * LOGPROB_RANGES + range], most = k->max(z + i * ld, n), old = *largest;
		if (!begins && !(most > old))
			most = old;
		k->exp_sum(z + i * ld, z + i * ld, most, n, &w->sum[i * w->tiles + tile]);
		w->top[i * w->tiles + tile] = *largest = most;
		if (begins || most == old)
			continue;
		for (size_t j = 0; j < LOGPROB_FACTORS; j++) {
			const struct factor *f = &w->factor[j];
			if (!f->partial)
				continue;
			float *partial = f->partial + (range * LOGPROB_BLOCK + i) * f->matrix.cols;
			k->scale(partial, partial, logprob_exp(w, old, most), f->matrix.cols);
		}
	}
}

static void forward_range(void *ctx, size_t range, int thread)
{
	const struct logprob *w = ctx;
	size_t from = w->tiles * range / w->ranges, to = w->tiles * (range + 1) / w->ranges,
	       ld = w->e ? w->ld : LOGPROB_TILE_LD;

	for (size_t tile = from; tile < to; tile++) {
		size_t v = tile * LOGPROB_TILE, n = MIN(w->V - v, (size_t)LOGPROB_TILE);
		float *z = w->e ? w->e + v : logprob_tile(w, thread);
		logprob_logits(w, v, n, z, ld, thread);
		if (w->seen)
			w->seen(w->seen_ctx, range, v, n, z, ld);
		tile_exp(w, range, tile, tile == from, n, z, ld);
		logprob_tile_slope(w, n, z, ld, thread);
		logprob_tile_rows(w, range, tile == from, v, n, z, ld, thread);
	}
}

/* Σ e of a row from those of its tiles, which are of e = exp(z − top), brought to the largest. */
static double total(const struct kernels *k, const float *top, const float *sums, size_t tiles, float *max)
{
	double sum = 0;

	*max = k->max(top, tiles);
	for (size_t i = 0; i < tiles; i++)
		sum += (double)sums[i] * exp_of(k, top[i], *max);
	return sum;
}

/* own becomes logp: in the forward they are one array. */
static void finish_row(void *ctx, size_t row, int thread)
{
	const struct logprob *w = ctx;
	const float *top = w->top + row * w->tiles;
	float max;
	double weight, sum = total(w->r->kernels, top, w->sum + row * w->tiles, w->tiles, &max), z = max + log(sum);
	size_t begin, end = logprob_labels(w, row, &begin, &weight);

	for (size_t p = begin; p < end; p++)
		w->own[p] = (float)((double)w->own[p] - max - log(sum));
	weight *= 1 + 2 * w->z_loss * z;
	w->row_top[row] = max;
	w->row_scale[row] = (float)(weight / sum);
	if (w->stat) {
		w->stat[2 * (w->first + row)] = max;
		w->stat[2 * (w->first + row) + 1] = (float)sum;
	}
	logprob_row(w, row, begin, end, weight, thread);
}

static void forward_matrices(void *ctx, size_t tile, int thread)
{
	const struct logprob *w = ctx;
	size_t v = tile * LOGPROB_TILE, n = MIN(w->V - v, (size_t)LOGPROB_TILE);

	logprob_tile_matrices(w, v, n, w->e + v, w->ld, w->top + tile, w->tiles, thread);
}

void logprob_forward(struct logprob *w)
{
	w->logp = w->own;
	while (logprob_next(w)) {
		pool_run(w->r->pool, w->ranges, forward_range, w);
		pool_run(w->r->pool, w->rows, finish_row, w);
		if (w->e)
			pool_run(w->r->pool, w->tiles, forward_matrices, w);
	}
	if (w->b->n_targets == 0)
		logprob_zero(w);
}

static void sum_row(void *ctx, size_t row, int thread)
{
	const struct logprob *w = ctx;
	(void)thread;

	w->row_scale[row] = (float)total(w->r->kernels, w->top + row * w->tiles, w->sum + row * w->tiles, w->tiles,
	                                 &w->row_top[row]);
}

void logprob_sums(const struct logprob *w)
{
	struct logprob alone = *w;

	alone.bends = false;
	for (size_t i = 0; i < LOGPROB_FACTORS; i++)
		alone.factor[i].partial = NULL;
	pool_run(w->r->pool, w->ranges, forward_range, &alone);
	pool_run(w->r->pool, w->rows, sum_row, &alone);
}

/* The walk of forward_range and finish_row over logits that are there. */
float logprob_of_logits(const struct kernels *k, const float *z, size_t V, size_t token, float *room)
{
	struct logprob w = sizes_of(V);
	float *top = room, *sum = room + w.tiles, *e = sum + w.tiles, max;

	for (size_t range = 0; range < w.ranges; range++) {
		size_t from = w.tiles * range / w.ranges, to = w.tiles * (range + 1) / w.ranges;
		for (size_t tile = from; tile < to; tile++) {
			size_t v = tile * LOGPROB_TILE, n = MIN(V - v, (size_t)LOGPROB_TILE);
			float most = k->max(z + v, n);
			top[tile] = tile > from && !(most > top[tile - 1]) ? top[tile - 1] : most;
			k->exp_sum(e, z + v, top[tile], n, &sum[tile]);
		}
	}
	double all = total(k, top, sum, w.tiles, &max);
	return (float)((double)z[token] - max - log(all));
}

size_t logprob_room(size_t V) { return 2 * tiles_of(V) + LOGPROB_TILE; }

struct linear logprob_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i, float *cap)
{
	static const struct { int N; size_t V, C, r[2]; bool frozen, bias; float scale, cap;
	} cases[LOGPROB_SAMPLES] = {
		{ 1, 2, 3, { 0 }, false, false, 0 },      { 33, 67, 5, { 0 }, false, false, 0 },
		{ 96, 31, 9, { 0 }, true, false, 0 },     { 90, 41, 5, { 3 }, true, false, 0 },
		{ 21, 19, 4, { 6 }, false, false, 0 },    { 33, 67, 5, { 2 }, true, true, 0.5F },
		{ 40, 30, 6, { 0 }, false, true, 1.5F },
		{ 50, 40, 6, { 2, 3 }, true, true, 4, 1.5F }, { 40, 30, 6, { 0 }, false, true, 8, 2 },
	};
	size_t dim[2] = { cases[i].V, cases[i].C };

	batch_sample(b, rng, cases[i].N, (int)cases[i].V);
	size_t R = (size_t)b->n_targets;
	struct linear l = { .x = tape_param(t, "x", 2, (size_t[]){ R, cases[i].C }), .scale = cases[i].scale };
	l.w = cases[i].frozen ? tape_weight(t, "head", DTYPE_F32, 2, dim) : tape_param(t, "head", 2, dim);
	for (int k = 0; k < 2 && cases[i].r[k]; k++) {
		l.term[k].u = tape_param(t, "u", 2, (size_t[]){ R, cases[i].r[k] });
		l.term[k].up = tape_param(t, "up", 2, (size_t[]){ cases[i].V, cases[i].r[k] });
	}
	if (cases[i].bias)
		l.bias = tape_param(t, "bias", 1, dim);
	*cap = cases[i].cap;
	return l;
}
