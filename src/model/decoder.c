/* decoder: the forward of Llama's family, part by part: embedding, attention, gated feed-forward, the two as a block.
 *
 * Query heads share key-value heads in groups; positions turn q and k (graph.c's table). See decoder.h. */
#include "model/decoder.h"

#define BLOCK DECODER_BLOCK

uint32_t decoder_embed(struct graph *g)
{
	return nn_embed(g, "model.embed_tokens.weight", EMBED_IDS);
}

uint32_t decoder_attention(struct graph *g, uint32_t x)
{
	const struct config *c = &g->model->config;
	uint32_t h = nn_rmsnorm(g, x, BLOCK "input_layernorm.weight");
	uint32_t q = nn_linear(g, h, BLOCK "self_attn.q_proj.weight", BLOCK "self_attn.q_proj.bias", TENSOR_NONE);
	uint32_t k = nn_linear(g, h, BLOCK "self_attn.k_proj.weight", BLOCK "self_attn.k_proj.bias", TENSOR_NONE);
	uint32_t v = nn_linear(g, h, BLOCK "self_attn.v_proj.weight", BLOCK "self_attn.v_proj.bias", TENSOR_NONE);
	uint32_t o = nn_attention(g, nn_rope(g, q, c->H), nn_rope(g, k, c->G), v);

	return nn_linear(g, o, BLOCK "self_attn.o_proj.weight", BLOCK "self_attn.o_proj.bias", x);
}

uint32_t decoder_feed_forward(struct graph *g, uint32_t x)
{
	uint32_t h = nn_rmsnorm(g, x, BLOCK "post_attention_layernorm.weight");
	uint32_t gate = nn_linear(g, h, BLOCK "mlp.gate_proj.weight", NULL, TENSOR_NONE);
	uint32_t up = nn_linear(g, h, BLOCK "mlp.up_proj.weight", NULL, TENSOR_NONE);

	return nn_linear(g, op_swiglu(g->tape, gate, up), BLOCK "mlp.down_proj.weight", NULL, x);
}

uint32_t decoder_block(struct graph *g, int layer, uint32_t x)
{
	(void)layer;
	return decoder_feed_forward(g, decoder_attention(g, x));
}

uint32_t decoder_norm(struct graph *g, uint32_t x)
{
	return nn_rmsnorm(g, x, "model.norm.weight");
}
