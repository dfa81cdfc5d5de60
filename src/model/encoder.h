/* encoder: what BERT and its cousins share (Devlin et al. 2019), so that one of them is a file of names and of what
 * differs.
 *
 *     x = n(token + type + position)
 *     x = n(x + Wo·attention(q, k, v))
 *     q, k, v = Wq·x, Wk·x, Wv·x, each with a bias; n: LayerNorm, after the sum
 *     x = n(x + Wdown·gelu(Wup·x))
 *
 * A row sees every row of its document. What predicts a masked token is a transform, gelu and a norm, then the
 * embedding as a matrix, with a bias. A file may be without that head, and without a pooler: tanh of a linear on the
 * first token's state. Dropout, which they were trained with, is not applied. */
#ifndef MODEL_ENCODER_H
#define MODEL_ENCODER_H

#include "model/config.h"
#include "model/graph.h"

struct encoder {
	int types;       /* T: rows of the table of types, 0: there is none */
	int positions;   /* P: rows of the table of positions */
	int first;       /* of them before the first that is used */
};

/* --- facts --- */

/* BERT's and RoBERTa's config.json, GGUF's "bert"; own_bytes of struct encoder. */
extern const struct config_field encoder_fields[];
/* Those; types and positions of a GGUF: arch->config. */
int encoder_config(struct config *c, const struct config_source *s, struct err *e);

/* --- weights --- */

/* A LayerNorm, whose older files say gamma and beta. */
#define ENCODER_NORM(hf, gguf, part) \
	{ ENCODER_NORM_W(hf), gguf ".weight", "C", WEIGHT_NORM | (part) }, \
	{ ENCODER_NORM_B(hf), gguf ".bias", "C", WEIGHT_BIAS | (part) }
#define ENCODER_NORM_W(hf) hf ".weight " hf ".gamma"
#define ENCODER_NORM_B(hf) hf ".bias " hf ".beta"
#define ENCODER_LINEAR(hf, gguf, out, in, part) \
	{ hf ".weight", gguf ".weight", out "," in, WEIGHT_LINEAR | (part) }, \
	{ hf ".bias", gguf ".bias", out, WEIGHT_BIAS | (part) }
/* The same where GGUF has none of it. */
#define ENCODER_HF_NORM(hf, part) \
	{ ENCODER_NORM_W(hf), NULL, "C", WEIGHT_NORM | (part) }, { ENCODER_NORM_B(hf), NULL, "C", WEIGHT_BIAS | (part) }
#define ENCODER_HF_LINEAR(hf, out, in, part) \
	{ hf ".weight", NULL, out "," in, WEIGHT_LINEAR | (part) }, { hf ".bias", NULL, out, WEIGHT_BIAS | (part) }
/* A block of BERT's names, p is "bert." or the like. */
#define ENCODER_LAYER(p) p "encoder.layer.%d."
#define ENCODER_BLOCK(p) \
	ENCODER_LINEAR(ENCODER_LAYER(p) "attention.self.query", "blk.%d.attn_q", "C", "C", 0), \
	ENCODER_LINEAR(ENCODER_LAYER(p) "attention.self.key", "blk.%d.attn_k", "C", "C", 0), \
	ENCODER_LINEAR(ENCODER_LAYER(p) "attention.self.value", "blk.%d.attn_v", "C", "C", 0), \
	ENCODER_LINEAR(ENCODER_LAYER(p) "attention.output.dense", "blk.%d.attn_output", "C", "C", 0), \
	ENCODER_NORM(ENCODER_LAYER(p) "attention.output.LayerNorm", "blk.%d.attn_output_norm", 0), \
	ENCODER_LINEAR(ENCODER_LAYER(p) "intermediate.dense", "blk.%d.ffn_up", "F", "C", 0), \
	ENCODER_LINEAR(ENCODER_LAYER(p) "output.dense", "blk.%d.ffn_down", "C", "F", 0), \
	ENCODER_NORM(ENCODER_LAYER(p) "output.LayerNorm", "blk.%d.layer_output_norm", 0)
/* and its tables, of which GGUF's positions begin at the first that is used */
#define ENCODER_TABLES(p) \
	{ p "embeddings.word_embeddings.weight", "token_embd.weight", "V,C", WEIGHT_EMBED }, \
	{ p "embeddings.position_embeddings.weight", "position_embd.weight", "P,C", WEIGHT_EMBED }, \
	{ p "embeddings.token_type_embeddings.weight", "token_types.weight", "T,C", WEIGHT_EMBED }, \
	ENCODER_NORM(p "embeddings.LayerNorm", "token_embd_norm", 0), \
	{ p "embeddings.position_ids", NULL, NULL, WEIGHT_IGNORED }

/* --- forward --- */

/* Names of weights: of a linear without ".weight" and ".bias", of a norm as the table has both. */
struct encoder_linear { const char *weight, *bias; };
struct encoder_names {
	struct encoder_linear q, k, v, o, attention_norm, up, down, output_norm;
};
#define ENCODER_PAIR(hf) { hf ".weight", hf ".bias" }
#define ENCODER_NORM_PAIR(hf) { ENCODER_NORM_W(hf), ENCODER_NORM_B(hf) }
#define ENCODER_NAMES(p) \
	{ .q = ENCODER_PAIR(ENCODER_LAYER(p) "attention.self.query"), \
	  .k = ENCODER_PAIR(ENCODER_LAYER(p) "attention.self.key"), \
	  .v = ENCODER_PAIR(ENCODER_LAYER(p) "attention.self.value"), \
	  .o = ENCODER_PAIR(ENCODER_LAYER(p) "attention.output.dense"), \
	  .attention_norm = ENCODER_NORM_PAIR(ENCODER_LAYER(p) "attention.output.LayerNorm"), \
	  .up = ENCODER_PAIR(ENCODER_LAYER(p) "intermediate.dense"), \
	  .down = ENCODER_PAIR(ENCODER_LAYER(p) "output.dense"), \
	  .output_norm = ENCODER_NORM_PAIR(ENCODER_LAYER(p) "output.LayerNorm") }

/* The sum of the tables' rows, normed; type is NULL where there is no such table. */
uint32_t encoder_embed(struct graph *g, const char *token, const char *type, const char *position,
                       const struct encoder_linear *norm);
uint32_t encoder_block(struct graph *g, const struct encoder_names *n, uint32_t x);
uint32_t encoder_norm(struct graph *g, uint32_t x);   /* x: the last block has normed it */
/* norm(gelu(dense·x)), what the head of masked tokens does first */
uint32_t encoder_transform(struct graph *g, uint32_t x, const struct encoder_linear *dense,
                           const struct encoder_linear *norm);

#endif
