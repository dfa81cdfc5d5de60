/* gpt_oss: gpt-oss (OpenAI 2025): a decoder with biases everywhere, a sink in each head's softmax, every other layer
 * with a window, YaRN positions, and a feed-forward that is a choice of k among E experts by logits with a bias,
 * weighted by a softmax of the k chosen, each expert with biases and a clamped gate:
 *
 *     y = Σ_e p_e·(Wdown_e·(g·σ(α·g)·(u + 1)) + b)      g = min(Wgate_e·h + b, L)
 *     u = Wup_e·h + b, at most ±L
 *
 * Hugging Face's files have gate and up as one tensor of all experts, their rows in turn, plain ([in][out]) or in
 * MXFP4; GGUF's have them apart. llama.cpp begins YaRN's ramp at whole pairs; here it is as the model was made,
 * whichever file it comes from. LoRA adds to such experts by target_parameters. */
#include "model/init.h"
#include "model/mixture.h"

#define ATTENTION DECODER_BLOCK "self_attn."
#define EXPERTS MIXTURE_EXPERTS
#define ALL MIXTURE_BLOCK "experts."

struct gpt_oss {
	int experts, k, window;
	bool bias;
	double alpha, limit;
	uint8_t slides[CONFIG_LAYERS_MAX];   /* 1: the layer sees the window */
};

static const struct init_rule init[] = {
	{ .hf = ATTENTION "sinks" },
	{ .hf = MIXTURE_BLOCK "router.bias" },
	{ 0 },
};

static const struct config_field fields[] = {
	CONFIG_INT('P', "max_position_embeddings", "131072", "context_length", NULL, struct config, n_ctx),
	CONFIG_INT('G', "num_key_value_heads", "8", "attention.head_count_kv", NULL, struct config, G),
	CONFIG_INT('D', "head_dim", "64", "attention.key_length", "64", struct config, D),
	CONFIG_INT('F', "intermediate_size", "2880", "feed_forward_length", NULL, struct config, F),
	CONFIG_IS(NULL, NULL, "expert_feed_forward_length", "F"),
	CONFIG_REAL("rms_norm_eps", "1e-5", "attention.layer_norm_rms_epsilon", NULL, struct config, norm_eps),
	CONFIG_REAL("rope_theta", "150000", "rope.freq_base", "150000", struct config, rope_theta),
	CONFIG_INT('E', "num_local_experts", "128", "expert_count", NULL, struct gpt_oss, experts),
	CONFIG_ALSO("num_experts", "num_local_experts"),
	CONFIG_INT('K', "num_experts_per_tok", "4", "expert_used_count", NULL, struct gpt_oss, k),
	MIXTURE_LOSS("0.001"),
	CONFIG_INT_OR_NONE(0, "sliding_window", "128", "attention.sliding_window", "128", struct gpt_oss, window),
	CONFIG_LAYERS("layer_types", "full_attention sliding_attention", "2", struct gpt_oss, slides),
	CONFIG_FLAG('b', "attention_bias", "true", "blk.0.attn_q.bias", NULL, struct gpt_oss, bias),
	CONFIG_REAL("swiglu_alpha", "1.702", NULL, "1.702", struct gpt_oss, alpha),
	CONFIG_REAL("swiglu_limit", "7", NULL, "7", struct gpt_oss, limit),
	CONFIG_HARMLESS("experts_per_token", NULL, "num_experts_per_tok is used"),
	CONFIG_HARMLESS("initial_context_length", NULL, "the positions' own scaling is used"),
	CONFIG_HARMLESS("quantization_config", NULL, "the tensors say how they are stored"),
	{ 0 },
};

static const struct weight_fused gate_in = { ALL "gate_up_proj", 2, 0, true, true, true },
	                         up_in = { ALL "gate_up_proj", 2, 1, true, true, true },
	                         down_in = { ALL "down_proj", 1, 0, false, true, true },
	                         gate_bias_in = { ALL "gate_up_proj_bias", 2, 0, true, false, true },
	                         up_bias_in = { ALL "gate_up_proj_bias", 2, 1, true, false, true },
	                         down_bias_in = { ALL "down_proj_bias", 1, 0, false, false, true };

