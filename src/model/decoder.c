/* decoder: Llama's family, its facts and its forward part by part: embedding, attention, gated feed-forward, the two as
 * a block. Query heads share key-value heads in groups; positions turn q and k (graph.c's table).
 *
 * Rotary positions are turned by the same angles for a whole head and at every length: scaled ones are not computed and
 * so refused by their names. */
#include "model/decoder.h"

#include "base/mem.h"

#define BLOCK DECODER_BLOCK

/* --- facts --- */

const struct config_field decoder_fields[] = {
	CONFIG_INT('V', "vocab_size", NULL, NULL, NULL, struct config, V),
	CONFIG_INT('C', "hidden_size", NULL, "embedding_length", NULL, struct config, C),
	CONFIG_INT('F', "intermediate_size", NULL, "feed_forward_length", NULL, struct config, F),
	CONFIG_INT('L', "num_hidden_layers", NULL, "block_count", NULL, struct config, n_layers),
	CONFIG_INT('H', "num_attention_heads", NULL, "attention.head_count", NULL, struct config, H),
	CONFIG_INT('G', "num_key_value_heads", "H", "attention.head_count_kv", "H", struct config, G),
	CONFIG_INT('D', "head_dim", "C/H", "attention.key_length", "C/H", struct config, D),
	CONFIG_IS(NULL, NULL, "attention.value_length", "D"),
	CONFIG_INT('P', "max_position_embeddings", "2048", "context_length", NULL, struct config, n_ctx),
	CONFIG_IS("hidden_act", "silu swish", NULL, NULL),
	CONFIG_REAL("rms_norm_eps", "1e-6", "attention.layer_norm_rms_epsilon", NULL, struct config, norm_eps),
	CONFIG_REAL("rope_theta", "10000", "rope.freq_base", "10000", struct config, rope_theta),
	CONFIG_IS(NULL, NULL, "rope.dimension_count", "D"),
	CONFIG_IS(NULL, NULL, "rope.scaling.type", "none"),
	CONFIG_IS(NULL, NULL, "rope.scaling.factor", "1 0"),
	CONFIG_IS(NULL, NULL, "rope.scale_linear", "1 0"),
	CONFIG_FLAG(0, "tie_word_embeddings", "false", NULL, NULL, struct config, tied),
	{ 0 },
};

/* Plain angles, and no parameters by the kind of a layer. */
static int check_plain(const struct config *c, const json_t *rope, const char *name, const char *where, struct err *e)
{
	const char *key;
	json_t *value;

	if (config_is(c, rope, "rope_type", "default", where, e) < 0 ||
	    config_is(c, rope, "type", "default", where, e) < 0)
		return -1;
	json_object_foreach((json_t *)(uintptr_t)rope, key, value)
		if (json_is_object(value))
			return err_set(e, "%s: %s has parameters of its own for %s, one kind of positions is computed",
			               where, name, key);
	return 0;
}

/* transformers since 5 writes rope_parameters, before it rope_theta and rope_scaling. It reads all three: rope_scaling
 * before rope_parameters, and rope_theta beside them where the one that it takes has none. */
int decoder_config(struct config *c, const struct config_source *s, struct err *e)
{
	static const char *const names[] = { "rope_scaling", "rope_parameters" };
	const json_t *taken = NULL;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const json_t *rope = json_object_get(s->json, names[i]);
		if (rope && !json_is_null(rope) && !json_is_object(rope))
			return err_set(e, "%s: %s is no object", s->where, names[i]);
		if (check_plain(c, rope, names[i], s->where, e) < 0)
			return -1;
		taken = !taken && json_object_size(rope) ? rope : taken;
	}
	return taken ? config_real(taken, "rope_theta", c->rope_theta, &c->rope_theta, s->where, e) : 0;
}

/* --- forward --- */

uint32_t decoder_embed(struct graph *g)
{
	return nn_embed(g, "model.embed_tokens.weight", EMBED_IDS);
}

/* x, normed head by head where the model has numbers for that (Qwen3's q_norm). */
static uint32_t head_norm(struct graph *g, uint32_t x, const char *weight)
{
	return model_weight(g->model, weight, g->layer) < 0 ? x : nn_rmsnorm(g, x, weight);
}

uint32_t decoder_attention(struct graph *g, uint32_t x)
{
	const struct config *c = &g->model->config;
	uint32_t h = nn_rmsnorm(g, x, BLOCK "input_layernorm.weight");
	uint32_t q = nn_linear(g, h, BLOCK "self_attn.q_proj.weight", BLOCK "self_attn.q_proj.bias", TENSOR_NONE);
	uint32_t k = nn_linear(g, h, BLOCK "self_attn.k_proj.weight", BLOCK "self_attn.k_proj.bias", TENSOR_NONE);
	uint32_t v = nn_linear(g, h, BLOCK "self_attn.v_proj.weight", BLOCK "self_attn.v_proj.bias", TENSOR_NONE);

	struct rope rope = { c->rope_theta, c->D };
	q = nn_rope(g, head_norm(g, q, BLOCK "self_attn.q_norm.weight"), c->H, rope);
	k = nn_rope(g, head_norm(g, k, BLOCK "self_attn.k_norm.weight"), c->G, rope);
	uint32_t o = nn_attention(g, q, k, v, (struct attention_spec){ 0 });

	return nn_sublayer_linear(g, SUBLAYER_ATTENTION, x, h, o, BLOCK "self_attn.o_proj.weight",
	                          BLOCK "self_attn.o_proj.bias");
}

uint32_t decoder_feed_forward(struct graph *g, uint32_t x)
{
	uint32_t h = nn_rmsnorm(g, x, BLOCK "post_attention_layernorm.weight");
	uint32_t gate = nn_linear(g, h, BLOCK "mlp.gate_proj.weight", NULL, TENSOR_NONE);
	uint32_t up = nn_linear(g, h, BLOCK "mlp.up_proj.weight", NULL, TENSOR_NONE);

	return nn_sublayer_linear(g, SUBLAYER_FEED_FORWARD, x, h, op_act(g->tape, ACT_SILU, gate, up),
	                          BLOCK "mlp.down_proj.weight", NULL);
}

uint32_t decoder_block(struct graph *g, int layer, uint32_t x)
{
	(void)layer;
	return decoder_feed_forward(g, decoder_attention(g, x));
}

uint32_t decoder_norm(struct graph *g, uint32_t x)
{
	return nn_rmsnorm(g, x, "model.norm.weight");
}
