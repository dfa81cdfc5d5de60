/* phi3: Phi-3 and Phi-4-mini (Abdin et al. 2024): Llama's decoder with q, k and v in one matrix and gate and up in
 * another, a part of each head that turns, and positions scaled by longrope.
 *
 * longrope has factors for documents of up to original_max_position_embeddings and others for longer ones; the first
 * are computed with, so the model has that many positions here. */
#include "model/decoder.h"

#define ATTENTION DECODER_BLOCK "self_attn."
#define MLP DECODER_BLOCK "mlp."

struct phi3 {
	int positions;   /* max_position_embeddings */
	int original;    /* original_max_position_embeddings, which decoder_rope reads */
	int window;      /* 0: none */
};

static const struct config_field fields[] = {
	CONFIG_INT('m', "max_position_embeddings", "4096", "context_length", NULL, struct phi3, positions),
	CONFIG_INT('o', "original_max_position_embeddings", "4096", "rope.scaling.original_context_length", "m",
	           struct phi3, original),
	CONFIG_REAL("rms_norm_eps", "1e-5", "attention.layer_norm_rms_epsilon", NULL, struct config, norm_eps),
	CONFIG_REAL("partial_rotary_factor", "1", NULL, "1", struct config, rotary),
	CONFIG_HARMLESS("full_attn_mod", NULL, "nobody reads it"),
	CONFIG_HARMLESS("interpolate_factor", NULL, "nobody reads it"),
	CONFIG_INT_OR_NONE(0, "sliding_window", "0", "attention.sliding_window", "0", struct phi3, window),
	{ 0 },
};

static const struct weight_spec weights[] = {
	DECODER_EMBEDDING,
	{ DECODER_BLOCK "input_layernorm.weight", "blk.%d.attn_norm.weight", "C", WEIGHT_NORM },
	{ ATTENTION "qkv_proj.weight", "blk.%d.attn_qkv.weight", "HD+2GD,C", WEIGHT_LINEAR },
	{ ATTENTION "o_proj.weight", "blk.%d.attn_output.weight", "C,HD", WEIGHT_LINEAR },
	{ DECODER_BLOCK "post_attention_layernorm.weight", "blk.%d.ffn_norm.weight", "C", WEIGHT_NORM },
	{ MLP "gate_up_proj.weight", "blk.%d.ffn_up.weight", "2F,C", WEIGHT_LINEAR },
	{ MLP "down_proj.weight", "blk.%d.ffn_down.weight", "C,F", WEIGHT_LINEAR },
	{ "rope_factors_long.weight", "rope_factors_long.weight", NULL, WEIGHT_IGNORED },   /* rope.h reads them */
	{ "rope_factors_short.weight", "rope_factors_short.weight", NULL, WEIGHT_IGNORED },
	DECODER_HEAD,
	{ 0 },
};

static int phi3_config(struct config *c, const struct config_source *s, struct err *e)
{
	const struct phi3 *own = c->own;

	c->n_ctx = own->positions;
	return decoder_config(c, s, e);
}

static uint32_t attention(struct graph *g, uint32_t x)
{
	const struct config *c = &g->model->config;
	const struct phi3 *own = c->own;
	size_t q = (size_t)c->H * (size_t)c->D, k = (size_t)c->G * (size_t)c->D;
	uint32_t h = nn_rmsnorm(g, x, DECODER_BLOCK "input_layernorm.weight"), part[3];

	op_split(g->tape, nn_linear(g, h, ATTENTION "qkv_proj.weight", NULL, TENSOR_NONE), 1, 3,
	         (size_t[]){ q, k, k }, part);
	uint32_t o = nn_attention(g, nn_rope(g, part[0], c->H, &c->rope), nn_rope(g, part[1], c->G, &c->rope), part[2],
	                          (struct attention_spec){ .window = own->window });
	return nn_sublayer_linear(g, SUBLAYER_ATTENTION, x, h, o, ATTENTION "o_proj.weight", NULL);
}

static uint32_t phi3_block(struct graph *g, int layer, uint32_t x)
{
	size_t F = (size_t)g->model->config.F;
	uint32_t part[2];
	(void)layer;
	x = attention(g, x);
	uint32_t h = nn_rmsnorm(g, x, DECODER_BLOCK "post_attention_layernorm.weight");
	op_split(g->tape, nn_linear(g, h, MLP "gate_up_proj.weight", NULL, TENSOR_NONE), 1, 2, (size_t[]){ F, F },
	         part);
	return nn_sublayer_linear(g, SUBLAYER_FEED_FORWARD, x, h, op_act(g->tape, ACT_SILU, part[0], part[1]),
	                          MLP "down_proj.weight", NULL);
}

const struct arch arch_phi3 = {
	.name = "phi3",
	.hf_types = (const char *const[]){ "phi3", NULL },
	.hf_class = "Phi3ForCausalLM",
	.gguf = "phi3",
	.fields = (const struct config_field *const[]){ decoder_fields, fields, NULL },
	.own_bytes = sizeof(struct phi3),
	.config = phi3_config,
	.weights = weights,
	.prefix = "model.",
	.embed = decoder_embed,
	.block = phi3_block,
	.norm = decoder_norm,
	.head = "lm_head.weight",
	.embedding = "model.embed_tokens.weight",
};
