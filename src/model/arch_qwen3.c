/* qwen3: Qwen3, its dense models (Yang et al. 2025): Llama's decoder with heads of a size of their own, each head of q
 * and k normed before it is turned. GGUF has the rows of Wq and Wk in Hugging Face's order. Biases and the sliding
 * window that its config can ask for are refused. */
#include "model/decoder.h"

#define ATTENTION DECODER_BLOCK "self_attn."

static const struct config_field fields[] = {
	CONFIG_INT('P', "max_position_embeddings", "32768", "context_length", NULL, struct config, n_ctx),
	CONFIG_INT('D', "head_dim", "128", "attention.key_length", NULL, struct config, D),
	CONFIG_IS("attention_bias", "false", NULL, NULL),
	CONFIG_IS("use_sliding_window", "false", NULL, NULL),
	CONFIG_HARMLESS("sliding_window", NULL, "use_sliding_window is off"),
	{ 0 },
};

static const struct weight_spec weights[] = {
	DECODER_EMBEDDING,
	{ DECODER_BLOCK "input_layernorm.weight", "blk.%d.attn_norm.weight", "C", WEIGHT_NORM },
	{ ATTENTION "q_proj.weight", "blk.%d.attn_q.weight", "HD,C", WEIGHT_LINEAR },
	{ ATTENTION "q_norm.weight", "blk.%d.attn_q_norm.weight", "D", WEIGHT_NORM },
	{ ATTENTION "k_proj.weight", "blk.%d.attn_k.weight", "GD,C", WEIGHT_LINEAR },
	{ ATTENTION "k_norm.weight", "blk.%d.attn_k_norm.weight", "D", WEIGHT_NORM },
	{ ATTENTION "v_proj.weight", "blk.%d.attn_v.weight", "GD,C", WEIGHT_LINEAR },
	{ ATTENTION "o_proj.weight", "blk.%d.attn_output.weight", "C,HD", WEIGHT_LINEAR },
	{ DECODER_BLOCK "post_attention_layernorm.weight", "blk.%d.ffn_norm.weight", "C", WEIGHT_NORM },
	DECODER_FEED_FORWARD,
	DECODER_HEAD,
	{ 0 },
};

const struct arch arch_qwen3 = {
	.name = "qwen3",
	.hf_types = (const char *const[]){ "qwen3", NULL },
	.hf_class = "Qwen3ForCausalLM",
	.gguf = "qwen3",
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
