/* logprob: what the ops of the head and its log-probabilities share: op_token_logprob.c, which has the formulas,
 * op_token_logprob_from_above.c and op_divergence.c.
 *
 * The logits of target row r are a sum of factors, rows·matrixᵀ, and a bias:
 *
 *     y_rv = scale·x_r·W_v + Σ u_r·U_v + bias_v        z = y, or cap·tanh(y/cap)
 *
 * Factor 0 is x (R,C) and W (V,C), the others what overlays add: u (R,k) and U (V,k). Rows go by blocks, a block's
 * vocabulary by ranges, the items of the pool; a range by tiles of columns. With t the largest logit that is known and
 * w_p the weights of the labels (the second form's are −d logp_p), a tile is met as logits, as e = exp(z − t), from
 * which a factor's rows get their gradient,
 *
 *     P_r = Σ_{v of the range} e_rv·matrix_v
 *     d_r = scale·((Σ_p w_p)/L · Σ_ranges exp(t − m)·P_r − Σ_p w_p·matrix_token)
 *
 * and as G = (Σ_p w_p)/L·exp(t − m)·e − Σ_{p: token_p = v} w_p, which is the gradient of the logits: dW_v =
 * scale·Σ_r G_rv·x_r, dU_v = Σ_r G_rv·u_r, dbias_v = Σ_r G_rv. With a cap e and the labels' own shares, and with
 * them P and G, are times dz/dy = 1 − (z/cap)², once the sums over e are taken. Ranges, tiles and blocks follow from
 * V and R alone.
 *
 * Nodes.  in   a factor's rows and matrix, side by side; Wᵀ for a gradient in int8; bias;
 *              in the second form's backward d logp, logp and what was kept of the rows
 *         out  logp, what is kept of the rows (second form), scratch of a block, the gradients of a factor's rows and
 *              matrix, side by side, and of the bias; each may be absent */
#ifndef OP_LOGPROB_H
#define OP_LOGPROB_H

#include "kernel/gemm.h"
#include "op/ops.h"
#include "op/run.h"

enum { LOGPROB_FACTORS = 1 + LINEAR_TERMS, LOGPROB_TILE = 512, LOGPROB_RANGES = 16, LOGPROB_BLOCK = 266 /* rows */ };
enum { IN_X, IN_W, IN_TERMS, IN_WT = 2 * LOGPROB_FACTORS, IN_BIAS, IN_D_LOGP, IN_LOGP, IN_STAT, N_IN };
enum { OUT_LOGP, OUT_STAT, OUT_BLOCK, OUT_DX, OUT_DW, OUT_DBIAS = OUT_DX + 2 * LOGPROB_FACTORS, N_OUT };
/* Bits of all factors' rows, in op->saves. */
#define LOGPROB_SAVES_ROWS (1U << IN_X | 1U << (IN_X + 2) | 1U << (IN_X + 4) | 1U << (IN_X + 6))
#define LOGPROB_SAVES_D_ROWS (SAVES_OUT(OUT_DX) | SAVES_OUT(OUT_DX + 2) | SAVES_OUT(OUT_DX + 4) | SAVES_OUT(OUT_DX + 6))

struct logprob_attr {
	bool int8;
	float scale;                   /* of x·Wᵀ */
	float cap;                     /* 0: none */
	float z_loss;                  /* of the first form */
	bool add[LOGPROB_FACTORS];     /* a matrix' gradient is added to what is there */
	bool add_bias;
};

struct factor {
	const float *rows;             /* R,k */
	struct matrix matrix;          /* V,k */
	float scale;
	float *d_rows, *d_matrix;      /* or NULL */
	float *partial;                /* P [RANGES][BLOCK][k], with d_rows */
	bool add;                      /* to d_matrix */
};

struct logprob {
	const struct run *r;
	const struct batch *b;
	size_t V, tiles, ranges;
	size_t first, rows;            /* the block */
	float *e;                      /* of the block, rows ld apart; NULL: a tile is forgotten after its use */
	size_t ld;
	float *top, *sum;              /* t and Σ e of each tile [BLOCK][tiles] */
	float *largest;                /* t of a range [BLOCK][RANGES] */
	float *row_top, *row_scale;    /* m and (Σ_p w_p)/L [BLOCK] */
	float *stat;                   /* m and L [R][2], or NULL */
	const float *weight;           /* w_p [labels] */
	float *own;                    /* the logits of the labels' tokens [labels] */
	const float *logp;             /* [labels], of rows that are finished */
	float *negated;                /* room for weights [labels], in the second form's backward */
	float cap;                     /* 0: none */
	double z_loss;                 /* how much the square of log Σ exp z counts in the loss; 0: not */
	float temperature;             /* by which logits are divided at last; 0: they are not */
	bool bends;                    /* gradients go through a cap */
	float *slope;                  /* dz/dy of the labels' own logits [labels], with a cap */
	struct factor factor[LOGPROB_FACTORS];
	const float *bias;             /* V, or NULL */
	float *dbias;
	bool add_bias;
	bool int8;
	const uint8_t *transposed;     /* Wᵀ [C][V] in panels of Q8_0; with d_rows in int8 */
	uint8_t *quantized;            /* x of the block [BLOCK][bytes of C numbers] */
	/* Of a tile's logits, rows ld apart, before they become e; by logprob_sums. Or NULL. */
	void (*seen)(void *ctx, size_t range, size_t v, size_t n, const float *z, size_t ld);
	void *seen_ctx;
};

