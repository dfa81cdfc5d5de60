/* qwen2_moe: Qwen1.5-MoE and Qwen2's mixtures of experts (Qwen Team 2024): Qwen2's attention with biases of q, k and v,
 * and a feed-forward that is a choice of k among E experts, weighted by their share of a softmax over all (divided by
 * their sum where norm_topk_prob says so), and an expert of its own width that all rows share, weighted by a sigmoid.
 * Layers may be dense (mlp_only_layers, decoder_sparse_step), not in GGUF. Models that see a window are refused. */
#include "model/mixture.h"

#define ATTENTION DECODER_BLOCK "self_attn."
#define SHARED MIXTURE_BLOCK "shared_expert."

struct qwen2_moe {
	int experts, k, width, shared;
	bool norm, bias;
	int step;
	uint8_t dense[CONFIG_LAYERS_MAX];    /* 1: the layer's feed-forward is no mixture */
};

static const struct config_field fields[] = {
	CONFIG_INT('G', "num_key_value_heads", "16", "attention.head_count_kv", "H", struct config, G),
	CONFIG_INT('P', "max_position_embeddings", "32768", "context_length", NULL, struct config, n_ctx),
	CONFIG_INT('F', "intermediate_size", "5632", "feed_forward_length", NULL, struct config, F),
	CONFIG_INT('E', "num_experts", "60", "expert_count", NULL, struct qwen2_moe, experts),
	CONFIG_INT('K', "num_experts_per_tok", "4", "expert_used_count", NULL, struct qwen2_moe, k),
	MIXTURE_LOSS("0.001"),
	CONFIG_INT('M', "moe_intermediate_size", "1408", "expert_feed_forward_length", "F/K", struct qwen2_moe, width),
	CONFIG_INT('S', "shared_expert_intermediate_size", "5632", "expert_shared_feed_forward_length", "F",
	           struct qwen2_moe, shared),
	CONFIG_FLAG(0, "norm_topk_prob", "false", NULL, "false", struct qwen2_moe, norm),
	CONFIG_FLAG('b', "qkv_bias", "true", "blk.0.attn_q.bias", NULL, struct qwen2_moe, bias),
	MIXTURE_DENSE_FIELDS(struct qwen2_moe),
	CONFIG_IS("use_sliding_window", "false", NULL, NULL),
	CONFIG_HARMLESS("sliding_window", NULL, "use_sliding_window is off"),
	{ 0 },
};

static const struct weight_spec weights[] = {
	DECODER_EMBEDDING,
	{ DECODER_BLOCK "input_layernorm.weight", "blk.%d.attn_norm.weight", "C", WEIGHT_NORM },
	{ ATTENTION "q_proj.weight", "blk.%d.attn_q.weight", "HD,C", WEIGHT_LINEAR },
	{ ATTENTION "q_proj.bias", "blk.%d.attn_q.bias", "bHD", WEIGHT_BIAS },
	{ ATTENTION "k_proj.weight", "blk.%d.attn_k.weight", "GD,C", WEIGHT_LINEAR },
	{ ATTENTION "k_proj.bias", "blk.%d.attn_k.bias", "bGD", WEIGHT_BIAS },
	{ ATTENTION "v_proj.weight", "blk.%d.attn_v.weight", "GD,C", WEIGHT_LINEAR },
	{ ATTENTION "v_proj.bias", "blk.%d.attn_v.bias", "bGD", WEIGHT_BIAS },
	{ ATTENTION "o_proj.weight", "blk.%d.attn_output.weight", "C,HD", WEIGHT_LINEAR },
	{ DECODER_BLOCK "post_attention_layernorm.weight", "blk.%d.ffn_norm.weight", "C", WEIGHT_NORM },
	MIXTURE_WEIGHTS("M"),
	MIXTURE_DENSE,
	{ MIXTURE_BLOCK "shared_expert_gate.weight", "blk.%d.ffn_gate_inp_shexp.weight", "1,C",
	  WEIGHT_LINEAR | WEIGHT_OF_EXPERTS },
	{ SHARED "gate_proj.weight", "blk.%d.ffn_gate_shexp.weight", "S,C", WEIGHT_LINEAR | WEIGHT_OF_EXPERTS },
	{ SHARED "up_proj.weight", "blk.%d.ffn_up_shexp.weight", "S,C", WEIGHT_LINEAR | WEIGHT_OF_EXPERTS },
	{ SHARED "down_proj.weight", "blk.%d.ffn_down_shexp.weight", "C,S", WEIGHT_LINEAR | WEIGHT_OF_EXPERTS },
	DECODER_HEAD,
	{ 0 },
};

static bool is_dense(const struct config *c, int layer)
{
	return ((const struct qwen2_moe *)c->own)->dense[layer];
}

static uint32_t qwen2_moe_block(struct graph *g, int layer, uint32_t x)
{
	const struct qwen2_moe *own = g->model->config.own;
	const struct mixture experts = { MIXTURE_NAMES,
		                         .route = { own->k, own->norm },
		                         .shared_router = MIXTURE_BLOCK "shared_expert_gate.weight",
		                         .shared_gate = SHARED "gate_proj.weight",
		                         .shared_up = SHARED "up_proj.weight",
		                         .shared_down = SHARED "down_proj.weight" };

	x = decoder_attention(g, x, &g->model->config.rope, (struct attention_spec){ 0 });
	return own->dense[layer] ? decoder_feed_forward(g, x) : mixture_feed_forward(g, x, &experts);
}

const struct arch arch_qwen2_moe = {
	.name = "qwen2_moe",
	.hf_types = (const char *const[]){ "qwen2_moe", NULL },
	.hf_class = "Qwen2MoeForCausalLM",
	.gguf = "qwen2moe",
	.fields = (const struct config_field *const[]){ decoder_fields, fields, NULL },
	.own_bytes = sizeof(struct qwen2_moe),
	.config = decoder_config,
	.weights = weights,
	.is_dense = is_dense,
	.prefix = "model.",
	.embed = decoder_embed,
	.block = qwen2_moe_block,
	.norm = decoder_norm,
	.head = "lm_head.weight",
	.embedding = "model.embed_tokens.weight",
};
