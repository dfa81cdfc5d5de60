/* ops: how a model's forward records itself. Each returns the number of its output tensor, or TENSOR_NONE after a
 * mistake (see tape->err). Shapes: N rows of the batch, R target rows, M pairs, C width, H query heads, G key-value
 * heads, D head size, F hidden, V vocabulary, r rank. The definition of each op is in src/op/op_<name>.c. */
#ifndef OP_OPS_H
#define OP_OPS_H

#include "kernel/activation.h"
#include "op/tape.h"

/* Which numbers of the batch's rows pick a table's: tokens, types, positions. EMBED_POSITIONS + k: positions counted
 * from k, whose table has k rows before the first. */
enum embed_source { EMBED_IDS, EMBED_TYPES, EMBED_POSITIONS };
enum { ADAPTERS_MOST = 64 };       /* that serve one batch */
enum { SPLIT_PARTS = 8 };
enum { EXPERTS_MOST = 1024 };      /* of a layer; as many as topk.h takes */

uint32_t op_embed(struct tape *t, uint32_t table /* V,C any dtype */, enum embed_source source);          /* N,C */
/* x, but of each token first + i with 0 ≤ i < n columns [column, column + C) of row i of p. */
uint32_t op_virtual_rows(struct tape *t, uint32_t x /* N,C */, uint32_t p /* n,P */, int32_t first, size_t column);
/* P+N,W: keys or values of tokens that are no rows (never trained), before those of the rows; batch.n_keys counts. */
uint32_t op_past_keys(struct tape *t, uint32_t past /* P,W f32 */, uint32_t x /* N,W */);
/* op_embed where slot (V) is 0, or none; elsewhere row slot − 1 of rows (K,C). There may be `spare` numbers beyond
 * the table's: their rows are zeros. */
uint32_t op_embed_some(struct tape *t, uint32_t table, uint32_t slot, uint32_t rows, enum embed_source source,
                       size_t spare);
/* f(x·Wᵀ + bias) of n rows that are none of the batch's */
enum dense_f { DENSE_LINEAR, DENSE_RELU, DENSE_TANH };
uint32_t op_dense(struct tape *t, uint32_t x /* n,I */, uint32_t w /* O,I */, uint32_t bias /* O */,
                  enum dense_f f);                                                                      /* n,O */
/* n,2H: a layer of a bidirectional LSTM over such rows; of the direction up, then down, W_ih (4H,I), W_hh (4H,H), b_ih,
 * b_hh (4H) */
uint32_t op_lstm(struct tape *t, uint32_t x /* n,I */, const uint32_t parts[8]);
/* N,O: residual (or none) + x times the matrix of v's (K) numbers at (2,K) rows and columns, zero elsewhere. */
uint32_t op_sparse(struct tape *t, uint32_t x, uint32_t v, uint32_t at, size_t O, uint32_t residual);
/* N,groups·size[p] each: of every one of the groups that a row is, the next size[p] numbers */
void op_split(struct tape *t, uint32_t x /* N,groups·Σ size */, int groups, int parts, const size_t *size,
              uint32_t *out);
uint32_t op_add(struct tape *t, uint32_t a, uint32_t b);                                                /* same shape */
/* Of the row, or, where w is as wide as a part of it, of each part by itself, all with the same w (and b). */
uint32_t op_rmsnorm(struct tape *t, uint32_t x /* N,C */, uint32_t w /* C, or C/parts */, float eps);
uint32_t op_layernorm(struct tape *t, uint32_t x, uint32_t w, uint32_t b, float eps);

enum { LINEAR_TERMS = 3 };

struct linear_term { uint32_t u, up; }; /* N,r and O,r */

struct linear {
	uint32_t x;        /* N,I */
	uint32_t w;        /* O,I any dtype */
	uint32_t bias;     /* O or none */
	struct linear_term term[LINEAR_TERMS]; /* products added in the same pass; the first that is none ends */
	uint32_t residual; /* N,O added to the result, or none */
	float scale;       /* of x·Wᵀ; 0 means 1 */
	bool inside;       /* the terms are in w already, as far as its form lets them: not added, but they learn */
	bool x_constant;   /* x gets no gradient */
	bool int8;         /* x·Wᵀ, and dx where there is wt, in int8 arithmetic; w is in panels */
	uint32_t wt;       /* I,O: Wᵀ in panels of Q8_0, for dx = dy·W; or none */
};
/* N,O = scale·x·Wᵀ + Σ u·upᵀ + bias + residual */
uint32_t op_linear(struct tape *t, const struct linear *l);