/* --- recording --- */

/* The node's inputs; a mistake of the tape where the head has what is not computed. */
void logprob_inputs(struct tape *t, const struct linear *l, uint32_t in[N_IN]);
struct logprob_attr logprob_attr_of(const struct linear *l, float cap);
int logprob_check(struct tape *t, const struct node *n, struct err *e);
/* Adds to `made` where the gradients of n's inputs go that want one, and says so in attr. */
void logprob_gradients(struct tape *t, const struct node *n, struct node *made, struct logprob_attr *attr);
/* The gradients of rows that those outputs are, handed on. */
void logprob_pass(struct tape *t, const struct node *n, const struct node *made);
/* Adds the scratch of a block. keep: e of a whole block; labels: room for numbers of as many. */
void logprob_block(struct tape *t, const struct node *n, struct node *made, bool keep, size_t labels);
size_t logprob_scratch(const struct tape *t, const struct node *n, const struct kernels *k);
void logprob_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes);
double logprob_in_f32(const struct tape *t, const struct node *n, const struct live *live);
bool logprob_int8(const struct node *n);

/* --- running --- */

/* keep and labels as they were recorded. */
struct logprob logprob_of(struct run *r, const struct node *n, bool keep, size_t labels);
bool logprob_wants_matrices(const struct logprob *w);  /* a gradient of a matrix or of the bias */
/* The next block of R rows, quantized where that is wanted; false: there is none. */
bool logprob_next(struct logprob *w);
float *logprob_tile(const struct logprob *w, int thread);   /* room for one, rows LOGPROB_TILE_LD apart */
enum { LOGPROB_TILE_LD = LOGPROB_TILE + 16 };
/* The labels of row `row` of the block: from *begin up to the one returned; *weight: the sum of theirs. */
size_t logprob_labels(const struct logprob *w, size_t row, size_t *begin, double *weight);
/* Logits of columns v … v+n−1 of the block's rows; the labels' own are exact and kept. With a cap they are copied
 * beside for logprob_tile_slope, before a temperature divides them. */
void logprob_logits(const struct logprob *w, size_t v, size_t n, float *z, size_t ld, int thread);
float logprob_exp(const struct logprob *w, float x, float max);
/* With a cap: e of the same tile times dz/dy. */
void logprob_tile_slope(const struct logprob *w, size_t n, float *e, size_t ld, int thread);
/* What a tile of e gives the gradients of the rows. */
void logprob_tile_rows(const struct logprob *w, size_t range, bool begins, size_t v, size_t n, float *e, size_t ld,
                       int thread);
/* A finished row's gradients. begin, end: its labels. */
void logprob_row(const struct logprob *w, size_t row, size_t begin, size_t end, double weight, int thread);
/* What a tile of e, but for the rows' factors (Σ_p w_p)/L·exp(t − m), gives the gradients of matrices and bias; e
 * becomes G. top: t of the rows, top_ld apart. */
void logprob_tile_matrices(const struct logprob *w, size_t v, size_t n, float *e, size_t ld, const float *top,
                           size_t top_ld, int thread);
/* Where there is no row, the first writer stores zeros. */
void logprob_zero(const struct logprob *w);
/* logp, and what else there is place for. */
void logprob_forward(struct logprob *w);
/* Of the block's rows m in row_top and L in row_scale, no gradient: what op_divergence.c begins with. */
void logprob_sums(const struct logprob *w);

/* --- of logits that are there --- */

/* log softmax(z)[token] with the bits that the ops have of the same logits. room: floats, so many. */
float logprob_of_logits(const struct kernels *k, const float *z, size_t V, size_t token, float *room);
size_t logprob_room(size_t V);

/* For tests (op.sample): a head with its target rows, case i. */
enum { LOGPROB_SAMPLES = 9 };
struct linear logprob_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i, float *cap);

#endif
