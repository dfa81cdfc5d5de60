/* graph: what an architecture's forward is recorded with: the tape, the model, and what lies over it. nn_* are the only
 * way from a weight to an op, so adapters and full tuning need no line in any architecture. */
#ifndef MODEL_GRAPH_H
#define MODEL_GRAPH_H

#include "model/overlay.h"
#include "model/past_keys.h"

struct kv_tensors { uint32_t k, v; };   /* cache of one layer: [keys, G·D] */

enum { ROPE_TABLES = 8 };
struct rope_table {
	const struct rope *of;
	float *table;                      /* [positions][dims] cos then sin halves */
	uint32_t tensor;
};

struct laid {
	const struct overlay *overlay;
	uint32_t *param_tensor, *fixed_tensor; /* [params.n_items], [fixed.n_items] once used */
	/* what it said of the product that is being recorded */
	struct linear_term term[LINEAR_TERMS];
	uint32_t more;                     /* what is added to it as it is */
	bool after;
	uint32_t made;                     /* nn_made */
};

struct graph {
	struct tape *tape;
	const struct model *model;
	struct laid *laid;                 /* [n_laid] the overlays, the lowest first */
	int n_laid;
	int apart;                         /* the one that is computed alone now; −1: all that are not apart */
	bool training;                     /* dropout is on, parameters need gradients */
	bool as_trained;                   /* the arithmetic of a tape with gradients, on one without */
	bool inside;                       /* a hook's terms of this product are in its weight already */
	uint32_t *weight_tensor;           /* [n_weights] tensor of each weight once used */
	uint32_t *transposed_tensor;           /* [n_weights] of its transpose, for gradients in int8 */
	struct rope_table rope[ROPE_TABLES]; /* [n_ropes] made as they are first used */
	int n_ropes;
	/* In sessions: a layer's caches, whose rows see `window` tokens, themselves included (0: all). NULL: keys are
	 * this batch's rows. */
	struct kv_tensors (*caches)(void *ctx, int window);
	/* Set before graph_hidden, or NULL: keys and values of tokens that stand before all documents and are no rows
	 * (forest_options.past), layer by layer (past_keys_at); borrowed, and read at each step. */
	const struct past_keys *past;
	uint32_t *past_tensor;             /* [n_layers][2] */
	/* A recurrent state of `numbers` that the layer has for itself: [places, numbers], see op/state.h. */
	uint32_t (*states)(void *ctx, size_t numbers);
	void *caches_ctx;
	uint32_t carried;                  /* the architecture's own, from block to block; none before the first */
	/* Set before graph_hidden: a mixture's layers add up how they spread tokens over experts (op_router_load). */
	bool balances;
	uint32_t load;                     /* that of all layers; none before the first */
	/* Set before graph_logprob, 0: none: op_token_logprob_z's; and what that has of each target row. */
	float z_loss;
	uint32_t logprob_stat;
	/* Set before graph_hidden, or NULL: what goes into each block [N,C], as it is recorded; the embeddings are
	 * layer 0. */
	void (*layered)(void *ctx, struct graph *g, int layer, uint32_t x);
	void *layered_ctx;
	uint32_t base_head;                /* of graph_divergence, where an overlay stands for the model's own */
	struct graph *other;               /* the head of another model on the same tape, bound with this one's */
	uint32_t other_rows;               /* and the rows before it, which stand at *other_at when all is bound */
	float *const *other_at;
	int layer;
	uint32_t site;                     /* counter of random sites */
};

/* o: the topmost overlay, or NULL; all of them are borrowed until graph_release. */
void graph_init(struct graph *g, struct tape *t, const struct model *m, const struct overlay *o, bool training);
void graph_release(struct graph *g);
size_t graph_bytes(const struct graph *g);  /* the numbers it has beside the model's: tables of positions */

/* The weight (spec name of the arch's table, at g->layer) as a tensor; TENSOR_NONE for an absent optional one. */
uint32_t nn_weight(struct graph *g, const char *spec);
/* an overlay's parameter as a tensor; the same one wherever it is used */
uint32_t nn_param(struct graph *g, const struct overlay *o, int param);
uint32_t nn_fixed(struct graph *g, const struct overlay *o, int item); /* of o->fixed */
/* Where an overlay keeps a tensor that it made for a later hook; TENSOR_NONE at first. */
uint32_t *nn_made(struct graph *g, const struct overlay *o);
/* The rows of a table by the batch's tokens, types or positions; zeros for virtual tokens, which are nn_spare more. */
uint32_t nn_rows(struct graph *g, uint32_t table, enum embed_source source);
size_t nn_spare(const struct graph *g, enum embed_source source);
/* u (rows of the batch, or target rows) where the row is one that the overlay serves and it is invoked, else 0 */
uint32_t nn_served(struct graph *g, const struct overlay *o, uint32_t u);
uint32_t nn_linear(struct graph *g, uint32_t x, const char *weight, const char *bias /* or NULL */,
                   uint32_t residual /* or none */);
