/* gemma: what Gemma 2 and 3 share (Gemma Team 2024, 2025):
 *
 *     x = √C · embedding
 *     x += n(Wo·attention(rope(Wq·n(x)), rope(Wk·n(x)), Wv·n(x)))      n: RMSNorm, its weight kept as 1 + w
 *     x += n(Wdown·(gelu(Wgate·n(x)) ∘ Wup·n(x)))
 *     logits = cap·tanh(head·n(x)/cap)
 *
 * Scores are scaled by 1/√query_pre_attn_scalar and may be capped, layers of one kind see a window of positions only,
 * and each kind may turn by angles of its own. GGUF says no query_pre_attn_scalar: llama.cpp takes the head's size, and
 * of the models of 27 B, known by their number of layers, width by heads. */
#ifndef MODEL_GEMMA_H
#define MODEL_GEMMA_H

#include "model/decoder.h"

struct gemma {
	int every;                          /* e: layers from one that sees all to the next */
	uint8_t slides[CONFIG_LAYERS_MAX];  /* 1: the layer sees a window */
	int window;                         /* 0: none */
	int query;                          /* query_pre_attn_scalar */
	double score_cap, logit_cap;        /* 0: none */
	double local_theta;                 /* of layers that see a window */
	struct rope_scaling local_scaling;
	struct rope local;
};

/* Facts that both say alike, before their own. */
extern const struct config_field gemma_fields[];
/* attention.query, of which GGUF says nothing. large: layers of the model of 27 B */
void gemma_query(struct config *c, const struct config_source *s, int large);
uint32_t gemma_embed(struct graph *g);
uint32_t gemma_block(struct graph *g, int layer, uint32_t x);
void gemma_logits(struct graph *g, struct linear *head, float *cap);

#define GEMMA_NORM (WEIGHT_NORM | WEIGHT_PLUS_ONE)
#define GEMMA_ATTENTION DECODER_BLOCK "self_attn."
#define GEMMA_NORMS_AND_FEED_FORWARD \
	{ DECODER_BLOCK "post_attention_layernorm.weight", "blk.%d.post_attention_norm.weight", "C", GEMMA_NORM }, \
	{ DECODER_BLOCK "pre_feedforward_layernorm.weight", "blk.%d.ffn_norm.weight", "C", GEMMA_NORM }, \
	DECODER_FEED_FORWARD, \
	{ DECODER_BLOCK "post_feedforward_layernorm.weight", "blk.%d.post_ffw_norm.weight", "C", GEMMA_NORM }, \
	{ "model.norm.weight", "output_norm.weight", "C", GEMMA_NORM }, \
	{ "lm_head.weight", "output.weight", "V,C", WEIGHT_LINEAR | WEIGHT_HEAD }

#endif
