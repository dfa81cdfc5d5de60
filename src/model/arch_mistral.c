/* mistral: Mistral (Jiang et al. 2023): Llama's decoder, whose layers may see a window of positions only: all of them,
 * or those of layer_types (Ministral). GGUF's files of it are llama's, which say no window: up to its length all is the
 * same. */
#include <string.h>

#include "base/log.h"
#include "model/decoder.h"

struct mistral {
	int window;                         /* 0: none */
	uint8_t slides[CONFIG_LAYERS_MAX];  /* 1: the layer sees a window */
};

static const struct config_field fields[] = {
	CONFIG_INT('G', "num_key_value_heads", "8", NULL, NULL, struct config, G),
	CONFIG_INT('P', "max_position_embeddings", "131072", NULL, NULL, struct config, n_ctx),
	CONFIG_INT_OR_NONE(0, "sliding_window", "4096", NULL, NULL, struct mistral, window),
	CONFIG_LAYERS("layer_types", "full_attention sliding_attention", "0", struct mistral, slides),
	{ 0 },
};

static const struct weight_spec weights[] = {
	DECODER_EMBEDDING,
	{ DECODER_BLOCK "input_layernorm.weight", "blk.%d.attn_norm.weight", "C", WEIGHT_NORM },
	DECODER_ATTENTION(WEIGHT_ROPE),
	{ DECODER_BLOCK "post_attention_layernorm.weight", "blk.%d.ffn_norm.weight", "C", WEIGHT_NORM },
	DECODER_FEED_FORWARD,
	DECODER_HEAD,
	{ 0 },
};

static uint32_t mistral_block(struct graph *g, int layer, uint32_t x)
{
	const struct mistral *own = g->model->config.own;
	int window = own->slides[layer] ? own->window : 0;

	x = decoder_attention(g, x, &g->model->config.rope, (struct attention_spec){ .window = window });
	return decoder_feed_forward(g, x);
}

extern const struct arch arch_llama;

static int mistral_to_gguf(const struct config *c, struct config *out, struct arena *mem, const char *where,
                           struct err *e)
{
	const struct mistral *own = c->own;

	(void)e;
	out->arch = &arch_llama;
	out->own = arena_alloc(mem, arch_llama.own_bytes + 1);
	if (own->window == 0 || own->window >= c->n_ctx || !memchr(own->slides, 1, (size_t)c->n_layers))
		return 0;
	log_warn("%s: GGUF's files of mistral say no sliding_window: their context_length is the window, %d, up to "
	         "which it changes nothing", where, own->window);
	out->n_ctx = own->window;
	return 0;
}

const struct arch arch_mistral = {
	.name = "mistral",
	.hf_types = (const char *const[]){ "mistral", NULL },
	.hf_class = "MistralForCausalLM",
	.to_gguf = mistral_to_gguf,
	.fields = (const struct config_field *const[]){ decoder_fields, fields, NULL },
	.own_bytes = sizeof(struct mistral),
	.config = decoder_config,
	.weights = weights,
	.prefix = "model.",
	.embed = decoder_embed,
	.block = mistral_block,
	.norm = decoder_norm,
	.head = "lm_head.weight",
	.embedding = "model.embed_tokens.weight",
};
