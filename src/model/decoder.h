/* decoder: what Llama and those built like it share, so that one of them is a file of what differs.
 *
 *     x += Wo·attention(rope(Wq·n(x)), rope(Wk·n(x)), Wv·n(x))      n: RMSNorm, one a half
 *     x += Wdown·(silu(Wgate·n(x)) ∘ Wup·n(x))
 *
 * (Touvron et al. 2023.) The weights have Hugging Face's names of all these models; a part computes with a bias, or a
 * norm of each head before its rotation (q_norm, k_norm), where the model has a weight of that name. Every x is [N][C],
 * a row a token.
 *
 * A cousin lists DECODER_EMBEDDING, its attention's weights, DECODER_FEED_FORWARD and DECODER_HEAD in its table,
 * decoder_fields before its own facts, and takes the parts that it does not have otherwise: arch_qwen3.c. */
#ifndef MODEL_DECODER_H
#define MODEL_DECODER_H

#include "model/config.h"
#include "model/graph.h"

/* --- facts --- */

/* Sizes, the norms' epsilon, rotary positions, activation and tying: all that Llama says but attention_bias. */
extern const struct config_field decoder_fields[];
/* Rotary positions, which config.json may have in three places: arch->config. */
int decoder_config(struct config *c, const struct config_source *s, struct err *e);
/* A kind of layers with positions of their own. */
struct rope_layers {
	const char *name;      /* "full_attention" or "sliding_attention", in rope_parameters */
	bool scaled;           /* rope_scaling is said of them too */
};
/* The same of one kind of layers; NULL: there is one kind. *theta is the base that holds where none is said; c->rotary
 * is that share as well and is read too, and c->n_ctx is cut to what longrope's short factors are for. */
int decoder_rope(struct config *c, const struct config_source *s, const struct rope_layers *layers, double *theta,
                 struct rope_scaling *scaling, struct rope *out, struct err *e);

/* --- weights --- */

#define DECODER_BLOCK "model.layers.%d."
#define DECODER_EMBEDDING { "model.embed_tokens.weight", "token_embd.weight", "V,C", WEIGHT_EMBED }
/* the attention's four products without biases; flags: WEIGHT_ROPE where GGUF permutes q and k, or 0 */
#define DECODER_ATTENTION(flags) \
	{ DECODER_BLOCK "self_attn.q_proj.weight", "blk.%d.attn_q.weight", "HD,C", WEIGHT_LINEAR | (flags) }, \
	{ DECODER_BLOCK "self_attn.k_proj.weight", "blk.%d.attn_k.weight", "GD,C", WEIGHT_LINEAR | (flags) }, \
	{ DECODER_BLOCK "self_attn.v_proj.weight", "blk.%d.attn_v.weight", "GD,C", WEIGHT_LINEAR }, \
	{ DECODER_BLOCK "self_attn.o_proj.weight", "blk.%d.attn_output.weight", "C,HD", WEIGHT_LINEAR }
#define DECODER_FEED_FORWARD \
	{ DECODER_BLOCK "mlp.gate_proj.weight", "blk.%d.ffn_gate.weight", "F,C", WEIGHT_LINEAR }, \
	{ DECODER_BLOCK "mlp.up_proj.weight", "blk.%d.ffn_up.weight", "F,C", WEIGHT_LINEAR }, \
	{ DECODER_BLOCK "mlp.down_proj.weight", "blk.%d.ffn_down.weight", "C,F", WEIGHT_LINEAR }
/* divisors of angles that a GGUF of scaled positions has: rope.h reads them */
#define DECODER_ROPE_FACTORS { "rope_freqs.weight", "rope_freqs.weight", NULL, WEIGHT_IGNORED }
#define DECODER_HEAD \
	{ "model.norm.weight", "output_norm.weight", "C", WEIGHT_NORM }, \
	{ "lm_head.weight", "output.weight", "V,C", WEIGHT_LINEAR | WEIGHT_HEAD }

/* --- forward --- */

uint32_t decoder_embed(struct graph *g);                          /* the rows of the tokens */
/* h's attention before Wo. r: NULL, positions do not turn; a: mask and cap as nn_attention has them */
uint32_t decoder_heads(struct graph *g, uint32_t h, const struct rope *r, struct attention_spec a);
uint32_t decoder_gated(struct graph *g, uint32_t h, enum activation f); /* f(Wgate·h) ∘ Wup·h */
/* x + the attention of its norm, r and a as there */
uint32_t decoder_attention(struct graph *g, uint32_t x, const struct rope *r, struct attention_spec a);
uint32_t decoder_feed_forward(struct graph *g, uint32_t x);       /* x + the gated feed-forward of its norm */
uint32_t decoder_block(struct graph *g, int layer, uint32_t x);   /* both, the model's positions, all seen */
uint32_t decoder_norm(struct graph *g, uint32_t x);               /* the final norm */

#endif
