/* olmoe: OLMoE (Muennighoff et al. 2024): Llama's decoder with norms over the whole rows of q and k before they turn,
 * and a feed-forward that is a choice of k among E experts, weighted by their share of a softmax over all (divided by
 * their sum where norm_topk_prob says so). Some clip q, k and v at clip_qkv, which GGUF's files have no word for. */
#include "model/mixture.h"

#define ATTENTION DECODER_BLOCK "self_attn."

struct olmoe {
	int experts, k;
	bool norm;
};

static const struct config_field fields[] = {
	CONFIG_INT('P', "max_position_embeddings", "4096", "context_length", NULL, struct config, n_ctx),
	CONFIG_REAL("rms_norm_eps", "1e-5", "attention.layer_norm_rms_epsilon", NULL, struct config, norm_eps),
	CONFIG_INT('E', "num_experts", "64", "expert_count", NULL, struct olmoe, experts),
	CONFIG_ALSO("num_local_experts", "num_experts"),
	CONFIG_INT('K', "num_experts_per_tok", "8", "expert_used_count", NULL, struct olmoe, k),
	MIXTURE_LOSS("0.01"),
	CONFIG_FLAG(0, "norm_topk_prob", "false", NULL, "false", struct olmoe, norm),
	CONFIG_REAL_OR_NONE("clip_qkv", "0", NULL, "0", struct config, clip_qkv),
	CONFIG_IS("attention_bias", "false", NULL, NULL),
	{ 0 },
};

static const struct weight_spec weights[] = {
	DECODER_EMBEDDING,
	{ DECODER_BLOCK "input_layernorm.weight", "blk.%d.attn_norm.weight", "C", WEIGHT_NORM },
	{ ATTENTION "q_proj.weight", "blk.%d.attn_q.weight", "HD,C", WEIGHT_LINEAR },
	{ ATTENTION "q_norm.weight", "blk.%d.attn_q_norm.weight", "HD", WEIGHT_NORM },
	{ ATTENTION "k_proj.weight", "blk.%d.attn_k.weight", "GD,C", WEIGHT_LINEAR },
	{ ATTENTION "k_norm.weight", "blk.%d.attn_k_norm.weight", "GD", WEIGHT_NORM },
	{ ATTENTION "v_proj.weight", "blk.%d.attn_v.weight", "GD,C", WEIGHT_LINEAR },
	{ ATTENTION "o_proj.weight", "blk.%d.attn_output.weight", "C,HD", WEIGHT_LINEAR },
	{ DECODER_BLOCK "post_attention_layernorm.weight", "blk.%d.ffn_norm.weight", "C", WEIGHT_NORM },
	MIXTURE_WEIGHTS("F"),
	DECODER_HEAD,
	{ 0 },
};

static uint32_t olmoe_block(struct graph *g, int layer, uint32_t x)
{
	const struct olmoe *own = g->model->config.own;
	const struct mixture experts = { MIXTURE_NAMES, .route = { own->k, own->norm } };
	(void)layer;
	x = decoder_attention(g, x, &g->model->config.rope, (struct attention_spec){ 0 });
	return mixture_feed_forward(g, x, &experts);
}

const struct arch arch_olmoe = {
	.name = "olmoe",
	.hf_types = (const char *const[]){ "olmoe", NULL },
	.hf_class = "OlmoeForCausalLM",
	.hf_classifier = "",
	.gguf = "olmoe",
	.fields = (const struct config_field *const[]){ decoder_fields, fields, NULL },
	.own_bytes = sizeof(struct olmoe),
	.config = decoder_config,
	.weights = weights,
	.prefix = "model.",
	.embed = decoder_embed,
	.block = olmoe_block,
	.norm = decoder_norm,
	.head = "lm_head.weight",
	.embedding = "model.embed_tokens.weight",
};
