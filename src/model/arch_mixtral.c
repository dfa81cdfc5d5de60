/* mixtral: Mixtral (Jiang et al. 2024): Mistral's decoder whose feed-forward is a choice of k among E experts, weighted
 * by a softmax of their k logits. GGUF's files of it are llama's that count experts, with q and k permuted. */
#include "model/mixture.h"

#define MOE DECODER_BLOCK "block_sparse_moe."
#define ROUTER MOE "gate.weight " MIXTURE_BLOCK "gate.weight"

struct mixtral {
	int experts, k;
	int window;      /* 0: none */
};

static const struct config_field fields[] = {
	CONFIG_INT('G', "num_key_value_heads", "8", "attention.head_count_kv", "H", struct config, G),
	CONFIG_INT('P', "max_position_embeddings", "131072", "context_length", NULL, struct config, n_ctx),
	CONFIG_REAL("rms_norm_eps", "1e-5", "attention.layer_norm_rms_epsilon", NULL, struct config, norm_eps),
	CONFIG_REAL("rope_theta", "1e6", "rope.freq_base", "10000", struct config, rope_theta),
	CONFIG_INT_OR_NONE(0, "sliding_window", "0", NULL, "0", struct mixtral, window),
	CONFIG_INT('E', "num_local_experts", "8", "expert_count", NULL, struct mixtral, experts),
	CONFIG_ALSO("num_experts", "num_local_experts"),
	CONFIG_INT('K', "num_experts_per_tok", "2", "expert_used_count", NULL, struct mixtral, k),
	MIXTURE_LOSS("0.001"),
	{ 0 },
};

static const struct weight_spec weights[] = {
	DECODER_EMBEDDING,
	{ DECODER_BLOCK "input_layernorm.weight", "blk.%d.attn_norm.weight", "C", WEIGHT_NORM },
	DECODER_ATTENTION(WEIGHT_ROPE),
	{ DECODER_BLOCK "post_attention_layernorm.weight", "blk.%d.ffn_norm.weight", "C", WEIGHT_NORM },
	{ ROUTER, "blk.%d.ffn_gate_inp.weight", "E,C", WEIGHT_LINEAR },
	{ MOE "experts.%d.w1.weight", "blk.%d.ffn_gate_exps.weight blk.%d.ffn_gate.%d.weight", "E,F,C", WEIGHT_LINEAR,
	  &mixture_gate_in },
	{ MOE "experts.%d.w2.weight", "blk.%d.ffn_down_exps.weight blk.%d.ffn_down.%d.weight", "E,C,F", WEIGHT_LINEAR,
	  &mixture_down_in },
	{ MOE "experts.%d.w3.weight", "blk.%d.ffn_up_exps.weight blk.%d.ffn_up.%d.weight", "E,F,C", WEIGHT_LINEAR,
	  &mixture_up_in },
	DECODER_ROPE_FACTORS,
	DECODER_HEAD,
	{ 0 },
};

static uint32_t mixtral_block(struct graph *g, int layer, uint32_t x)
{
	const struct mixtral *own = g->model->config.own;
	const struct mixture experts = { .router = ROUTER, .gate = MOE "experts.%d.w1.weight",
		                         .up = MOE "experts.%d.w3.weight", .down = MOE "experts.%d.w2.weight",
		                         .route = { own->k, true } };
	(void)layer;
	x = decoder_attention(g, x, &g->model->config.rope, (struct attention_spec){ .window = own->window });
	return mixture_feed_forward(g, x, &experts);
}

const struct arch arch_mixtral = {
	.name = "mixtral",
	.hf_types = (const char *const[]){ "mixtral", NULL },
	.hf_class = "MixtralForCausalLM",
	.gguf = "llama",
	.gguf_with = "expert_count",
	.fields = (const struct config_field *const[]){ decoder_fields, fields, NULL },
	.own_bytes = sizeof(struct mixtral),
	.config = decoder_config,
	.weights = weights,
	.prefix = "model.",
	.embed = decoder_embed,
	.block = mixtral_block,
	.norm = decoder_norm,
	.head = "lm_head.weight",
	.embedding = "model.embed_tokens.weight",
};
