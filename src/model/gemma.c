/* gemma: facts and forward that Gemma 2 and 3 share. */
#include "model/gemma.h"

#include <math.h>

const struct config_field gemma_fields[] = {
	CONFIG_INT('D', "head_dim", "256", "attention.key_length", "C/H", struct config, D),
	CONFIG_INT('G', "num_key_value_heads", "4", "attention.head_count_kv", "H", struct config, G),
	CONFIG_IS("hidden_act", "gelu_pytorch_tanh gelu", NULL,
	          NULL), /* older files; hidden_activation is what counts */
	CONFIG_IS("hidden_activation", "gelu_pytorch_tanh", NULL, NULL),
	CONFIG_FLAG(0, "tie_word_embeddings", "true", NULL, NULL, struct config, tied),
	CONFIG_INT('q', "query_pre_attn_scalar", "256", NULL, "D", struct gemma, query),
	CONFIG_INT_OR_NONE(0, "sliding_window", "4096", "attention.sliding_window", "0", struct gemma, window),
	CONFIG_IS("attention_bias", "false", NULL, NULL),
	CONFIG_IS("use_bidirectional_attention", "false", NULL, NULL),
	{ 0 },
};

void gemma_query(struct config *c, const struct config_source *s, int large)
{
	struct gemma *own = c->own;

	if (s->gguf && c->n_layers == large)
		own->query = c->C / c->H;
}

static const struct gemma *own_of(const struct graph *g) { return g->model->config.own; }

uint32_t gemma_embed(struct graph *g)
{
	return op_scale(g->tape, decoder_embed(g), (float)sqrt((double)g->model->config.C));
}

uint32_t gemma_block(struct graph *g, int layer, uint32_t x)
{
	const struct gemma *own = own_of(g);
	bool slides = own->slides[layer];
	struct attention_spec a = { .scale = (float)(1 / sqrt((double)own->query)), .cap = (float)own->score_cap,
		                    .window = slides ? own->window : 0 };
	uint32_t h = nn_rmsnorm(g, x, DECODER_BLOCK "input_layernorm.weight");
	uint32_t y = decoder_heads(g, h, slides ? &own->local : &g->model->config.rope, a);

	y = nn_linear(g, y, GEMMA_ATTENTION "o_proj.weight", NULL, TENSOR_NONE);
	x = nn_sublayer_normed(g, SUBLAYER_ATTENTION, x, h, y, DECODER_BLOCK "post_attention_layernorm.weight");
	h = nn_rmsnorm(g, x, DECODER_BLOCK "pre_feedforward_layernorm.weight");
	y = nn_linear(g, decoder_gated(g, h, ACT_GELU_TANH), DECODER_BLOCK "mlp.down_proj.weight", NULL, TENSOR_NONE);
	return nn_sublayer_normed(g, SUBLAYER_FEED_FORWARD, x, h, y, DECODER_BLOCK "post_feedforward_layernorm.weight");
}

void gemma_logits(struct graph *g, struct linear *head, float *cap)
{
	(void)head;
	*cap = (float)own_of(g)->logit_cap;
}
