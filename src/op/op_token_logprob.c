/* token_logprob: head and loss in one op: logp[p] = log softmax(W·x_r)[token_p] for every pair p of target row r.
 *
 *     x (R,C) target rows      W (V,C) any dtype      u (R,r), U (V,r) what an adapter adds, or none      logp (M)
 *     logits z = x·Wᵀ + u·Uᵀ, never more of them than a tile a thread, or, where the head is trained, a block of rows
 *
 * Rows go by blocks, a block's vocabulary by ranges, the items; a range by tiles of columns, which meet the nearest
 * caches three times: as logits, as e = exp(z − t) with t the largest yet, and as a factor of the gradient. Since w is
 * data the loss −Σ_p w_p·logp_p has its gradient while the tile is there, but for a factor of the row, which is known
 * when all ranges are:
 *
 *     P_r = Σ_{v of the range} e_rv·W_v, brought to a later tile's t by exp(t_old − t)
 *     m = max t; L_r = Σ exp(t − m)·Σ e; logp_p = (z_token − m) − log L        (in double, tiles and ranges in order)
 *     G_rv = d loss/d z_rv = (Σ_{p of r} w_p)·exp(z_rv − m)/L_r − Σ_{p of r, token_p = v} w_p
 *     dx_r = Σ_v G_rv·W_v = (Σ_p w_p)/L_r · Σ_ranges exp(t − m)·P_r − Σ_p w_p·W_token        (attention's way, with W
 * as keys and values) dW_v (+)= Σ_r G_rv·x_r, from the block's e, which are kept then        (only where the head is
 * trained) du_r, dU_v likewise from U and u
 *
 * In int8 arithmetic (W frozen; what an adapter adds stays f32) x is quantized in blocks of 32 along C, e along V, and
 * P = e·W is taken from a copy of Wᵀ in Q8_0. What matters most is exact: a pair's own logit is a dot product in f32,
 * and its token's share (p_token·Σ_p w_p − w_p)·W_token of dx is in f32 from W itself, its e being 0 in the product. A
 * token that is well learnt has p near 1, and p·W from a copy would not meet −W.
 *
 * 4·C·V FLOPs a row and 2·C·V more with dW, against 6·C·V if the logits were rebuilt in backward. So the gradients are
 * outputs of the forward node; backward only hands dx and du over, and what arrives from above is not asked for: this
 * op starts the gradient. Ranges, tiles and blocks follow from V and R alone. dW and dU add up block after block. */
#include "op/ops.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "kernel/gemm.h"
#include "op/batch_sample.h"
#include "op/run.h"
#include "quant/panels.h"

enum { BLOCK_ROWS = 266, ROW_GRAIN = 14, TILE = 512, RANGES = 16, ZERO_PIECE = 65536 };
enum { LINE = 16, SET_PERIOD = 1024 }; /* floats a cache line and until its set comes round again */
enum { IN_X, IN_W, IN_U, IN_UP, IN_WT, N_IN };
enum { OUT_LOGP, OUT_BLOCK, OUT_DX, OUT_DW, OUT_DU, OUT_DUP };

struct logprob_attr {
	bool add_dw, add_dup; /* are added to what is there */
	bool int8;
};

/* A factor of the logits: rows·matrixᵀ, and its gradients where they are wanted. */
struct factor {
	const float *rows;          /* R,k; NULL: there is none */
	struct matrix matrix;       /* V,k */
	float *d_rows, *d_matrix;
	float *partial;             /* P [RANGES][BLOCK_ROWS][k], with d_rows */
	bool add;                   /* to d_matrix */
};

