/* encoder: BERT's family, its facts and its forward part by part. */
#include "model/encoder.h"

#include "base/jsonx.h"

const struct config_field encoder_fields[] = {
	CONFIG_INT('V', "vocab_size", "30522", NULL, NULL, struct config, V),
	CONFIG_INT('C', "hidden_size", "768", "embedding_length", NULL, struct config, C),
	CONFIG_INT('F', "intermediate_size", "3072", "feed_forward_length", NULL, struct config, F),
	CONFIG_INT('L', "num_hidden_layers", "12", "block_count", NULL, struct config, n_layers),
	CONFIG_INT('H', "num_attention_heads", "12", "attention.head_count", NULL, struct config, H),
	CONFIG_INT('G', NULL, "H", NULL, "H", struct config, G),
	CONFIG_INT('D', NULL, "C/H", NULL, "C/H", struct config, D),
	CONFIG_INT('P', "max_position_embeddings", "512", "context_length", NULL, struct encoder, positions),
	CONFIG_INT('T', "type_vocab_size", "2", NULL, NULL, struct encoder, types),
	CONFIG_REAL("layer_norm_eps", "1e-12", "attention.layer_norm_epsilon", NULL, struct config, norm_eps),
	CONFIG_IS("hidden_act", "gelu", NULL, NULL),
	CONFIG_IS("position_embedding_type", "absolute", NULL, NULL),
	CONFIG_FLAG(0, "tie_word_embeddings", "true", NULL, "true", struct config, tied),
	CONFIG_IS("is_decoder", "false", "attention.causal", "false"),
	CONFIG_HARMLESS("hidden_dropout_prob", NULL, "of training"),
	CONFIG_HARMLESS("attention_probs_dropout_prob", NULL, "of training"),
	CONFIG_HARMLESS("pooler_fc_size", NULL, "nobody reads it"),
	CONFIG_HARMLESS("pooler_num_attention_heads", NULL, "nobody reads it"),
	CONFIG_HARMLESS("pooler_num_fc_layers", NULL, "nobody reads it"),
	CONFIG_HARMLESS("pooler_size_per_head", NULL, "nobody reads it"),
	CONFIG_HARMLESS("pooler_type", NULL, "nobody reads it"),
	CONFIG_HARMLESS("directionality", NULL, "nobody reads it"),
	{ 0 },
};

static void read_types(struct encoder *own, const struct gguf *g)
{
	const struct gguf_tensor *t = gguf_find_tensor(g, "token_types.weight");

	own->types = t && t->n_dims == 2 && t->dim[1] <= CONFIG_MAX ? (int)t->dim[1] : 0;
}

int encoder_config(struct config *c, const struct config_source *s, struct err *e)
{
	struct encoder *own = c->own;

	c->n_ctx = own->positions - own->first;
	if (c->n_ctx < 1)
		return err_set(e, "%s: max_position_embeddings is %d, of which the first %d are not used", s->where,
		               own->positions, own->first);
	if (s->gguf)
		read_types(own, s->gguf);
	return 0;
}

static uint32_t linear(struct graph *g, uint32_t x, const struct encoder_linear *l)
{
	return nn_linear(g, x, l->weight, l->bias, TENSOR_NONE);
}

static uint32_t norm(struct graph *g, uint32_t x, const struct encoder_linear *n)
{
	return nn_layernorm(g, x, n->weight, n->bias);
}

uint32_t encoder_embed(struct graph *g, const char *token, const char *type, const char *position,
                       const struct encoder_linear *n)
{
	const struct encoder *own = g->model->config.own;
	uint32_t x = nn_embed(g, token, EMBED_IDS);

	if (type && model_weight(g->model, type, -1) >= 0)
		x = op_add(g->tape, x, nn_embed(g, type, EMBED_TYPES));
	x = op_add(g->tape, x, nn_embed(g, position, (enum embed_source)(EMBED_POSITIONS + own->first)));
	return norm(g, x, n);
}

uint32_t encoder_block(struct graph *g, const struct encoder_names *n, uint32_t x)
{
	uint32_t q = linear(g, x, &n->q), k = linear(g, x, &n->k), v = linear(g, x, &n->v);
	uint32_t o = nn_attention(g, q, k, v, (struct attention_spec){ .both_ways = true });

	x = norm(g, nn_sublayer_linear(g, SUBLAYER_ATTENTION, x, x, o, n->o.weight, n->o.bias), &n->attention_norm);
	uint32_t up = op_act(g->tape, ACT_GELU, linear(g, x, &n->up), TENSOR_NONE);
	return norm(g, nn_sublayer_linear(g, SUBLAYER_FEED_FORWARD, x, x, up, n->down.weight, n->down.bias),
	            &n->output_norm);
}

uint32_t encoder_norm(struct graph *g, uint32_t x)
{
	(void)g;
	return x;
}

uint32_t encoder_transform(struct graph *g, uint32_t x, const struct encoder_linear *dense,
                           const struct encoder_linear *n)
{
	return norm(g, op_act(g->tape, ACT_GELU, linear(g, x, dense), TENSOR_NONE), n);
}