/* x (N,C) or each slot's own (N,k·I) times the matrices of its experts, rows of the table with a second "%d":
 * N,k·O */
uint32_t nn_experts(struct graph *g, uint32_t x, const char *weight, const char *bias /* E,O or NULL */,
                    const struct routing *to);
uint32_t nn_embed(struct graph *g, const char *weight, enum embed_source source); /* N,C */
/* x: N,C. A weight of C/parts numbers norms each part of the row by itself: "D" on N,H·D is a norm of every head. */
uint32_t nn_rmsnorm(struct graph *g, uint32_t x, const char *weight);
uint32_t nn_layernorm(struct graph *g, uint32_t x, const char *weight, const char *bias);
/* x: N,heads·D; each kind of layer may turn by angles of its own. r: the model's, borrowed until graph_release */
uint32_t nn_rope(struct graph *g, uint32_t x, int heads, const struct rope *r);
/* Through the cache when there is one. a: the layer's mask and cap; H and G are the model's, scale 0 is 1/√D. */
uint32_t nn_attention(struct graph *g, uint32_t q, uint32_t k, uint32_t v, struct attention_spec a);
/* A state of the layer, none where rows begin with nothing: in batches that are no session's. */
uint32_t nn_state(struct graph *g, size_t numbers);
/* The end of every half of a block: x + y, x (N,C) what it is added to, y what the half made of h, its normed input. */
uint32_t nn_sublayer(struct graph *g, enum sublayer kind, uint32_t x, uint32_t h, uint32_t y);
/* The same where y is normed before it is added; hooks are asked before that. */
uint32_t nn_sublayer_normed(struct graph *g, enum sublayer kind, uint32_t x, uint32_t h, uint32_t y, const char *norm);
/* The same where y is the linear of `in`, as it mostly is: then all is one pass. */
uint32_t nn_sublayer_linear(struct graph *g, enum sublayer kind, uint32_t x, uint32_t h, uint32_t in,
                            const char *weight, const char *bias /* or NULL */);

/* The whole model: hidden states after the last block [N,C]. */
uint32_t graph_hidden(struct graph *g);
/* The same in two parts, on one tape or on two: hidden states before block `layer`, and from them on. What a block
 * hands on beside them (g->carried, g->load) is not there in the second part. */
uint32_t graph_hidden_before(struct graph *g, int layer);
uint32_t graph_hidden_from(struct graph *g, uint32_t x, int layer);
/* What a model says of each row's token, after the final norm [N,C]: what embeddings are pooled from. */
uint32_t graph_states(struct graph *g, uint32_t hidden);
/* gather, final norm, head, log p of labels: M, which starts the gradient of −Σ weight·logp */
uint32_t graph_logprob(struct graph *g, uint32_t hidden);
/* the same for a loss that stands on it, from which its gradient comes */
uint32_t graph_logprob_from_above(struct graph *g, uint32_t hidden);
/* of logits divided by a temperature, for a loss that stands on it; 1 where the head has a bias */
uint32_t graph_logprob_at(struct graph *g, uint32_t hidden, double temperature);
/* what the head is multiplied with: the target rows after the final norm [R,C] */
uint32_t graph_head_rows(struct graph *g, uint32_t hidden);
/* −KL(base ‖ this) for each label, of its row; starts the gradient of Σ weight·KL. base_rows: graph_head_rows of
 * the model with nothing over it, whose head is the file's */
uint32_t graph_divergence(struct graph *g, uint32_t hidden, uint32_t base_rows);
/* The same of any kind, from another model of the same vocabulary, nothing over it: *rows is [cap.targets][C of that
 * model] in the host's memory, its graph_head_rows, when graph_bind is called and then before each step. One a
 * graph. */
uint32_t graph_divergence_from(struct graph *g, uint32_t hidden, const struct model *other, float *const *rows,
                               const struct divergence_kind *kind);
uint32_t graph_logits(struct graph *g, uint32_t hidden);                      /* R,V: only where someone samples */
/* The outputs of a model that classifies (classifier.h) for the texts whose rows are targets: of a decoder the last
 * one, of an encoder the first. */
uint32_t graph_labels(struct graph *g, uint32_t hidden);                      /* R,Y */
/* Sets marked[i] (by number of the tape's tensors) for each tensor that an overlay's numbers are bound to. */
void graph_mark_overlays(const struct graph *g, bool *marked);
/* Binds every tensor that the graph made: weights, parameters, their gradients (grads: NULL, or flat as the params of
 * the overlay that is not frozen; of several, as they were joined). */
void graph_bind(const struct graph *g, struct run *r, float *grads);

#endif