struct logprob {
	const struct run *r;
	const struct batch *b;
	size_t V, tiles, ranges;
	size_t first, rows;         /* the block */
	float *e;                   /* the block's e, rows ld apart; NULL: a tile is forgotten when its range goes on */
	size_t ld;
	float *top, *sum;           /* t and Σ e [BLOCK_ROWS][tiles] */
	float *largest;             /* the last t of a range [BLOCK_ROWS][RANGES] */
	float *row_top, *row_scale; /* [BLOCK_ROWS] m and (Σ_p w_p)/L */
	float *logp;
	struct factor factor[2];    /* x and W, u and U */
	bool int8;
	const uint8_t *transposed;      /* Wᵀ [C][V] in panels of Q8_0; with d_rows in int8 */
	uint8_t *quantized;         /* x of the block [BLOCK_ROWS][q8_bytes(C)] */
};

/* --- what is kept of a block --- */

/* Rows a multiple of 4 KB apart would fall into one set of the nearest cache, which holds fewer lines than a micro-tile
 * has rows. */
static size_t padded(size_t n)
{
	return n % SET_PERIOD ? n : n + LINE;
}

static size_t tiles_of(size_t V)
{
	return (V + TILE - 1) / TILE;
}

static size_t q8_bytes(size_t n)
{
	return n / PANEL_BLOCK * KERNEL_Q8_BYTES;
}

/* Lays out, from `at` (NULL: only counts), the floats that a block needs; returns how many. quantized: columns of x, in
 * int8. */
static size_t lay_out(struct logprob *w, float *at, bool keep, const size_t partial[2], size_t quantized)
{
	float *q = NULL;
	size_t n = 0;
#define TAKE(p, count) ((p) = at ? at + n : NULL, n += (count))
	TAKE(w->top, BLOCK_ROWS * w->tiles);
	TAKE(w->sum, BLOCK_ROWS * w->tiles);
	TAKE(w->largest, BLOCK_ROWS * RANGES);
	TAKE(w->row_top, BLOCK_ROWS);
	TAKE(w->row_scale, BLOCK_ROWS);
	for (size_t i = 0; i < ARRAY_LEN(w->factor); i++)
		if (partial[i])
			TAKE(w->factor[i].partial, w->ranges * BLOCK_ROWS * partial[i]);
	if (keep)
		TAKE(w->e, BLOCK_ROWS * w->ld);
	if (quantized)
		TAKE(q, BLOCK_ROWS * q8_bytes(quantized) / sizeof(float));
#undef TAKE
	w->quantized = (uint8_t *)q;
	return n;
}

static struct logprob sizes_of(size_t V)
{
	return (struct logprob){
		.V = V, .tiles = tiles_of(V), .ranges = MIN(tiles_of(V), (size_t)RANGES), .ld = padded(V)
	};
}

static int check_adapter(const struct tape *t, const struct node *n, struct err *e)
{
	const struct tensor *x = tape_tensor(t, n->in[IN_X]), *head = tape_tensor(t, n->in[IN_W]);
	const struct tensor *u = tape_tensor(t, n->in[IN_U]), *up = tape_tensor(t, n->in[IN_UP]);

	if (u->n_dims != 2 || up->n_dims != 2 || u->dim[0] != x->dim[0] || up->dim[0] != head->dim[0] ||
	    u->dim[1] != up->dim[1])
		return err_set(e, "%s (%zu×%zu) and %s (%zu×%zu) do not add to %s", u->name, u->dim[0], u->dim[1],
		               up->name, up->dim[0], up->dim[1], head->name);
	return 0;
}

static int check_int8(const struct tape *t, const struct node *n, struct err *e)
{
	const struct tensor *head = tape_tensor(t, n->in[IN_W]), *transposed = tape_tensor(t, n->in[IN_WT]);

	if (!head->panels || !panels_int8(head->dtype) || head->dim[1] % PANEL_BLOCK || tape_wants(t, n->in[IN_W]))
		return err_set(e, "%s: int8 arithmetic wants a frozen head in panels, its rows of blocks of %d",
		               head->name, PANEL_BLOCK);
	if (tape_wants(t, n->in[IN_X]) &&
	    (!n->in[IN_WT] || !transposed->panels || transposed->dtype != DTYPE_Q8_0 ||
	     transposed->dim[0] != head->dim[1] || transposed->dim[1] != head->dim[0] || head->dim[0] % PANEL_BLOCK))
		return err_set(e, "%s: its gradient in int8 wants its transpose in panels of Q8_0", head->name);
	return 0;
}

