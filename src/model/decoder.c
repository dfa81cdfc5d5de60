/* decoder: Llama's family, its facts and its forward part by part: embedding, attention, gated feed-forward, the two as
 * a block. Query heads share key-value heads in groups; positions turn q and k (graph.c's table).
 */
#include "model/decoder.h"

#include <stdio.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "model/config_known.h"

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
	CONFIG_FLAG(0, "tie_word_embeddings", "false", NULL, NULL, struct config, tied),
	{ 0 },
};

static int judge_rope(const json_t *rope, const char *name, const char *where, struct err *e)
{
	char inside[640];
	struct settings known = { .where = inside, .table = rope_known };

	snprintf(inside, sizeof(inside), "%s: %s", where, name);
	int status = settings_judge_all(&known, rope, e);
	settings_tell(&known);
	return status;
}

/* The object of a key, NULL where it is null or not there. */
static int rope_object(const struct config_source *s, const char *name, const json_t **out, struct err *e)
{
	const json_t *rope = json_object_get(s->json, name);

	*out = json_is_object(rope) ? rope : NULL;
	return rope && !*out && !json_is_null(rope) ? err_set(e, "%s: %s is no object", s->where, name) : 0;
}

/* Of models whose layers are all alike; transformers since 5 writes rope_parameters, before it rope_theta and
 * rope_scaling. It reads all three: rope_scaling before rope_parameters, and rope_theta beside them where the one that
 * it takes has none. */
static int find_rope(const struct config_source *s, json_t **out, struct err *e)
{
	static const char *const names[] = { "rope_scaling", "rope_parameters" };
	const char *key;
	const json_t *rope;
	json_t *value;

	*out = NULL;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (rope_object(s, names[i], &rope, e) < 0)
			return -1;
		json_object_foreach((json_t *)(uintptr_t)rope, key, value)
			if (json_is_object(value))
				return err_set(e, "%s: %s has parameters of its own for %s, one kind of positions is "
				                  "computed",
				               s->where, names[i], key);
		if (rope && judge_rope(rope, names[i], s->where, e) < 0)
			return -1;
		*out = !*out && json_object_size(rope) ? (json_t *)(uintptr_t)rope : *out;
	}
	json_incref(*out);
	return 0;
}

/* transformers takes parameters of kinds of layers from these two alone, and leaves what stands beside them. */
static int check_layers_rope(const json_t *rope, const char *where, struct err *e)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)rope, key, value)
		if (strcmp(key, "full_attention") != 0 && strcmp(key, "sliding_attention") != 0)
			return err_set(e, "%s: rope_parameters has %s, parameters of full_attention and "
			                  "sliding_attention were wanted",
			               where, key);
		else if (!json_is_object(value) && !json_is_null(value))
			return err_set(e, "%s: rope_parameters: %s is no object", where, key);
	return 0;
}

/* rope_scaling in a file of such a model: what its rope_parameters say, or of which it is plain, with this in its
 * place, key by key. So a kind that it calls by the old name, `type`, would never count. */
static int check_added_rope(const json_t *rope, const char *where, struct err *e)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)rope, key, value)
		if (json_is_object(value))
			return err_set(e, "%s: rope_scaling has parameters of its own for %s, which stand in "
			                  "rope_parameters",
			               where, key);
	if (json_object_get(rope, "type") && !json_object_get(rope, "rope_type"))
		return err_set(e, "%s: rope_scaling has its kind as type, rope_type was wanted", where);
	return 0;
}

/* Of models whose layers turn by parameters of their own, which transformers reads otherwise. */
static int find_layers_rope(const struct config_source *s, const struct rope_layers *layers, json_t **out,
                            struct err *e)
{
	const json_t *all, *added, *own;

	*out = NULL;
	if (rope_object(s, "rope_parameters", &all, e) < 0 || rope_object(s, "rope_scaling", &added, e) < 0 ||
	    check_layers_rope(all, s->where, e) < 0 || check_added_rope(added, s->where, e) < 0)
		return -1;
	if ((own = json_object_get(all, layers->name)) && !json_is_null(own))
		*out = json_copy((json_t *)(uintptr_t)own);
	else
		*out = json_pack("{s:s}", "rope_type", "default");
	if (layers->scaled)
		json_object_update(*out, (json_t *)(uintptr_t)added);
	return judge_rope(*out, "rope_parameters", s->where, e);
}

/* Does a share of a head's numbers turn where the file says so? In the others transformers lets all of them turn. */
static bool turns_a_share(const struct arch *a)
{
	for (const struct config_field *const *table = a->fields; *table; table++)
		for (const struct config_field *f = *table; f->kind; f++)
			if (!f->own && f->kind == CONFIG_KIND_REAL && f->at == offsetof(struct config, rotary))
				return true;
	return false;
}

static int read_rope_json(struct config *c, const struct config_source *s, const struct rope_layers *layers,
                          double *theta, struct rope_scaling *scaling, struct err *e)
{
	json_t *rope;
	long long original;

	if (!turns_a_share(c->arch) &&
	    config_real(s->json, "partial_rotary_factor", 1, &c->rotary, s->where, e) < 0)
		return -1;
	int status = layers ? find_layers_rope(s, layers, &rope, e) : find_rope(s, &rope, e);
	if (!status)
		status = rope_scaling_json(scaling, rope, theta, &c->rotary, c->D, s->where, e);
	json_decref(rope);
	if (status < 0)
		return -1;
	if (c->rotary != 1 && !turns_a_share(c->arch))
		return err_set(e, "%s: partial_rotary_factor is %g, this architecture is computed with 1", s->where,
		               c->rotary);
	if (jsonx_int(s->json, "original_max_position_embeddings", 0, &original, e) < 0)
		return err_prefix(e, "%s", s->where);
	scaling->original = original > 0 ? (double)original : scaling->original; /* Phi-3's place for it goes first */
	return 0;
}