/* Which experts a row goes to: the k of the largest logits. */
struct route_spec {
	int k;
	bool of_chosen;    /* weights are a softmax of the chosen logits alone, whose sum is 1; else of all */
};
/* Slot n·k + j is the j-th expert of row n, its experts ascending. */
struct routing {
	uint32_t weights;  /* N,k */
	uint32_t chosen;   /* N,k: the experts */
	/* N·k slots expert by expert, each expert's ascending, and the rows that they are of; E+1: where each begins */
	uint32_t slots, rows, first;
	int k;
};
uint32_t op_route(struct tape *t, uint32_t logits /* N,E */, struct route_spec spec, struct routing *out);

/* How a batch's tokens spread over experts, with what earlier layers add up to (`before`, or none): of E experts how
 * often each was chosen, Σ of its probabilities, then Σ of the rows: 2E + 1 numbers. A row counts for each document
 * through it. */
uint32_t op_router_load(struct tape *t, uint32_t logits /* N,E */, const struct routing *to, uint32_t before);

struct experts {
	uint32_t x;        /* N,I: of all experts of a row; or N,k·I: each slot its own */
	uint32_t w;        /* a stack of E times O,I any dtype; where it has a gap, 0 comes out */
	uint32_t bias;     /* E,O or none */
	struct linear_term term[LINEAR_TERMS]; /* u (N,k·r), up a stack of E times O,r */
	struct routing to;
	float scale;       /* of x·Wᵀ; 0 means 1 */
	bool int8;         /* as in op_linear, all matrices are in panels */
	uint32_t wt;       /* a stack of E times I,O, or none */
};
/* N,k·O: of each slot, scale·x·Wᵀ + Σ u·upᵀ + bias of its expert */
uint32_t op_experts(struct tape *t, const struct experts *l);
uint32_t op_combine(struct tape *t, uint32_t x /* N,k·C */, uint32_t p /* N,k */);                      /* N,C */

uint32_t op_rope(struct tape *t, uint32_t x /* N,heads·D */, uint32_t table /* P,D: cos then sin halves */, int heads,
                 bool interleaved);
/* The cache (op/kv_cache.h), a state, with row i written as key[i]; G heads. */
uint32_t op_put_keys(struct tape *t, uint32_t x /* N,G·D */, uint32_t cache, int G);
uint32_t op_put_values(struct tape *t, uint32_t x, uint32_t cache, int G);
/* n vectors: of as many tensors (C), or of one (n·C); own: shares of the row itself, else of the one before */
struct shares { const uint32_t *tensor; size_t n; bool own; };
/* out[p], p < n: x + (x of the row before − x)∘share p; state: a session's, which has the row before (op/state.h),
 * or none */
void op_token_shift(struct tape *t, uint32_t x /* N,C */, struct shares mix, uint32_t state /* places,C */, size_t n,
                    uint32_t *out /* N,C */);
/* RWKV-4's mixing along time: op_wkv4.c */
uint32_t op_wkv4(struct tape *t, uint32_t k /* N,C */, uint32_t v /* N,C */, uint32_t decay /* C */,
                 uint32_t first /* C */, uint32_t state /* places,3C; or none */);                     /* N,C */
/* RWKV-7's mixing along time, but for its products: op_rwkv7.c */
struct rwkv7 {
	uint32_t r, w, k, v, a, g;                /* N,C: receptance, decay, key, value, rate, gate */
	uint32_t k_k, k_a, r_k, ln_w, ln_b;       /* C */
	uint32_t state;                           /* places,H·D·D: a session's; or none */
	size_t D;                                 /* numbers of a head */
	float eps;                                /* of the norm of heads */
};
uint32_t op_rwkv7(struct tape *t, const struct rwkv7 *x);                                               /* N,C */
/* What a row sees and how, a layer's own. Zeros in the last three: all before it, scores as they are. */
struct attention_spec {
	int H, G;
	float scale;       /* of q·k */
	float cap;         /* soft cap of the scaled scores, cap·tanh(score/cap); 0: none */
	int32_t window;    /* only keys less than so many positions away, the row itself counted; 0: any */
	bool both_ways;    /* the rows after it in its document too; documents share nothing then, there is no cache */
	uint32_t sinks;    /* H: a score of each head that no key has, or none */
};
/* N,H·D */
uint32_t op_attention(struct tape *t, uint32_t q /* N,H·D */, uint32_t k /* keys,G·D */, uint32_t v,
                      struct attention_spec a);
