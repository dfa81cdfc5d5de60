/* optimizer_muon: Muon (Jordan and others 2024): a matrix moves along its momentum made orthogonal. Hidden matrices,
 * LoRA's factors among them, are taken whole; embeddings, the head and vectors follow AdamW.
 *
 *     B ← B + (1 − μ)(g − B)      U = g + μ(B − g)  (Nesterov)      X₀ = U / max(‖U‖, 1e-7)
 *     X ← a·X + (b·A + c·A²)·X,  A = X·Xᵀ
 *     five times (Newton–Schulz: the singular values go to about 1)
 *     w ← w·(1 − lr·λ) − lr·s·X
 *
 * a, b, c = 3.4445, −4.7750, 2.0315, in f32, as torch.optim.Muon but for its bfloat16. Where a matrix has more rows
 * than columns, A = Xᵀ·X stands at the right. s is --muon-scale, by torch's names for it:
 *
 *     match_rms_adamw   0.2·√max(rows, columns): as large a change as AdamW's, so AdamW's rates and decays serve
 *                       (Liu and others 2025, Moonlight)
 *     original          √max(1, rows/columns): rates are about 0.02 then
 *
 * --normuon evens out the rows of X, the neurons, by a second moment of each (Li and others 2025, NorMuon); X keeps its
 * norm, as their program has it, or by match_rms_adamw gets that of the paper, 0.2·√(rows·columns):
 *
 *     v ← v + (1 − β₂)(mean of a row's X² − v)      X ← X/(√v + 1e-10), by rows
 *     s·X ← s·X·‖X before‖/‖X‖
 *
 * Cautious decay is of numbers whose X and w have X·w ≥ 0.
 *
 * The product that joins a, b and c is made once a turn: M = a·I + b·A + c·A², X ← M·X. */
#include "train/optimizer.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "kernel/gemm.h"

enum { TURNS = 5 };

struct options {
	const char *scale;
	double momentum, adamw_learning_rate, normuon_beta2;
	bool normuon;
	struct adamw_options adamw;
};

static const struct opt opts[] = {
	OPT_CHOICE("muon-scale", struct options, scale, "match_rms_adamw", "match_rms_adamw|original",
	           "how far a matrix moves: as far as by AdamW, or by its shape alone (rates of about 0.02)"),
	OPT_FLOAT("muon-momentum", struct options, momentum, "0.95", 0, 0.9999999, "of matrices"),
	OPT_FLOAT("muon-adamw-learning-rate", struct options, adamw_learning_rate, NULL, 0, 1e3,
	          "of what is not a hidden matrix, and follows AdamW (default: --learning-rate)"),
	OPT_FLAG("normuon", struct options, normuon, "false",
	         "NorMuon: rows of a matrix, its neurons, move evenly, by a second moment of each"),
	OPT_FLOAT("normuon-beta2", struct options, normuon_beta2, "0.95", 0, 0.9999999, "how slowly that follows"),
	ADAMW_OPTS(struct options, adamw),
	OPT_END
};

static bool whole(const struct param *p) { return p->role == PARAM_MATRIX && p->n_dims == 2; }
static size_t rank_of(const struct param *p) { return MIN(p->dim[0], p->dim[1]); }

static int state(const struct param *p, const void *options, struct optim_tensor *out)
{
	if (!whole(p))
		return adamw_state(p, options, out);
	out[0] = optim_tensor_like(p, "momentum");
	out[1] = (struct optim_tensor){ .name = "second", .dtype = DTYPE_F32, .n_dims = 1, .dim = { p->dim[0] } };
	return ((const struct options *)options)->normuon ? 2 : 1;
}

/* --- a matrix --- */

/* x and y are of the matrix's shape, gram and turn square of its smaller dimension. */
struct work {
	const struct optim_update *u;
	float *x, *y, *gram, *turn;
	float shrink, step;
	bool cautious;
};

static struct work work_of(const struct optim_update *u)
{
	size_t n = ROUND_UP(u->param->n, (size_t)16), m = rank_of(u->param);
	float *x = u->scratch;
	return (struct work){ .u = u, .x = x, .y = x + n, .gram = x + 2 * n,
		              .turn = x + 2 * n + ROUND_UP(m * m, (size_t)16) };
}