static int logprob_shape(struct tape *t, struct node *n, struct err *e)
{
	struct tensor x = *tape_tensor(t, n->in[IN_X]), head = *tape_tensor(t, n->in[IN_W]);
	struct logprob_attr *attr = (struct logprob_attr *)n->attr; /* the tape's copy, ours to complete */
	struct logprob w = sizes_of(head.dim[0]);
	size_t partial[2] = { 0 };

	if (x.n_dims != 2 || head.n_dims != 2 || x.dim[1] != head.dim[1])
		return err_set(e, "%s has rows of %zu, the head %s of %zu", x.name, x.dim[x.n_dims - 1], head.name,
		               head.dim[head.n_dims - 1]);
	if ((n->in[IN_U] && check_adapter(t, n, e) < 0) || (attr->int8 && check_int8(t, n, e) < 0))
		return -1;
	tape_output(t, n, OUT_LOGP, "logprob", AXIS_LABELS, 1, (size_t[]){ (size_t)t->cap.labels });
	if (tape_wants(t, n->in[IN_X])) {
		partial[0] = x.dim[1];
		tape_output(t, n, OUT_DX, "d_targets", x.axis, 2, x.dim);
	}
	if (tape_wants(t, n->in[IN_W]))
		n->out[OUT_DW] = tape_grad_target(t, n->in[IN_W], &attr->add_dw);
	if (tape_wants(t, n->in[IN_U])) {
		struct tensor u = *tape_tensor(t, n->in[IN_U]);
		partial[1] = u.dim[1];
		tape_output(t, n, OUT_DU, "d_targets_low", u.axis, 2, u.dim);
	}
	if (tape_wants(t, n->in[IN_UP]))
		n->out[OUT_DUP] = tape_grad_target(t, n->in[IN_UP], &attr->add_dup);
	tape_scratch(t, n, OUT_BLOCK, "logits",
	             lay_out(&w, NULL, n->out[OUT_DW] || n->out[OUT_DUP], partial, attr->int8 ? x.dim[1] : 0));
	return 0;
}

/* A product's own, and a tile; in int8 a row of W, the tile's e quantized and what a panel of Wᵀ adds. */
static size_t logprob_scratch(const struct tape *t, const struct node *n, const struct kernels *k)
{
	size_t cols = tape_tensor(t, n->in[IN_W])->dim[1],
	       row = MAX(cols, (size_t)BLOCK_ROWS * (TILE + LINE)) * sizeof(float);
	bool int8 = ((const struct logprob_attr *)n->attr)->int8;

	return gemm_scratch_bytes(k) + row +
	       (int8 ? MAX(cols * sizeof(float), BLOCK_ROWS * (q8_bytes(TILE) + PANEL_ROWS * sizeof(float))) : 0);
}

static float *thread_tile(const struct logprob *w, int thread)
{
	return (float *)((char *)run_scratch(w->r, thread) + gemm_scratch_bytes(w->r->kernels));
}

/* Where logprob_scratch has what int8 needs besides. */
static float *thread_more(const struct logprob *w, int thread)
{
	return thread_tile(w, thread) + MAX(w->factor[0].matrix.cols, (size_t)BLOCK_ROWS * (TILE + LINE));
}

/* The first pair of target row `target`. */
static size_t pair_from(const struct batch *b, size_t target)
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

/* --- a range of the vocabulary: all but the rows' own factors --- */

/* Rows v … v+n−1 of a matrix; v is a multiple of TILE. */
static struct matrix some_rows(struct matrix m, size_t v, size_t n)
{
	m.data = (const char *)m.data + (m.panel_bytes ? v / PANEL_ROWS * m.panel_bytes : v * m.row_bytes);
	m.rows = n;
	return m;
}