/* scale∘(x + bias) + residual: each but x or none */
uint32_t op_scale_columns(struct tape *t, uint32_t x /* N,C or R,C or C */, uint32_t scale /* C or 1 */,
                          uint32_t bias /* C */, uint32_t residual /* as x */);
/* f(x), or f(x)·up where x is a gate; N,F. The activations: kernel/activation.h */
uint32_t op_act(struct tape *t, enum activation f, uint32_t x, uint32_t up /* or none */);
/* gate·σ(alpha·gate)·(up + 1), gate at most limit, up between −limit and limit; N,F */
uint32_t op_clamped_swiglu(struct tape *t, uint32_t gate, uint32_t up, float alpha, float limit);
uint32_t op_scale(struct tape *t, uint32_t x, float by);                        /* by·x */
/* Of two matrices (O,r), (O,s) or, across, (r,I), (s,I): each number of one with each of the other in every row or
 * column, (O,r·s) or (r·s,I); the factors of a product of matrices number by number, op_khatri_rao.c */
uint32_t op_khatri_rao(struct tape *t, uint32_t a, uint32_t b, bool across);
/* Of the c parts of d numbers that a row is, each times wᵀ; N,c·b */
uint32_t op_linear_parts(struct tape *t, uint32_t x /* N,c·d */, uint32_t w /* b,d */, float scale);
/* a parts of b numbers, each a sum of the row's c parts: part i of those that w(i,·) weighs; N,a·b */
uint32_t op_mix_parts(struct tape *t, uint32_t x /* N,c·b */, uint32_t w /* a,c */);
uint32_t op_sum_parts(struct tape *t, uint32_t x /* N,C */, size_t r); /* of parts of r numbers; N,r */
/* w∘(b·a), plus: and w; O,I */
uint32_t op_modulate(struct tape *t, uint32_t w /* O,I any dtype */, uint32_t b /* O,r */, uint32_t a /* r,I */,
                     bool plus);
/* y(n,i) = x(n,from(i)); from: every number below C once */
uint32_t op_order_columns(struct tape *t, uint32_t x /* N,C */, const uint32_t *from /* C */);
uint32_t op_soft_cap(struct tape *t, uint32_t x, float cap);                    /* cap·tanh(x/cap) */
uint32_t op_clamp(struct tape *t, uint32_t x, float most);                      /* min(max(x, −most), most) */
/* a + (b − a)∘σ(gate), all alike */
uint32_t op_blend(struct tape *t, uint32_t a, uint32_t b, uint32_t gate);
uint32_t op_dropout(struct tape *t, uint32_t x, float p, uint32_t site);
/* the probability of a column, and of all; scaled: divided by the share that is left */
struct drop_columns { float column, all; bool scaled; };
uint32_t op_drop_columns(struct tape *t, uint32_t x /* N,C */, struct drop_columns d, uint32_t site);
/* of a row's columns, its adapter's alone; of each of its parts where x is several times first[n] wide. n 0: all
 * first[0] of them, whatever the adapter. Before the place where its segment's adapter is invoked a row has none. */
uint32_t op_adapter_mask(struct tape *t, uint32_t x /* N,C or R,C */, const size_t *first /* [n + 1] */, size_t n);
/* Of each row what its adapter's own columns of a product with Aᵀ are, as a parted tensor: it is u of a term, or x of
 * a product, whose other factor has the adapters' rows below each other, (first[n] + adapter_spare(O),O). Adapter q's
 * block of A, from number first[q]·I on, is [I][its columns]. x (N,I) or (R,I), a (first[n] + adapter_spare(I),I); a
 * none: x has all columns beside each other, which are picked. Of experts (`to`, or NULL) x is theirs and a a stack of
 * E of them; then it is a term of op_experts. No gradient. */