static size_t scratch(const struct param *p, const void *options)
{
	(void)options;
	size_t m = rank_of(p);
	return 2 * sizeof(float) * (ROUND_UP(p->n, (size_t)16) + ROUND_UP(m * m, (size_t)16));
}

static void run_pieces(struct work *w, void (*fn)(void *ctx, size_t item, int thread))
{
	pool_run(w->u->pool, (w->u->param->n + OPTIM_PIECE - 1) / OPTIM_PIECE, fn, w);
}

/* The momentum follows the gradient, and x is where it points to. */
static void take_gradient(void *ctx, size_t item, int thread)
{
	const struct work *w = ctx;
	const struct options *o = w->u->settings->options;
	float *momentum = w->u->state[0], scale = (float)w->u->g_scale, rest = (float)(1 - o->momentum);
	size_t end = MIN((item + 1) * OPTIM_PIECE, w->u->param->n);

	(void)thread;
	for (size_t i = item * OPTIM_PIECE; i < end; i++) {
		float g = w->u->g[i] * scale, b = momentum[i] + rest * (g - momentum[i]);
		momentum[i] = b;
		w->x[i] = b - (b - g) * rest;
	}
}

static void give_update(void *ctx, size_t item, int thread)
{
	const struct work *w = ctx;
	size_t end = MIN((item + 1) * OPTIM_PIECE, w->u->param->n);

	(void)thread;
	for (size_t i = item * OPTIM_PIECE; i < end; i++) {
		float x = w->u->w[i], kept = w->cautious && x * w->x[i] < 0 ? x : x * w->shrink;
		w->u->w[i] = kept - w->step * w->x[i];
	}
}

static struct matrix matrix_of(const float *x, size_t rows, size_t cols)
{
	return (struct matrix){ .dtype = DTYPE_F32, .data = x, .rows = rows, .cols = cols,
		                .row_bytes = cols * sizeof(float) };
}

/* c (m × n) = scale · a · b, or is added to. */
static void product(const struct work *w, float *c, size_t m, size_t n, const struct gemm_term *term, bool add)
{
	struct gemm g = { .m = m, .n = n, .term = { *term }, .n_terms = 1, .c = c, .ldc = n, .accumulate = add,
		          .free = true };
	gemm_run(w->u->kernels, w->u->pool, &g, w->u->gemm_scratch);
}

/* gram = x·xᵀ of the smaller dimension. */
static void make_gram(const struct work *w, size_t rows, size_t cols)
{
	bool tall = rows > cols;
	product(w, w->gram, MIN(rows, cols), MIN(rows, cols),
	        &(struct gemm_term){ .a = w->x, .a_row = tall ? 1 : cols, .a_col = tall ? cols : 1,
	                             .b = matrix_of(w->x, rows, cols), .transposed = !tall, .k = MAX(rows, cols),
	                             .scale = 1 },
	        false);
}

/* turn = a·1 + b·gram + c·gram² */
static void make_turn(const struct work *w, size_t m)
{
	w->u->kernels->scale(w->turn, w->gram, -4.7750f, m * m);
	for (size_t i = 0; i < m; i++)
		w->turn[i * m + i] += 3.4445f;
	product(w, w->turn, m, m,
	        &(struct gemm_term){ .a = w->gram, .a_row = m, .a_col = 1, .b = matrix_of(w->gram, m, m), .k = m,
	                             .scale = 2.0315f },
	        true);
}

/* x becomes turn·x, or x·turn where x is tall. */
static void apply_turn(struct work *w, size_t rows, size_t cols)
{
	size_t m = MIN(rows, cols);
	float *y = w->y;
	struct gemm_term left = { .a = w->turn, .a_row = m, .a_col = 1, .b = matrix_of(w->x, rows, cols), .k = m,
		                  .scale = 1 };
	struct gemm_term right = { .a = w->x, .a_row = cols, .a_col = 1, .b = matrix_of(w->turn, m, m), .k = m,
		                   .scale = 1 };
	product(w, y, rows, cols, rows > cols ? &right : &left, false);
	w->y = w->x;
	w->x = y;
}

/* --- NorMuon; y is free by now --- */

static size_t rows_an_item(const struct param *p) { return MAX((size_t)OPTIM_PIECE / p->dim[1], (size_t)1); }

