/* decoder: what Llama and those built like it share, so that one of them is a file of what differs.
 *
 *     x += Wo·attention(rope(Wq·n(x)), rope(Wk·n(x)), Wv·n(x))      n: RMSNorm, one a half
 *     x += Wdown·(silu(Wgate·n(x)) ∘ Wup·n(x))
 *
 * (Touvron et al. 2023.) The weights have Hugging Face's names of all these models; a part computes with a bias where
 * the model has one of that name, and without where it has none. Every x is [N][C], a row a token. */
#ifndef MODEL_DECODER_H
#define MODEL_DECODER_H

#include "model/graph.h"

#define DECODER_BLOCK "model.layers.%d."

uint32_t decoder_embed(struct graph *g);                          /* the rows of the tokens */
uint32_t decoder_attention(struct graph *g, uint32_t x);          /* x + the attention of its norm */
uint32_t decoder_feed_forward(struct graph *g, uint32_t x);       /* x + the gated feed-forward of its norm */
uint32_t decoder_block(struct graph *g, int layer, uint32_t x);   /* both, one after the other */
uint32_t decoder_norm(struct graph *g, uint32_t x);               /* the final norm */

#endif
