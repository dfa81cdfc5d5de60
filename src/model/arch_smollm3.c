/* smollm3: SmolLM3 (Bakouch et al. 2025): Llama's decoder, whose every fourth layer has no positions of its own.
 * Windows in those layers, which its config can ask for, are refused. GGUF permutes q and k as llama's files do and
 * says nothing of the layers: they are every fourth there. */
#include "model/decoder.h"

struct smollm3 {
	int every;                         /* e: layers from one without positions to the next */
	uint8_t turns[CONFIG_LAYERS_MAX];  /* 1: q and k turn by their positions */
};

static const struct config_field fields[] = {
	CONFIG_INT('G', "num_key_value_heads", "4", "attention.head_count_kv", "H", struct config, G),
	CONFIG_INT('P', "max_position_embeddings", "32768", "context_length", NULL, struct config, n_ctx),
	CONFIG_REAL("rope_theta", "2000000", "rope.freq_base", "10000", struct config, rope_theta),
	CONFIG_FLAG(0, "tie_word_embeddings", "true", NULL, NULL, struct config, tied),
	CONFIG_INT('e', "no_rope_layer_interval", "4", NULL, "4", struct smollm3, every),
	CONFIG_LAYERS("no_rope_layers", "0 1", "e", struct smollm3, turns),
	CONFIG_IS("use_sliding_window", "false", NULL, NULL),
	CONFIG_HARMLESS("sliding_window", NULL, "use_sliding_window is off"),
	CONFIG_IS("attention_bias", "false", NULL, NULL),
	CONFIG_IS("mlp_bias", "false", NULL, NULL),
	CONFIG_EACH("layer_types", "full_attention"),
	{ 0 },
};

static const struct weight_spec weights[] = {
	DECODER_EMBEDDING,
	{ DECODER_BLOCK "input_layernorm.weight", "blk.%d.attn_norm.weight", "C", WEIGHT_NORM },
	DECODER_ATTENTION(WEIGHT_ROPE),
	{ DECODER_BLOCK "post_attention_layernorm.weight", "blk.%d.ffn_norm.weight", "C", WEIGHT_NORM },
	DECODER_FEED_FORWARD,
	DECODER_ROPE_FACTORS,
	DECODER_HEAD,
	{ 0 },
};

static uint32_t smollm3_block(struct graph *g, int layer, uint32_t x)
{
	const struct config *c = &g->model->config;
	const struct smollm3 *own = c->own;

	x = decoder_attention(g, x, own->turns[layer] ? &c->rope : NULL, (struct attention_spec){ 0 });
	return decoder_feed_forward(g, x);
}

const struct arch arch_smollm3 = {
	.name = "smollm3",
	.hf_types = (const char *const[]){ "smollm3", NULL },
	.hf_class = "SmolLM3ForCausalLM",
	.gguf = "smollm3",
	.fields = (const struct config_field *const[]){ decoder_fields, fields, NULL },
	.own_bytes = sizeof(struct smollm3),
	.config = decoder_config,
	.weights = weights,
	.prefix = "model.",
	.embed = decoder_embed,
	.block = smollm3_block,
	.norm = decoder_norm,
	.head = "lm_head.weight",
	.embedding = "model.embed_tokens.weight",
};