/* The rows of an item, by their second moment; their mean squares, as they were, into y. */
static void even_rows(void *ctx, size_t item, int thread)
{
	const struct work *w = ctx;
	const struct options *o = w->u->settings->options;
	const struct param *p = w->u->param;
	size_t some = rows_an_item(p), cols = p->dim[1], end = MIN((item + 1) * some, p->dim[0]);
	float *second = w->u->state[1], rest = (float)(1 - o->normuon_beta2);

	(void)thread;
	for (size_t row = item * some; row < end; row++) {
		float *x = w->x + row * cols, mean = (float)(w->u->kernels->sum_squares(x, cols) / (double)cols);
		second[row] += rest * (mean - second[row]);
		w->u->kernels->scale(x, x, 1 / (sqrtf(second[row]) + 1e-10f), cols);
		w->y[row] = mean;
	}
}

/* What X is to be multiplied by besides the learning rate, where `scale` is what it is without. */
static double even_out(struct work *w, bool original, double scale)
{
	const struct param *p = w->u->param;
	const float *second = w->u->state[1];
	size_t some = rows_an_item(p);
	double before = 0, after = 0;

	pool_run(w->u->pool, (p->dim[0] + some - 1) / some, even_rows, w);
	for (size_t row = 0; row < p->dim[0]; row++) {
		double by = sqrt((double)second[row]) + 1e-10;
		before += w->y[row];
		after += w->y[row] / (by * by);
	}
	before = sqrt(before * (double)p->dim[1]);
	after = sqrt(after * (double)p->dim[1]) + 1e-10;
	return (original ? scale * before : 0.2 * sqrt((double)p->n)) / after;
}

static void update_matrix(const struct optim_update *u)
{
	const struct options *o = u->settings->options;
	struct work w = work_of(u);
	size_t rows = u->param->dim[0], cols = u->param->dim[1], n = u->param->n;
	bool original = !strcmp(o->scale, "original");
	double scale = original ? sqrt(MAX(1.0, (double)rows / (double)cols)) : 0.2 * sqrt((double)MAX(rows, cols));

	run_pieces(&w, take_gradient);
	u->kernels->scale(w.x, w.x, (float)(1 / MAX(sqrt(u->kernels->sum_squares(w.x, n)), 1e-7)), n);
	for (int turn = 0; turn < TURNS; turn++) {
		make_gram(&w, rows, cols);
		make_turn(&w, MIN(rows, cols));
		apply_turn(&w, rows, cols);
	}
	if (o->normuon)
		scale = even_out(&w, original, scale);
	w.cautious = o->adamw.cautious;
	w.shrink = (float)(1 - u->rate * u->decay);
	w.step = (float)(u->rate * scale);
	run_pieces(&w, give_update);
}

/* --- the row --- */

static void update(const struct optim_update *u, size_t at, size_t n)
{
	const struct options *o = u->settings->options;
	double peak = u->settings->learning_rate;

	if (whole(u->param)) {
		update_matrix(u);
		return;
	}
	double factor = isnan(o->adamw_learning_rate) || !(peak > 0) ? 1 : o->adamw_learning_rate / peak;
	struct adamw_step s = adamw_scalars(u, &o->adamw, u->rate * factor);
	adamw_update(u->kernels, &o->adamw, &s, u->w + at, u->g + at, (float *)u->state[0] + at,
	             (float *)u->state[1] + at, n);
}

/* Each turn reads x twice and writes it, and passes over four squares; evening out reads it once more and writes it. */
static struct optim_cost cost(const struct param *p, const void *options)
{
	double n = (double)p->n, m = (double)rank_of(p), even = ((const struct options *)options)->normuon;
	if (!whole(p))
		return adamw_cost(p, options);
	return (struct optim_cost){ .flops = TURNS * (4 * m * n + 2 * m * m * m) + (14 + 3 * even) * n,
		                    .bytes = sizeof(float) * (TURNS * (3 * n + 4 * m * m) + (9 + 2 * even) * n) };
}

/* ‖U‖ of 1e-7 in a matrix of a million numbers. */
static double least(const void *options) { (void)options; return 1e-10; }

const struct optimizer optimizer_muon = {
	.name = "muon",
	.summary = "hidden matrices by their momentum made orthogonal, the rest by AdamW",
	.rate = 1,
	.least = least,
	.opts = opts,
	.options_size = sizeof(struct options),
	.state = state,
	.whole = whole,
	.products = true,
	.scratch = scratch,
	.update = update,
	.cost = cost,
};
