/* llama: Llama, SmolLM2 and those built like it (Touvron et al. 2023): the decoder of decoder.h as it is,
 * logits = head·n(x), head often the embedding itself, the attention's four products with a bias or without.
 *
 * GGUF's files of this architecture have the rows of Wq and Wk permuted so that the two numbers of a rotated pair are
 * neighbours. */
#include "model/decoder.h"

#define ATTENTION DECODER_BLOCK "self_attn."

struct llama {
	bool bias;       /* b: the attention's linears have a bias */
};

static const struct config_field fields[] = {
	CONFIG_FLAG('b', "attention_bias", "false", "blk.0.attn_q.bias", NULL, struct llama, bias),
	CONFIG_IS("mlp_bias", "false", NULL, NULL),
	{ 0 },
};

static const struct weight_spec weights[] = {
	DECODER_EMBEDDING,
	{ DECODER_BLOCK "input_layernorm.weight", "blk.%d.attn_norm.weight", "C", WEIGHT_NORM },
	{ ATTENTION "q_proj.weight", "blk.%d.attn_q.weight", "HD,C", WEIGHT_LINEAR | WEIGHT_ROPE },
	{ ATTENTION "q_proj.bias", "blk.%d.attn_q.bias", "bHD", WEIGHT_BIAS | WEIGHT_ROPE },
	{ ATTENTION "k_proj.weight", "blk.%d.attn_k.weight", "GD,C", WEIGHT_LINEAR | WEIGHT_ROPE },
	{ ATTENTION "k_proj.bias", "blk.%d.attn_k.bias", "bGD", WEIGHT_BIAS | WEIGHT_ROPE },
	{ ATTENTION "v_proj.weight", "blk.%d.attn_v.weight", "GD,C", WEIGHT_LINEAR },
	{ ATTENTION "v_proj.bias", "blk.%d.attn_v.bias", "bGD", WEIGHT_BIAS },
	{ ATTENTION "o_proj.weight", "blk.%d.attn_output.weight", "C,HD", WEIGHT_LINEAR },
	{ ATTENTION "o_proj.bias", "blk.%d.attn_output.bias", "bC", WEIGHT_BIAS },
	{ DECODER_BLOCK "post_attention_layernorm.weight", "blk.%d.ffn_norm.weight", "C", WEIGHT_NORM },
	DECODER_FEED_FORWARD,
	{ ATTENTION "rotary_emb.inv_freq", NULL, NULL, WEIGHT_IGNORED },
	DECODER_ROPE_FACTORS,
	DECODER_HEAD,
	{ 0 },
};

const struct arch arch_llama = {
	.name = "llama",
	.hf_types = (const char *const[]){ "llama", NULL },
	.hf_class = "LlamaForCausalLM",
	.gguf = "llama",
	.fields = (const struct config_field *const[]){ decoder_fields, fields, NULL },
	.own_bytes = sizeof(struct llama),
	.config = decoder_config,
	.weights = weights,
	.prefix = "model.",
	.embed = decoder_embed,
	.block = decoder_block,
	.norm = decoder_norm,
	.head = "lm_head.weight",
	.embedding = "model.embed_tokens.weight",
};