static const struct weight_spec weights[] = {
	DECODER_EMBEDDING,
	{ DECODER_BLOCK "input_layernorm.weight", "blk.%d.attn_norm.weight", "C", WEIGHT_NORM },
	DECODER_ATTENTION(0),
	{ ATTENTION "q_proj.bias", "blk.%d.attn_q.bias", "bHD", WEIGHT_BIAS },
	{ ATTENTION "k_proj.bias", "blk.%d.attn_k.bias", "bGD", WEIGHT_BIAS },
	{ ATTENTION "v_proj.bias", "blk.%d.attn_v.bias", "bGD", WEIGHT_BIAS },
	{ ATTENTION "o_proj.bias", "blk.%d.attn_output.bias", "bC", WEIGHT_BIAS },
	{ ATTENTION "sinks", "blk.%d.attn_sinks.weight", "H", WEIGHT_BIAS },
	{ DECODER_BLOCK "post_attention_layernorm.weight", "blk.%d.post_attention_norm.weight", "C", WEIGHT_NORM },
	{ MIXTURE_BLOCK "router.weight", "blk.%d.ffn_gate_inp.weight", "E,C", 0 },
	{ MIXTURE_BLOCK "router.bias", "blk.%d.ffn_gate_inp.bias", "E", WEIGHT_BIAS },
	{ EXPERTS "gate_proj.weight", "blk.%d.ffn_gate_exps.weight", "E,F,C", WEIGHT_LINEAR, &gate_in },
	{ EXPERTS "up_proj.weight", "blk.%d.ffn_up_exps.weight", "E,F,C", WEIGHT_LINEAR, &up_in },
	{ EXPERTS "down_proj.weight", "blk.%d.ffn_down_exps.weight", "E,C,F", WEIGHT_LINEAR, &down_in },
	{ ALL "gate_proj_bias", "blk.%d.ffn_gate_exps.bias", "EF", WEIGHT_BIAS, &gate_bias_in },
	{ ALL "up_proj_bias", "blk.%d.ffn_up_exps.bias", "EF", WEIGHT_BIAS, &up_bias_in },
	{ ALL "down_proj_bias", "blk.%d.ffn_down_exps.bias", "EC", WEIGHT_BIAS, &down_bias_in },
	DECODER_HEAD,
	{ 0 },
};

/* A config.json without its positions means transformers' default of them. */
static int gpt_oss_config(struct config *c, const struct config_source *s, struct err *e)
{
	if (decoder_config(c, s, e) < 0)
		return -1;
	if (!s->gguf && !json_is_object(json_object_get(s->json, "rope_parameters")) &&
	    !json_object_size(json_object_get(s->json, "rope_scaling")))
		c->rope_scaling =
			(struct rope_scaling){ ROPE_YARN, .factor = 32, .original = 4096, .fast = 32, .slow = 1 };
	else if (!s->gguf || c->rope_scaling.kind != ROPE_YARN)
		return 0;
	c->rope_scaling.whole_pairs = false;
	rope_make(&c->rope, &c->rope_scaling, c->rope_theta, c->rope.dims, c->n_ctx);
	return 0;
}

static uint32_t gpt_oss_block(struct graph *g, int layer, uint32_t x)
{
	const struct gpt_oss *own = g->model->config.own;
	const struct mixture experts = { .router = MIXTURE_BLOCK "router.weight",
		                         .router_bias = MIXTURE_BLOCK "router.bias",
		                         .gate = EXPERTS "gate_proj.weight",
		                         .up = EXPERTS "up_proj.weight",
		                         .down = EXPERTS "down_proj.weight",
		                         .gate_bias = ALL "gate_proj_bias",
		                         .up_bias = ALL "up_proj_bias",
		                         .down_bias = ALL "down_proj_bias",
		                         .route = { own->k, true },
		                         .alpha = (float)own->alpha,
		                         .limit = (float)own->limit };
	struct attention_spec a = { .window = own->slides[layer] ? own->window : 0,
		                    .sinks = nn_weight(g, ATTENTION "sinks") };
	x = decoder_attention(g, x, &g->model->config.rope, a);
	return mixture_feed_forward(g, x, &experts);
}

const struct arch arch_gpt_oss = {
	.name = "gpt_oss",
	.hf_types = (const char *const[]){ "gpt_oss", NULL },
	.hf_class = "GptOssForCausalLM",
	.gguf = "gpt-oss",
	.rope_told = true,
	.fields = (const struct config_field *const[]){ decoder_fields, fields, NULL },
	.own_bytes = sizeof(struct gpt_oss),
	.config = gpt_oss_config,
	.weights = weights,
	.init = init,
	.prefix = "model.",
	.embed = decoder_embed,
	.block = gpt_oss_block,
	.norm = decoder_norm,
	.head = "lm_head.weight",
	.embedding = "model.embed_tokens.weight",
};