static int read_rope_gguf(struct config *c, const struct config_source *s, struct rope_scaling *scaling, struct err *e)
{
	char key[160];
	int64_t dims;

	snprintf(key, sizeof(key), "%s.rope.dimension_count", c->arch->gguf);
	if (gguf_int(s->gguf, key, false, c->D, &dims, e) < 0)
		return -1;
	if (dims < 2 || dims > c->D)
		return err_set(e, "%s: %s is %lld, wanted from 2 to the head's %d", s->where, key, (long long)dims,
		               c->D);
	c->rotary = (double)dims / c->D;
	return rope_scaling_gguf(scaling, s->gguf, c->arch->gguf, (int)dims / 2, e);
}

int decoder_rope(struct config *c, const struct config_source *s, const struct rope_layers *layers, double *theta,
                 struct rope_scaling *scaling, struct rope *out, struct err *e)
{
	if ((s->gguf ? read_rope_gguf(c, s, scaling, e) : read_rope_json(c, s, layers, theta, scaling, e)) < 0)
		return -1;
	int dims = (int)(c->D * c->rotary);
	if (dims < 2 || dims % 2 || dims > c->D || dims / 2 > ROPE_PAIRS)
		return err_set(e, "%s: of a head's %d numbers %d turn, wanted an even number up to %d", s->where, c->D,
		               dims, 2 * ROPE_PAIRS);
	if (scaling->original == 0)
		scaling->original = c->n_ctx;
	rope_make(out, scaling, *theta, dims, c->n_ctx);
	if (scaling->kind == ROPE_LONG)
		c->n_ctx = MIN(c->n_ctx, (int)scaling->original);
	return 0;
}

int decoder_config(struct config *c, const struct config_source *s, struct err *e)
{
	return decoder_rope(c, s, NULL, &c->rope_theta, &c->rope_scaling, &c->rope, e);
}

/* --- forward --- */

uint32_t decoder_embed(struct graph *g)
{
	return nn_embed(g, "model.embed_tokens.weight", EMBED_IDS);
}

/* x, normed head by head where the model has numbers for that (Qwen3's q_norm),
 * or the whole row where it has as many as that (OLMo 2's). */
static uint32_t head_norm(struct graph *g, uint32_t x, const char *weight)
{
	return model_weight(g->model, weight, g->layer) < 0 ? x : nn_rmsnorm(g, x, weight);
}

uint32_t decoder_heads(struct graph *g, uint32_t h, const struct rope *r, struct attention_spec a)
{
	const struct config *c = &g->model->config;
	uint32_t q = nn_linear(g, h, BLOCK "self_attn.q_proj.weight", BLOCK "self_attn.q_proj.bias", TENSOR_NONE);
	uint32_t k = nn_linear(g, h, BLOCK "self_attn.k_proj.weight", BLOCK "self_attn.k_proj.bias", TENSOR_NONE);
	uint32_t v = nn_linear(g, h, BLOCK "self_attn.v_proj.weight", BLOCK "self_attn.v_proj.bias", TENSOR_NONE);

	q = head_norm(g, q, BLOCK "self_attn.q_norm.weight");
	k = head_norm(g, k, BLOCK "self_attn.k_norm.weight");
	if (c->clip_qkv > 0) {
		q = op_clamp(g->tape, q, (float)c->clip_qkv);
		k = op_clamp(g->tape, k, (float)c->clip_qkv);
		v = op_clamp(g->tape, v, (float)c->clip_qkv);
	}
	return nn_attention(g, r ? nn_rope(g, q, c->H, r) : q, r ? nn_rope(g, k, c->G, r) : k, v, a);
}

uint32_t decoder_attention(struct graph *g, uint32_t x, const struct rope *r, struct attention_spec a)
{
	uint32_t h = nn_rmsnorm(g, x, BLOCK "input_layernorm.weight");
	uint32_t o = decoder_heads(g, h, r, a);

	return nn_sublayer_linear(g, SUBLAYER_ATTENTION, x, h, o, BLOCK "self_attn.o_proj.weight",
	                          BLOCK "self_attn.o_proj.bias");
}

uint32_t decoder_gated(struct graph *g, uint32_t h, enum activation f)
{
	uint32_t gate = nn_linear(g, h, BLOCK "mlp.gate_proj.weight", BLOCK "mlp.gate_proj.bias", TENSOR_NONE);
	uint32_t up = nn_linear(g, h, BLOCK "mlp.up_proj.weight", BLOCK "mlp.up_proj.bias", TENSOR_NONE);

	return op_act(g->tape, f, gate, up);
}

uint32_t decoder_feed_forward(struct graph *g, uint32_t x)
{
	uint32_t h = nn_rmsnorm(g, x, BLOCK "post_attention_layernorm.weight");

	return nn_sublayer_linear(g, SUBLAYER_FEED_FORWARD, x, h, decoder_gated(g, h, ACT_SILU),
	                          BLOCK "mlp.down_proj.weight", BLOCK "mlp.down_proj.bias");
}

uint32_t decoder_block(struct graph *g, int layer, uint32_t x)
{
	(void)layer;
	return decoder_feed_forward(g, decoder_attention(g, x, &g->model->config.rope, (struct attention_spec){ 0 }));
}

uint32_t decoder_norm(struct graph *g, uint32_t x)
{
	return nn_rmsnorm(g, x, "model.norm.weight");
}
