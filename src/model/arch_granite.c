/* granite: Granite 3 (IBM 2024): Llama's decoder with four numbers in it: of the embedding, of what each half adds, of
 * q·k, and what the logits are divided by. GGUF permutes q and k as llama's files do. */
#include "model/decoder.h"

struct granite {
	double embedding, residual, attention, logits;
};

static const struct config_field fields[] = {
	CONFIG_REAL("embedding_multiplier", "1", "embedding_scale", "1", struct granite, embedding),
	CONFIG_REAL("residual_multiplier", "1", "residual_scale", "1", struct granite, residual),
	CONFIG_REAL("attention_multiplier", "1", "attention.scale", "1", struct granite, attention),
	CONFIG_REAL("logits_scaling", "1", "logit_scale", "1", struct granite, logits),
	CONFIG_IS("attention_bias", "false", NULL, NULL),
	CONFIG_IS("mlp_bias", "false", NULL, NULL),
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

static const struct granite *own_of(const struct graph *g) { return g->model->config.own; }

static uint32_t granite_embed(struct graph *g)
{
	return op_scale(g->tape, decoder_embed(g), (float)own_of(g)->embedding);
}

/* x + residual·W·in, W the last product of a half */
static uint32_t add(struct graph *g, enum sublayer kind, uint32_t x, uint32_t h, uint32_t in, const char *weight)
{
	uint32_t y = nn_linear(g, in, weight, NULL, TENSOR_NONE);

	return nn_sublayer(g, kind, x, h, op_scale(g->tape, y, (float)own_of(g)->residual));
}

static uint32_t granite_block(struct graph *g, int layer, uint32_t x)
{
	struct attention_spec a = { .scale = (float)own_of(g)->attention };
	uint32_t h = nn_rmsnorm(g, x, DECODER_BLOCK "input_layernorm.weight");
	(void)layer;
	x = add(g, SUBLAYER_ATTENTION, x, h, decoder_heads(g, h, &g->model->config.rope, a),
	        DECODER_BLOCK "self_attn.o_proj.weight");
	h = nn_rmsnorm(g, x, DECODER_BLOCK "post_attention_layernorm.weight");
	return add(g, SUBLAYER_FEED_FORWARD, x, h, decoder_gated(g, h, ACT_SILU), DECODER_BLOCK "mlp.down_proj.weight");
}

static void granite_logits(struct graph *g, struct linear *head, float *cap)
{
	(void)cap;
	head->scale = (float)(1 / own_of(g)->logits);
}

const struct arch arch_granite = {
	.name = "granite",
	.hf_types = (const char *const[]){ "granite", NULL },
	.hf_class = "GraniteForCausalLM",
	.hf_classifier = "",
	.gguf = "granite",
	.fields = (const struct config_field *const[]){ decoder_fields, fields, NULL },
	.own_bytes = sizeof(struct granite),
	.config = decoder_config,
	.weights = weights,
	.prefix = "model.",
	.embed = granite_embed,
	.block = granite_block,
	.norm = decoder_norm,
	.logits = granite_logits,
	.head = "lm_head.weight",
	.embedding = "model.embed_tokens.weight",
};