/* z (+)= the products of factors from … on */
static void tile_logits(const struct logprob *w, size_t from, size_t v, size_t n, float *z, size_t ld, int thread)
{
	struct gemm g = { .m = w->rows, .n = n, .c = z, .ldc = ld, .accumulate = from > 0 };

	for (size_t i = from; i < ARRAY_LEN(w->factor) && w->factor[i].rows; i++) {
		const struct factor *f = &w->factor[i];
		size_t k = f->matrix.cols;
		g.term[g.n_terms++] = (struct gemm_term){ .a = f->rows + w->first * k,
			                                  .a_row = k,
			                                  .a_col = 1,
			                                  .b = some_rows(f->matrix, v, n),
			                                  .transposed = true,
			                                  .k = k,
			                                  .scale = 1 };
	}
	if (g.n_terms)
		gemm_serial(w->r->kernels, &g, run_scratch(w->r, thread));
}

static void tile_logits_int8(const struct logprob *w, size_t v, size_t n, float *z, size_t ld, int thread)
{
	const struct matrix *m = &w->factor[0].matrix;

	for (size_t j = 0; j < n; j += PANEL_ROWS)
		w->r->kernels->q8_tile(m->dtype, w->rows, MIN(n - j, (size_t)PANEL_ROWS), m->cols, w->quantized,
		                       q8_bytes(m->cols),
		                       (const uint8_t *)m->data + (v + j) / PANEL_ROWS * m->panel_bytes, z + j, ld);
	tile_logits(w, 1, v, n, z, ld, thread);
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

	for (size_t i = 0; i < ARRAY_LEN(w->factor) && w->factor[i].rows; i++) {
		const struct factor *f = &w->factor[i];
		matrix_row(&f->matrix, token, scratch);
		z += w->r->kernels->dot(f->rows + target * f->matrix.cols, scratch, f->matrix.cols);
	}
	return z;
}

/* The logits of the pairs' tokens, where this tile has them; in int8 they are made exact first. */
static void tile_pairs(const struct logprob *w, size_t v, size_t n, float *z, size_t ld, float *scratch)
{
	const struct batch *b = w->b;
	size_t target;

	for (size_t p = pair_from(b, w->first);
	     p < (size_t)b->n_labels && (target = (size_t)b->label_target[p]) < w->first + w->rows; p++) {
		size_t token = (size_t)b->label_token[p];
		if (token >= w->V)
			BUG("pair %zu predicts token %d of %zu", p, b->label_token[p], w->V);
		if (token < v || token >= v + n)
			continue;
		float *own = &z[(target - w->first) * ld + token - v];
		if (w->int8)
			*own = exact_logit(w, target, token, scratch);
		w->logp[p] = *own;
	}
}

/* exp(x − max) */
static float exp_below(const struct kernels *k, float x, float max)
{
	float y, sum;

	k->exp_sum(&y, &x, max, 1, &sum);
	return y;
}

/* Logits become e; what the range has summed of a row is brought to the row's new t. */
static void tile_exp(const struct logprob *w, size_t range, size_t tile, bool begins, size_t n, float *z, size_t ld)
{
	const struct kernels *k = w->r->kernels;

	for (size_t i = 0; i < w->rows; i++) {
		float *largest = &w->largest[i * RANGES + range], most = k->max(z + i * ld, n), old = *largest;
		if (!begins && !(most > old))
			most = old;
		k->exp_sum(z + i * ld, z + i * ld, most, n, &w->sum[i * w->tiles + tile]);
		w->top[i * w->tiles + tile] = *largest = most;
		if (begins || most == old)
			continue;
		for (size_t j = 0; j < ARRAY_LEN(w->factor); j++) {
			const struct factor *f = &w->factor[j];
			float *partial = f->partial + (range * BLOCK_ROWS + i) * f->matrix.cols;
			if (f->partial)
				k->scale(partial, partial, exp_below(k, old, most), f->matrix.cols);
		}
	}
}

