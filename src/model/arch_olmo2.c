/* olmo2: OLMo 2 (Team OLMo 2024): Llama's decoder with its norms elsewhere: over the whole rows of q and k before they
 * turn, and over what each half made, before it is added.
 *
 *     x += n(Wo·attention(rope(n(Wq·x)), rope(n(Wk·x)), Wv·x))      x += n(Wdown·(silu(Wgate·x) ∘ Wup·x))
 */
#include "model/decoder.h"

#define ATTENTION DECODER_BLOCK "self_attn."

static const struct config_field fields[] = {
	CONFIG_REAL("rms_norm_eps", "1e-5", "attention.layer_norm_rms_epsilon", NULL, struct config, norm_eps),
	CONFIG_IS("attention_bias", "false", NULL, NULL),
	{ 0 },
};

static const struct weight_spec weights[] = {
	DECODER_EMBEDDING,
	{ ATTENTION "q_proj.weight", "blk.%d.attn_q.weight", "HD,C", WEIGHT_LINEAR },
	{ ATTENTION "q_norm.weight", "blk.%d.attn_q_norm.weight", "HD", WEIGHT_NORM },
	{ ATTENTION "k_proj.weight", "blk.%d.attn_k.weight", "GD,C", WEIGHT_LINEAR },
	{ ATTENTION "k_norm.weight", "blk.%d.attn_k_norm.weight", "GD", WEIGHT_NORM },
	{ ATTENTION "v_proj.weight", "blk.%d.attn_v.weight", "GD,C", WEIGHT_LINEAR },
	{ ATTENTION "o_proj.weight", "blk.%d.attn_output.weight", "C,HD", WEIGHT_LINEAR },
	{ DECODER_BLOCK "post_attention_layernorm.weight", "blk.%d.post_attention_norm.weight", "C", WEIGHT_NORM },
	DECODER_FEED_FORWARD,
	{ DECODER_BLOCK "post_feedforward_layernorm.weight", "blk.%d.post_ffw_norm.weight", "C", WEIGHT_NORM },
	DECODER_HEAD,
	{ 0 },
};

static uint32_t olmo2_block(struct graph *g, int layer, uint32_t x)
{
	(void)layer;
	uint32_t y = decoder_heads(g, x, &g->model->config.rope, (struct attention_spec){ 0 });

	y = nn_linear(g, y, ATTENTION "o_proj.weight", NULL, TENSOR_NONE);
	x = nn_sublayer_normed(g, SUBLAYER_ATTENTION, x, x, y, DECODER_BLOCK "post_attention_layernorm.weight");
	y = nn_linear(g, decoder_gated(g, x, ACT_SILU), DECODER_BLOCK "mlp.down_proj.weight", NULL, TENSOR_NONE);
	return nn_sublayer_normed(g, SUBLAYER_FEED_FORWARD, x, x, y, DECODER_BLOCK "post_feedforward_layernorm.weight");
}

const struct arch arch_olmo2 = {
	.name = "olmo2",
	.hf_types = (const char *const[]){ "olmo2", NULL },
	.hf_class = "Olmo2ForCausalLM",
	.gguf = "olmo2",
	.fields = (const struct config_field *const[]){ decoder_fields, fields, NULL },
	.config = decoder_config,
	.weights = weights,
	.prefix = "model.",
	.embed = decoder_embed,
	.block = olmo2_block,
	.norm = decoder_norm,
	.head = "lm_head.weight",
	.embedding = "model.embed_tokens.weight",
};