uint32_t op_adapter_down(struct tape *t, uint32_t x, uint32_t a, const struct routing *to,
                         const size_t *first /* [n + 1] */, size_t n);
/* Rows that stand below those of such a factor of so many columns, since more is read than counts. */
size_t adapter_spare(size_t columns);
/* a in the rows that go through one adapter, else b, both N,C or R,C */
uint32_t op_adapter_rows(struct tape *t, uint32_t a, uint32_t b, int adapter);
/* R,C: the target rows */
uint32_t op_gather(struct tape *t, uint32_t x /* N,C */);
uint32_t op_mean(struct tape *t, uint32_t x /* N,C */);        /* R,C: over the segment of each target row */

/* The head and log p(token) of every label, M, in one. Logits z = scale·x·Wᵀ + Σ u·upᵀ + bias of l, x (R,C), w
 * (V,C), bias (V) or none, and then, where cap is not 0, cap·tanh(z/cap); a residual is refused. The logits are never
 * there as a whole. With a gradient: the loss is −Σ weight·logp with the batch's label_weight, unscaled, and its
 * gradient is taken in the same pass, while a tile of logits is there. int8: w is frozen and in panels, and for a
 * gradient there is wt; the labels' own tokens and u·upᵀ stay in f32. */
uint32_t op_token_logprob(struct tape *t, const struct linear *l, float cap);
/* The same, and z_loss·Z² joins the loss of each label, Z the log of its row's sum of exp(logits). *stat: what has Z
 * as the sum of a number and another's logarithm (R,2); none where z_loss is 0. */
uint32_t op_token_logprob_z(struct tape *t, const struct linear *l, float cap, float z_loss, uint32_t *stat);
/* The same numbers for a loss that stands on them (differences, ratios, products of log-probabilities): nothing starts
 * here, the gradient of each logp comes from the ops that read it, and label_weight plays no part. Backward makes the
 * tiles of logits once more: 2·V·C FLOPs a row forward and 4·V·C backward, against 4·V·C in all. */
uint32_t op_token_logprob_from_above(struct tape *t, const struct linear *l, float cap);

/* How far q is from p. With m = (1 − β)·q + β·p:
 *
 *     β = 0   KL(p ‖ q)        β = 1   KL(q ‖ p)        else   β·KL(p ‖ m) + (1 − β)·KL(q ‖ m)
 *
 * of logits divided by `temperature`; of all tokens, or of the top_k likeliest of p (of_tuned: of q), which are then
 * made to sum to 1, or, with `tail`, have one more beside them that stands for all others. `ratio` is the share of it
 * in what comes out; the rest is log q of the label's own token, at temperature 1. */
struct divergence_kind {
	float beta, temperature, ratio;
	int32_t top_k;                 /* 0: all */
	bool of_tuned, tail;
};
extern const struct divergence_kind divergence_kl;   /* KL(p ‖ q), and nothing else */

/* Minus that, for each label, of its row: p the softmax of base's logits, q of tuned's, exact over the vocabulary,
 * which neither is ever there as a whole. base: x (R,C0), w (V,C0), bias and scale alone, none of them trained; caps
 * as op_token_logprob's. Starts the gradient of Σ weight·divergence with the batch's label_weight, as that does;
 * equal sides have none at all. */
uint32_t op_divergence(struct tape *t, const struct linear *tuned, float cap, const struct linear *base, float base_cap,
                       const struct divergence_kind *kind);

/* M,2: a number of each label, and one of its target row */
uint32_t op_label_values(struct tape *t, uint32_t x /* M */, uint32_t v /* R,1 */);

/* A loss that the caller computes, in one thread: of the batch and x, its sum; dx, all of it: the gradient in x. A
 * function of these and what ctx points at, which must not change while a step runs; it allocates nothing. */
struct loss {
	double (*of)(const void *ctx, const struct batch *b, const float *x, float *dx);
	const void *ctx;
};
uint32_t op_loss(struct tape *t, uint32_t x, const struct loss *l);                                     /* 1 */

#endif