/* P (+)= e·W */
static void tile_gradient(const struct logprob *w, const struct factor *f, size_t range, bool begins, size_t v,
                          size_t n, const float *e, size_t ld, int thread)
{
	size_t k = f->matrix.cols;
	struct gemm g = { .m = w->rows,
		          .n = k,
		          .n_terms = 1,
		          .c = f->partial + range * BLOCK_ROWS * k,
		          .ldc = k,
		          .accumulate = !begins };

	g.term[0] = (struct gemm_term){
		.a = e, .a_row = ld, .a_col = 1, .b = some_rows(f->matrix, v, n), .k = n, .scale = 1
	};
	gemm_serial(w->r->kernels, &g, run_scratch(w->r, thread));
}

/* e of the pairs' tokens, whose share of the gradient is taken apart in int8: 0, or what it was, from their logits. */
static void tile_own(const struct logprob *w, size_t range, size_t v, size_t n, float *e, size_t ld, bool back)
{
	const struct batch *b = w->b;
	size_t target;

	for (size_t p = pair_from(b, w->first);
	     p < (size_t)b->n_labels && (target = (size_t)b->label_target[p]) < w->first + w->rows; p++) {
		size_t token = (size_t)b->label_token[p], row = target - w->first;
		if (token >= v && token < v + n)
			e[row * ld + token - v] =
				back ? exp_below(w->r->kernels, w->logp[p], w->largest[row * RANGES + range]) : 0;
	}
}

