/* gemma2: Gemma 2 (Gemma Team 2024): gemma.h with soft caps, and a window in every other layer, the first one among
 * them. */
#include "model/gemma.h"

static const struct config_field fields[] = {
	CONFIG_INT('P', "max_position_embeddings", "8192", "context_length", NULL, struct config, n_ctx),
	CONFIG_INT('e', NULL, "2", NULL, "2", struct gemma, every),
	CONFIG_HARMLESS("sliding_window_size", NULL, "sliding_window counts"),
	CONFIG_LAYERS("layer_types", "full_attention sliding_attention", "e", struct gemma, slides),
	CONFIG_REAL_OR_NONE("attn_logit_softcapping", "50", "attn_logit_softcapping", "50", struct gemma, score_cap),
	CONFIG_REAL_OR_NONE("final_logit_softcapping", "30", "final_logit_softcapping", "30", struct gemma, logit_cap),
	{ 0 },
};

static const struct weight_spec weights[] = {
	DECODER_EMBEDDING,
	{ DECODER_BLOCK "input_layernorm.weight", "blk.%d.attn_norm.weight", "C", GEMMA_NORM },
	DECODER_ATTENTION(0),
	GEMMA_NORMS_AND_FEED_FORWARD,
	{ 0 },
};

static int gemma2_config(struct config *c, const struct config_source *s, struct err *e)
{
	struct gemma *own = c->own;

	if (decoder_config(c, s, e) < 0)
		return -1;
	gemma_query(c, s, 46);
	own->local = c->rope;
	return 0;
}

const struct arch arch_gemma2 = {
	.name = "gemma2",
	.hf_types = (const char *const[]){ "gemma2", NULL },
	.hf_class = "Gemma2ForCausalLM",
	.gguf = "gemma2",
	.fields = (const struct config_field *const[]){ decoder_fields, gemma_fields, fields, NULL },
	.own_bytes = sizeof(struct gemma),
	.config = gemma2_config,
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
