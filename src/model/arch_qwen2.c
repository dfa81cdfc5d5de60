/* qwen2: Qwen2 and Qwen2.5 (Yang et al. 2024): Llama's decoder with biases of q, k and v alone. GGUF has the rows of Wq
 * and Wk in Hugging Face's order. The sliding window that its config can ask for is refused. */
#include "model/decoder.h"

#define ATTENTION DECODER_BLOCK "self_attn."

static const struct config_field fields[] = {
	CONFIG_INT('P', "max_position_embeddings", "32768", "context_length", NULL, struct config, n_ctx),
	CONFIG_IS("use_sliding_window", "false", NULL, NULL),
	CONFIG_HARMLESS("sliding_window", NULL, "use_sliding_window is off"),
	CONFIG_HARMLESS("attention_bias", NULL, "q, k and v have a bias whatever it says"),
	{ 0 },
};

static const struct weight_spec weights[] = {
	DECODER_EMBEDDING,
	{ DECODER_BLOCK "input_layernorm.weight", "blk.%d.attn_norm.weight", "C", WEIGHT_NORM },
	{ ATTENTION "q_proj.weight", "blk.%d.attn_q.weight", "HD,C", WEIGHT_LINEAR },
	{ ATTENTION "q_proj.bias", "blk.%d.attn_q.bias", "HD", WEIGHT_BIAS },
	{ ATTENTION "k_proj.weight", "blk.%d.attn_k.weight", "GD,C", WEIGHT_LINEAR },
	{ ATTENTION "k_proj.bias", "blk.%d.attn_k.bias", "GD", WEIGHT_BIAS },
	{ ATTENTION "v_proj.weight", "blk.%d.attn_v.weight", "GD,C", WEIGHT_LINEAR },
	{ ATTENTION "v_proj.bias", "blk.%d.attn_v.bias", "GD", WEIGHT_BIAS },
	{ ATTENTION "o_proj.weight", "blk.%d.attn_output.weight", "C,HD", WEIGHT_LINEAR },
	{ DECODER_BLOCK "post_attention_layernorm.weight", "blk.%d.ffn_norm.weight", "C", WEIGHT_NORM },
	DECODER_FEED_FORWARD,
	DECODER_HEAD,
	{ 0 },
};

const struct arch arch_qwen2 = {
	.name = "qwen2",
	.hf_types = (const char *const[]){ "qwen2", NULL },
	.hf_class = "Qwen2ForCausalLM",
	.gguf = "qwen2",
	.fields = (const struct config_field *const[]){ decoder_fields, fields, NULL },
	.config = decoder_config,
	.weights = weights,
	.prefix = "model.",
	.embed = decoder_embed,
	.block = decoder_block,
	.norm = decoder_norm,
	.head = "lm_head.weight",
	.embedding = "model.embed_tokens.weight",
};