/* The same in int8, from Wᵀ: of each of its panels the blocks of these columns. */
static void tile_gradient_int8(const struct logprob *w, size_t range, bool begins, size_t v, size_t n, float *e,
                               size_t ld, float *more)
{
	const struct kernels *k = w->r->kernels;
	const struct factor *f = &w->factor[0];
	size_t cols = f->matrix.cols, row_bytes = q8_bytes(n);
	float *partial = f->partial + range * BLOCK_ROWS * cols, *sum = more;
	uint8_t *q = (uint8_t *)(sum + (size_t)BLOCK_ROWS * PANEL_ROWS);

	tile_own(w, range, v, n, e, ld, false);
	for (size_t i = 0; i < w->rows; i++)
		k->q8_row(e + i * ld, n, q + i * row_bytes);
	tile_own(w, range, v, n, e, ld, true);
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

static void range_run(void *ctx, size_t range, int thread)
{
	const struct logprob *w = ctx;
	size_t from = w->tiles * range / w->ranges, to = w->tiles * (range + 1) / w->ranges,
	       ld = w->e ? w->ld : TILE + LINE;

	for (size_t tile = from; tile < to; tile++) {
		size_t v = tile * TILE, n = MIN(w->V - v, (size_t)TILE);
		float *z = w->e ? w->e + v : thread_tile(w, thread);
		if (w->int8)
			tile_logits_int8(w, v, n, z, ld, thread);
		else
			tile_logits(w, 0, v, n, z, ld, thread);
		tile_pairs(w, v, n, z, ld, thread_more(w, thread));
		tile_exp(w, range, tile, tile == from, n, z, ld);
		for (size_t i = 0; i < ARRAY_LEN(w->factor); i++)
			if (w->factor[i].partial && w->int8 && i == 0)
				tile_gradient_int8(w, range, tile == from, v, n, z, ld, thread_more(w, thread));
			else if (w->factor[i].partial)
				tile_gradient(w, &w->factor[i], range, tile == from, v, n, z, ld, thread);
	}
}

/* --- a row, when all ranges are there --- */

static void quantize_row(void *ctx, size_t row, int thread)
{
	const struct logprob *w = ctx;
	size_t cols = w->factor[0].matrix.cols;
	(void)thread;

	w->r->kernels->q8_row(w->factor[0].rows + (w->first + row) * cols, cols, w->quantized + row * q8_bytes(cols));
}

/* What a row's gradient has of its token's row of the matrix besides the product: −w_p; where e was taken out,
 * p_token·Σ w too, once for each token. */
static float own_share(const struct logprob *w, size_t p, size_t begin, double weight, bool taken_out)
{
	const struct batch *b = w->b;
	bool first = true;

	for (size_t other = begin; other < p; other++)
		first &= b->label_token[other] != b->label_token[p];
	return (float)((taken_out && first ? weight * exp((double)w->logp[p]) : 0) - b->label_weight[p]);
}

static void row_gradient(const struct logprob *w, const struct factor *f, size_t row, size_t begin, size_t end,
                         double weight, float *scratch)
{
	const struct kernels *k = w->r->kernels;
	size_t cols = f->matrix.cols;
	float *d = f->d_rows + (w->first + row) * cols;

	for (size_t i = 0; i < w->ranges; i++) {
		float scale = w->row_scale[row] * exp_below(k, w->largest[row * RANGES + i], w->row_top[row]);
		const float *partial = f->partial + (i * BLOCK_ROWS + row) * cols;
		if (i)
			k->axpy(d, scale, partial, cols);
		else
			k->scale(d, partial, scale, cols);
	}
	for (size_t p = begin; p < end; p++) {
		matrix_row(&f->matrix, (size_t)w->b->label_token[p], scratch);
		k->axpy(d, own_share(w, p, begin, weight, w->int8 && f == &w->factor[0]), scratch, cols);
	}
}

static void row_finish(void *ctx, size_t row, int thread)
{
	const struct logprob *w = ctx;
	const struct batch *b = w->b;
	const float *top = w->top + row * w->tiles;
	size_t begin = pair_from(b, w->first + row), end = begin;
	float max = w->r->kernels->max(top, w->tiles);
	double sum = 0, weight = 0;

	for (size_t i = 0; i < w->tiles; i++)
		sum += (double)w->sum[row * w->tiles + i] * exp_below(w->r->kernels, top[i], max);
	for (; end < (size_t)b->n_labels && (size_t)b->label_target[end] == w->first + row; end++) {
		w->logp[end] = (float)((double)w->logp[end] - max - log(sum));
		weight += b->label_weight[end];
	}
	w->row_top[row] = max;
	w->row_scale[row] = (float)(weight / sum);
	for (size_t i = 0; i < ARRAY_LEN(w->factor); i++)
		if (w->factor[i].partial)
			row_gradient(w, &w->factor[i], row, begin, end, weight, thread_tile(w, thread));
}

/* --- a tile of the block, for the matrices' gradients --- */

/* e becomes G. */
static void tile_weigh(const struct logprob *w, size_t tile, size_t v, size_t n)
{
	const struct kernels *k = w->r->kernels;
	const struct batch *b = w->b;
	size_t target;

	for (size_t i = 0; i < w->rows; i++) {
		float *z = w->e + i * w->ld + v;
		k->scale(z, z, w->row_scale[i] * exp_below(k, w->top[i * w->tiles + tile], w->row_top[i]), n);
	}
	for (size_t p = pair_from(b, w->first);
	     p < (size_t)b->n_labels && (target = (size_t)b->label_target[p]) < w->first + w->rows; p++) {
		size_t token = (size_t)b->label_token[p];
		if (token >= v && token < v + n)
			w->e[(target - w->first) * w->ld + token] -= b->label_weight[p];
	}
}

static void tile_matrix(void *ctx, size_t tile, int thread)
{
	const struct logprob *w = ctx;
	size_t v = tile * TILE, n = MIN(w->V - v, (size_t)TILE);

	tile_weigh(w, tile, v, n);
	for (size_t i = 0; i < ARRAY_LEN(w->factor); i++) {
		const struct factor *f = &w->factor[i];
		size_t k = f->matrix.cols;
		if (!f->d_matrix)
			continue;
		struct gemm g = { .m = n,
			          .n = k,
			          .n_terms = 1,
			          .c = f->d_matrix + v * k,
			          .ldc = k,
			          .accumulate = f->add || w->first > 0 };
		struct matrix rows = { .dtype = DTYPE_F32,
			               .data = f->rows + w->first * k,
			               .rows = w->rows,
			               .cols = k,
			               .row_bytes = k * sizeof(float) };
		g.term[0] = (struct gemm_term){
			.a = w->e + v, .a_row = 1, .a_col = w->ld, .b = rows, .k = w->rows, .scale = 1
		};
		gemm_serial(w->r->kernels, &g, run_scratch(w->r, thread));
	}
}

/* --- the whole --- */

static void zero_piece(void *ctx, size_t item, int thread)
{
	const struct factor *f = ctx;
	size_t begin = item * ZERO_PIECE, n = MIN(f->matrix.rows * f->matrix.cols - begin, (size_t)ZERO_PIECE);
	(void)thread;
	memset(f->d_matrix + begin, 0, n * sizeof(float));
}

static struct factor factor_of(const struct run *r, const struct node *n, int in, int out, bool add)
{
	if (!n->in[in])
		return (struct factor){ 0 };
	const struct tensor *matrix = run_tensor(r, n->in[in + 1]);
	return (struct factor){
		.rows = run_f32(r, n->in[in]),
		.d_rows = run_f32(r, n->out[out]),
		.d_matrix = run_f32(r, n->out[out + 1]),
		.add = add,
		.matrix = { .dtype = matrix->dtype,
		            .data = r->data[n->in[in + 1]],
		            .rows = matrix->dim[0],
		            .cols = matrix->dim[1],
		            .row_bytes = tensor_row_bytes(matrix),
		            .panel_bytes = matrix->panels ? panel_bytes(matrix->dtype, matrix->dim[1]) : 0 },
	};
}

static struct logprob logprob_of(struct run *r, const struct node *n)
{
	const struct logprob_attr *attr = n->attr;
	struct logprob w = sizes_of(run_tensor(r, n->in[IN_W])->dim[0]);

	w.r = r;
	w.b = r->batch;
	w.logp = run_f32(r, n->out[OUT_LOGP]);
	w.factor[0] = factor_of(r, n, IN_X, OUT_DX, attr->add_dw);
	w.factor[1] = factor_of(r, n, IN_U, OUT_DU, attr->add_dup);
	w.int8 = attr->int8;
	w.transposed = n->in[IN_WT] ? r->data[n->in[IN_WT]] : NULL;
	lay_out(&w, run_f32(r, n->out[OUT_BLOCK]), w.factor[0].d_matrix || w.factor[1].d_matrix,
	        (size_t[]){ w.factor[0].d_rows ? w.factor[0].matrix.cols : 0,
	                    w.factor[1].d_rows ? w.factor[1].matrix.cols : 0 },
	        w.int8 ? w.factor[0].matrix.cols : 0);
	return w;
}

/* Blocks of equal size, of whole micro-tiles. */
static size_t block_rows(size_t R)
{
	size_t blocks = (R + BLOCK_ROWS - 1) / BLOCK_ROWS;

	return MIN(ROUND_UP((R + blocks - 1) / blocks, (size_t)ROW_GRAIN), (size_t)BLOCK_ROWS);
}

static void logprob_forward(struct run *r, const struct node *n)
{
	struct logprob w = logprob_of(r, n);
	size_t R = (size_t)w.b->n_targets;

	for (; w.first < R; w.first += w.rows) {
		w.rows = MIN(R - w.first, block_rows(R));
		if (w.int8)
			pool_run(r->pool, w.rows, quantize_row, &w);
		pool_run(r->pool, w.ranges, range_run, &w);
		pool_run(r->pool, w.rows, row_finish, &w);
		if (w.e)
			pool_run(r->pool, w.tiles, tile_matrix, &w);
	}
	for (size_t i = 0; i < ARRAY_LEN(w.factor) && R == 0; i++) /* the first writer stores, also nothing */
		if (w.factor[i].d_matrix && !w.factor[i].add)
			pool_run(r->pool, (w.V * w.factor[i].matrix.cols + ZERO_PIECE - 1) / ZERO_PIECE, zero_piece,
			         &w.factor[i]);
}

/* Of one factor. */
static void factor_cost(const struct tape *t, const struct node *n, int in, int out, const struct live *live,
                        double *flops, double *bytes)
{
	const struct tensor *matrix = tape_tensor(t, n->in[in + 1]);
	double products = 1 + (n->out[out] != TENSOR_NONE) + (n->out[out + 1] != TENSOR_NONE);
	double V = (double)matrix->dim[0], k = (double)matrix->dim[1];
	double stored = V * k / dtypes[matrix->dtype].block * dtypes[matrix->dtype].bytes;

	*flops += 2 * products * live->targets * V * k;
	*bytes += ceil(live->targets / BLOCK_ROWS) * products * stored + 8 * live->targets * k;
	if (n->out[out + 1])
		*bytes += 12 * live->targets * V;
}

static void logprob_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                         double *bytes)
{
	*flops = *bytes = 0;
	factor_cost(t, n, IN_X, OUT_DX, live, flops, bytes);
	if (n->in[IN_U])
		factor_cost(t, n, IN_U, OUT_DU, live, flops, bytes);
}

