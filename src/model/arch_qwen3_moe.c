/* qwen3_moe: Qwen3's mixtures of experts (Yang et al. 2025): Qwen3's attention, each head of q and k normed before it
 * is turned, and a feed-forward that is a choice of k among E experts, weighted by their share of a softmax over all,
 * divided by their sum where norm_topk_prob says so (llama.cpp does always). Layers may be dense (mlp_only_layers,
 * decoder_sparse_step), not in GGUF. */
#include "model/mixture.h"

#define ATTENTION DECODER_BLOCK "self_attn."

struct qwen3_moe {
	int experts, k, width;
	bool norm;
	int step;
	uint8_t dense[CONFIG_LAYERS_MAX];    /* 1: the layer's feed-forward is no mixture */
};

static const struct config_field fields[] = {
	CONFIG_INT('P', "max_position_embeddings", "32768", "context_length", NULL, struct config, n_ctx),
	CONFIG_INT('F', "intermediate_size", "6144", "feed_forward_length", "1", struct config, F),
	CONFIG_INT('E', "num_experts", "128", "expert_count", NULL, struct qwen3_moe, experts),
	CONFIG_ALSO("num_local_experts", "num_experts"),
	CONFIG_INT('K', "num_experts_per_tok", "8", "expert_used_count", NULL, struct qwen3_moe, k),
	MIXTURE_LOSS("0.001"),
	CONFIG_INT('M', "moe_intermediate_size", "768", "expert_feed_forward_length", NULL, struct qwen3_moe, width),
	CONFIG_FLAG(0, "norm_topk_prob", "false", NULL, "true", struct qwen3_moe, norm),
	CONFIG_IS("attention_bias", "false", NULL, NULL),
	MIXTURE_DENSE_FIELDS(struct qwen3_moe),
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
	MIXTURE_WEIGHTS("M"),
	MIXTURE_DENSE,
	DECODER_HEAD,
	{ 0 },
};

static bool is_dense(const struct config *c, int layer)
{
	return ((const struct qwen3_moe *)c->own)->dense[layer];
}

static uint32_t qwen3_moe_block(struct graph *g, int layer, uint32_t x)
{
	const struct qwen3_moe *own = g->model->config.own;
	const struct mixture experts = { MIXTURE_NAMES, .route = { own->k, own->norm } };

	x = decoder_attention(g, x, &g->model->config.rope, (struct attention_spec){ 0 });
	return own->dense[layer] ? decoder_feed_forward(g, x) : mixture_feed_forward(g, x, &experts);
}

const struct arch arch_qwen3_moe = {
	.name = "qwen3_moe",
	.hf_types = (const char *const[]){ "qwen3_moe", NULL },
	.hf_class = "Qwen3MoeForCausalLM",
	.gguf = "qwen3moe",
	.fields = (const struct config_field *const[]){ decoder_fields, fields, NULL },
	.own_bytes = sizeof(struct qwen3_moe),
	.config = decoder_config,
	.weights = weights,
	.is_dense = is_dense,
	.prefix = "model.",
	.embed = decoder_embed,
	.block = qwen3_moe_block,
	.norm = decoder_norm,
	.head = "lm_head.weight",
	.embedding = "model.embed_tokens.weight",
};
