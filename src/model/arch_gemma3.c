/* gemma3: Gemma 3's text model (Gemma Team 2025): gemma.h with norms of query and key heads instead of caps, and a
 * window in all but every sixth layer; layers with a window turn by plain angles of a base of their own, the others by
 * ones that may be scaled. Pictures are none of it: a config.json with a vision tower names another type. */
#include "model/gemma.h"

static const struct config_field fields[] = {
	CONFIG_INT('P', "max_position_embeddings", "131072", "context_length", NULL, struct config, n_ctx),
	CONFIG_INT('e', "sliding_window_pattern", "6", NULL, "6", struct gemma, every),
	CONFIG_HARMLESS("_sliding_window_pattern", NULL, "sliding_window_pattern or layer_types count"),
	CONFIG_LAYERS("layer_types", "full_attention sliding_attention", "e", struct gemma, slides),
	CONFIG_REAL("rope_theta", "1000000", "rope.freq_base", "1000000", struct config, rope_theta),
	CONFIG_REAL("rope_local_base_freq", "10000", "rope.freq_base_swa", "10000", struct gemma, local_theta),
	CONFIG_REAL_OR_NONE("final_logit_softcapping", "0", "final_logit_softcapping", "0", struct gemma, logit_cap),
	{ 0 },
};

static const struct weight_spec weights[] = {
	DECODER_EMBEDDING,
	{ DECODER_BLOCK "input_layernorm.weight", "blk.%d.attn_norm.weight", "C", GEMMA_NORM },
	{ GEMMA_ATTENTION "q_proj.weight", "blk.%d.attn_q.weight", "HD,C", WEIGHT_LINEAR },
	{ GEMMA_ATTENTION "q_norm.weight", "blk.%d.attn_q_norm.weight", "D", GEMMA_NORM },
	{ GEMMA_ATTENTION "k_proj.weight", "blk.%d.attn_k.weight", "GD,C", WEIGHT_LINEAR },
	{ GEMMA_ATTENTION "k_norm.weight", "blk.%d.attn_k_norm.weight", "D", GEMMA_NORM },
	{ GEMMA_ATTENTION "v_proj.weight", "blk.%d.attn_v.weight", "GD,C", WEIGHT_LINEAR },
	{ GEMMA_ATTENTION "o_proj.weight", "blk.%d.attn_output.weight", "C,HD", WEIGHT_LINEAR },
	GEMMA_NORMS_AND_FEED_FORWARD,
	{ 0 },
};

static int gemma3_config(struct config *c, const struct config_source *s, struct err *e)
{
	struct gemma *own = c->own;
	const struct rope_layers full = { "full_attention", true }, sliding = { "sliding_attention", false };

	if (decoder_rope(c, s, &full, &c->rope_theta, &c->rope_scaling, &c->rope, e) < 0)
		return -1;
	gemma_query(c, s, 62);
	if (!s->gguf)
		return decoder_rope(c, s, &sliding, &own->local_theta, &own->local_scaling, &own->local, e);
	rope_make(&own->local, &own->local_scaling, own->local_theta, c->D, c->n_ctx);
	return 0;
}

const struct arch arch_gemma3 = {
	.name = "gemma3",
	.hf_types = (const char *const[]){ "gemma3_text", NULL },
	.hf_class = "Gemma3ForCausalLM",
	.hf_classifier = "Gemma3TextForSequenceClassification",
	.gguf = "gemma3",
	.fields = (const struct config_field *const[]){ decoder_fields, gemma_fields, fields, NULL },
	.own_bytes = sizeof(struct gemma),
	.config = gemma3_config,
	.weights = weights,
	.prefix = "model.",
	.embed = gemma_embed,
	.embeds_scaled = true,
	.block = gemma_block,
	.norm = decoder_norm,
	.logits = gemma_logits,
	.head = "lm_head.weight",
	.embedding = "model.embed_tokens.weight",
};