static void logprob_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];
	if (n.out[OUT_DX])
		tape_grad_pass(t, n.in[IN_X], n.out[OUT_DX]);
	if (n.out[OUT_DU])
		tape_grad_pass(t, n.in[IN_U], n.out[OUT_DU]);
}

/* What an adapter adds is never done in int8. */
static double logprob_in_f32(const struct tape *t, const struct node *n, const struct live *live)
{
	double flops = 0, bytes = 0;

	if (n->in[IN_U])
		factor_cost(t, n, IN_U, OUT_DU, live, &flops, &bytes);
	return flops;
}

static bool logprob_int8(const struct node *n) { return ((const struct logprob_attr *)n->attr)->int8; }

static uint32_t logprob_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t V, C, r; bool frozen;
	} cases[] = {
		{ 1, 2, 3, 0, false },  { 33, 67, 5, 0, false }, { 96, 31, 9, 0, true },
		{ 90, 41, 5, 3, true }, { 21, 19, 4, 6, false },
	};
	size_t dim[2] = { cases[i].V, cases[i].C };

	batch_sample(b, rng, cases[i].N, (int)cases[i].V);
	size_t R = (size_t)b->n_targets;
	struct linear l = { .x = tape_param(t, "x", 2, (size_t[]){ R, cases[i].C }) };
	l.w = cases[i].frozen ? tape_weight(t, "head", DTYPE_F32, 2, dim) : tape_param(t, "head", 2, dim);
	if (cases[i].r) {
		l.u = tape_param(t, "u", 2, (size_t[]){ R, cases[i].r });
		l.up = tape_param(t, "up", 2, (size_t[]){ cases[i].V, cases[i].r });
	}
	return op_token_logprob(t, &l);
}

const struct op op_row_token_logprob = {
	.name = "token_logprob",
	.shape = logprob_shape,
	.cost = logprob_cost,
	.forward = logprob_forward,
	.backward = logprob_backward,
	.saves = 1U << (8 + OUT_DX) | 1U << (8 + OUT_DU),
	.starts_gradient = true,
	.scratch = logprob_scratch,
	.int8 = logprob_int8,
	.in_f32 = logprob_in_f32,
	.sample = logprob_sample,
	.sample_count = 5,
};

uint32_t op_token_logprob(struct tape *t, const struct linear *l)
{
	struct logprob_attr attr = { .int8 = l->int8 };

	if (!t->err.msg[0] && (l->bias || l->residual || (l->scale != 0 && l->scale != 1)))
		err_set(&t->err, "token_logprob: the head %s has a %s, which is not computed here",
		        tape_tensor(t, l->w)->name, l->bias ? "bias" : l->residual ? "residual" : "scale");
	return tape_record(t, &op_row_token_logprob, (uint32_t[N_IN]){ l->x, l->w, l->u, l->up, l->wt }, N_IN, &attr,
	                   sizeof(attr));
}
