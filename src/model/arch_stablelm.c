/* stablelm: StableLM 2 (Bellagente et al. 2024): Llama's decoder with LayerNorms, biases of q, k and v, and a part of
 * each head that turns. The forms with both halves of a block beside each other, and with a norm for every head, are
 * refused. */
#include "model/decoder.h"

#define ATTENTION DECODER_BLOCK "self_attn."

struct stablelm {
	bool bias;       /* b: q, k and v have one */
};

static const struct config_field fields[] = {
	CONFIG_INT('V', "vocab_size", "50304", NULL, NULL, struct config, V),
	CONFIG_INT('C', "hidden_size", "2560", "embedding_length", NULL, struct config, C),
	CONFIG_INT('F', "intermediate_size", "6912", "feed_forward_length", NULL, struct config, F),
	CONFIG_INT('L', "num_hidden_layers", "32", "block_count", NULL, struct config, n_layers),
	CONFIG_INT('H', "num_attention_heads", "32", "attention.head_count", NULL, struct config, H),
	CONFIG_INT('G', "num_key_value_heads", "32", "attention.head_count_kv", "H", struct config, G),
	CONFIG_INT('D', NULL, "C/H", NULL, "C/H", struct config, D),
	CONFIG_INT('P', "max_position_embeddings", "4096", "context_length", NULL, struct config, n_ctx),
	CONFIG_REAL("layer_norm_eps", "1e-5", "attention.layer_norm_epsilon", NULL, struct config, norm_eps),
	CONFIG_REAL("rope_theta", "10000", "rope.freq_base", "10000", struct config, rope_theta),
	CONFIG_REAL("partial_rotary_factor", "0.25", NULL, "1", struct config, rotary),
	CONFIG_FLAG(0, "tie_word_embeddings", "false", NULL, NULL, struct config, tied),
	CONFIG_FLAG('b', "use_qkv_bias", "false", "blk.0.attn_q.bias", NULL, struct stablelm, bias),
	CONFIG_IS("hidden_act", "silu swish", NULL, NULL),
	CONFIG_IS("qk_layernorm", "false", NULL, NULL),
	CONFIG_IS("use_parallel_residual", "false", "use_parallel_residual", "false"),
	{ 0 },
};

static const struct weight_spec weights[] = {
	DECODER_EMBEDDING,
	{ DECODER_BLOCK "input_layernorm.weight", "blk.%d.attn_norm.weight", "C", WEIGHT_NORM },
	{ DECODER_BLOCK "input_layernorm.bias", "blk.%d.attn_norm.bias", "C", WEIGHT_BIAS },
	{ ATTENTION "q_proj.weight", "blk.%d.attn_q.weight", "HD,C", WEIGHT_LINEAR },
	{ ATTENTION "q_proj.bias", "blk.%d.attn_q.bias", "bHD", WEIGHT_BIAS },
	{ ATTENTION "k_proj.weight", "blk.%d.attn_k.weight", "GD,C", WEIGHT_LINEAR },
	{ ATTENTION "k_proj.bias", "blk.%d.attn_k.bias", "bGD", WEIGHT_BIAS },
	{ ATTENTION "v_proj.weight", "blk.%d.attn_v.weight", "GD,C", WEIGHT_LINEAR },
	{ ATTENTION "v_proj.bias", "blk.%d.attn_v.bias", "bGD", WEIGHT_BIAS },
	{ ATTENTION "o_proj.weight", "blk.%d.attn_output.weight", "C,HD", WEIGHT_LINEAR },
	{ DECODER_BLOCK "post_attention_layernorm.weight", "blk.%d.ffn_norm.weight", "C", WEIGHT_NORM },
	{ DECODER_BLOCK "post_attention_layernorm.bias", "blk.%d.ffn_norm.bias", "C", WEIGHT_BIAS },
	DECODER_FEED_FORWARD,
	{ "model.norm.weight", "output_norm.weight", "C", WEIGHT_NORM },
	{ "model.norm.bias", "output_norm.bias", "C", WEIGHT_BIAS },
	{ "lm_head.weight", "output.weight", "V,C", WEIGHT_LINEAR | WEIGHT_HEAD },
	{ 0 },
};


static uint32_t stablelm_block(struct graph *g, int layer, uint32_t x)
{
	uint32_t h = nn_layernorm(g, x, DECODER_BLOCK "input_layernorm.weight", DECODER_BLOCK "input_layernorm.bias");
	uint32_t o = decoder_heads(g, h, &g->model->config.rope, (struct attention_spec){ 0 });
	(void)layer;
	x = nn_sublayer_linear(g, SUBLAYER_ATTENTION, x, h, o, ATTENTION "o_proj.weight", NULL);
	h = nn_layernorm(g, x, DECODER_BLOCK "post_attention_layernorm.weight",
	                 DECODER_BLOCK "post_attention_layernorm.bias");
	return nn_sublayer_linear(g, SUBLAYER_FEED_FORWARD, x, h, decoder_gated(g, h, ACT_SILU),
	                          DECODER_BLOCK "mlp.down_proj.weight", NULL);
}

static uint32_t stablelm_norm(struct graph *g, uint32_t x)
{
	return nn_layernorm(g, x, "model.norm.weight", "model.norm.bias");
}

const struct arch arch_stablelm = {
	.name = "stablelm",
	.hf_types = (const char *const[]){ "stablelm", NULL },
	.hf_class = "StableLmForCausalLM",
	.gguf = "stablelm",
	.fields = (const struct config_field *const[]){ fields, NULL },
	.own_bytes = sizeof(struct stablelm),
	.config = decoder_config,
	.weights = weights,
	.prefix = "model.",
	.embed = decoder_embed,
	.block = stablelm_block,
	.norm = stablelm_norm,
	.head = "lm_head.weight",
	.embedding = "model.embed_tokens.weight",
};
