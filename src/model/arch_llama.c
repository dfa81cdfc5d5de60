/* llama: Llama, SmolLM2 and those built like them (Touvron et al. 2023).
 *
 *     x += Wo·attention(rope(Wq·n(x)), rope(Wk·n(x)), Wv·n(x))      n: RMSNorm, one a half
 *     x += Wdown·(silu(Wgate·n(x)) ∘ Wup·n(x))
 *     logits = head·n(x), head often the embedding itself
 *
 * Query heads share key-value heads in groups. GGUF's files of this architecture have the rows of Wq and Wk permuted so
 * that the two numbers of a rotated pair are neighbours (config.rope_interleaved). Scaled rotary positions are not
 * computed and so refused. */
#include <math.h>
#include <string.h>

#include "model/config.h"
#include "model/decoder.h"

#define BLOCK DECODER_BLOCK

static const struct weight_spec weights[] = {
	{ "model.embed_tokens.weight", "token_embd.weight", "V,C", WEIGHT_EMBED },
	{ BLOCK "input_layernorm.weight", "blk.%d.attn_norm.weight", "C", WEIGHT_NORM },
	{ BLOCK "self_attn.q_proj.weight", "blk.%d.attn_q.weight", "HD,C", WEIGHT_LINEAR | WEIGHT_ROPE },
	{ BLOCK "self_attn.q_proj.bias", "blk.%d.attn_q.bias", "HD", WEIGHT_BIAS | WEIGHT_ROPE | WEIGHT_IF_BIAS },
	{ BLOCK "self_attn.k_proj.weight", "blk.%d.attn_k.weight", "GD,C", WEIGHT_LINEAR | WEIGHT_ROPE },
	{ BLOCK "self_attn.k_proj.bias", "blk.%d.attn_k.bias", "GD", WEIGHT_BIAS | WEIGHT_ROPE | WEIGHT_IF_BIAS },
	{ BLOCK "self_attn.v_proj.weight", "blk.%d.attn_v.weight", "GD,C", WEIGHT_LINEAR },
	{ BLOCK "self_attn.v_proj.bias", "blk.%d.attn_v.bias", "GD", WEIGHT_BIAS | WEIGHT_IF_BIAS },
	{ BLOCK "self_attn.o_proj.weight", "blk.%d.attn_output.weight", "C,HD", WEIGHT_LINEAR },
	{ BLOCK "self_attn.o_proj.bias", "blk.%d.attn_output.bias", "C", WEIGHT_BIAS | WEIGHT_IF_BIAS },
	{ BLOCK "post_attention_layernorm.weight", "blk.%d.ffn_norm.weight", "C", WEIGHT_NORM },
	{ BLOCK "mlp.gate_proj.weight", "blk.%d.ffn_gate.weight", "F,C", WEIGHT_LINEAR },
	{ BLOCK "mlp.up_proj.weight", "blk.%d.ffn_up.weight", "F,C", WEIGHT_LINEAR },
	{ BLOCK "mlp.down_proj.weight", "blk.%d.ffn_down.weight", "C,F", WEIGHT_LINEAR },
	{ BLOCK "self_attn.rotary_emb.inv_freq", NULL, NULL, WEIGHT_IGNORED },
	{ "model.norm.weight", "output_norm.weight", "C", WEIGHT_NORM },
	{ "lm_head.weight", "output.weight", "V,C", WEIGHT_LINEAR | WEIGHT_HEAD },
	{ 0 },
};

/* Before transformers 5 rope_theta and rope_scaling, since then rope_parameters. */
static int rope_hf(struct config *c, const json_t *j, const char *where, struct err *e)
{
	static const char *const plain[] = { "default", NULL };
	const json_t *parameters = json_object_get(j, "rope_parameters"), *scaling = json_object_get(j, "rope_scaling");

	if (json_is_object(parameters))
		return config_real(parameters, "rope_theta", 10000, &c->rope_theta, where, e) < 0 ?
		               -1 :
		               config_word(parameters, "rope_type", plain, where, e);
	if (json_is_object(scaling) && (config_word(scaling, "rope_type", plain, where, e) < 0 ||
	                                config_word(scaling, "type", plain, where, e) < 0))
		return -1;
	return config_real(j, "rope_theta", 10000, &c->rope_theta, where, e);
}

static int sizes_hf(struct config *c, const json_t *j, const char *where, struct err *e)
{
	if (config_int(j, "num_hidden_layers", 0, &c->n_layers, where, e) < 0 ||
	    config_int(j, "hidden_size", 0, &c->C, where, e) < 0 ||
	    config_int(j, "num_attention_heads", 0, &c->H, where, e) < 0 ||
	    config_int(j, "num_key_value_heads", c->H, &c->G, where, e) < 0 ||
	    config_int(j, "intermediate_size", 0, &c->F, where, e) < 0 ||
	    config_int(j, "vocab_size", 0, &c->V, where, e) < 0)
		return -1;
	if (config_int(j, "head_dim", c->C / c->H, &c->D, where, e) < 0)
		return -1;
	return config_int(j, "max_position_embeddings", 2048, &c->n_ctx, where, e);
}

static int llama_config_hf(struct config *c, const json_t *j, const char *where, struct err *e)
{
	static const char *const silu[] = { "silu", "swish", NULL };
	bool mlp_bias;

	if (sizes_hf(c, j, where, e) < 0 || config_real(j, "rms_norm_eps", 1e-6, &c->norm_eps, where, e) < 0 ||
	    rope_hf(c, j, where, e) < 0 || config_flag(j, "tie_word_embeddings", false, &c->tied, where, e) < 0 ||
	    config_flag(j, "attention_bias", false, &c->bias, where, e) < 0 ||
	    config_flag(j, "mlp_bias", false, &mlp_bias, where, e) < 0 ||
	    config_word(j, "hidden_act", silu, where, e) < 0)
		return -1;
	if (mlp_bias)
		return err_set(e, "%s: mlp_bias is true, this architecture is computed without", where);
	return 0;
}

static int llama_config_gguf(struct config *c, const struct gguf *g, struct err *e)
{
	const struct gguf_tensor *embedding = gguf_find_tensor(g, "token_embd.weight");
	const struct gguf_kv *scaling = gguf_find(g, "llama.rope.scaling.type");
	int rotated;

	if (!embedding || embedding->n_dims != 2 || embedding->dim[1] > CONFIG_MAX)
		return err_set(e, "%s: no matrix token_embd.weight", g->path);
	c->V = (int)embedding->dim[1];
	if (config_gguf_int(g, "block_count", 0, &c->n_layers, e) < 0 ||
	    config_gguf_int(g, "embedding_length", 0, &c->C, e) < 0 ||
	    config_gguf_int(g, "feed_forward_length", 0, &c->F, e) < 0 ||
	    config_gguf_int(g, "attention.head_count", 0, &c->H, e) < 0 ||
	    config_gguf_int(g, "attention.head_count_kv", c->H, &c->G, e) < 0 ||
	    config_gguf_int(g, "context_length", 0, &c->n_ctx, e) < 0)
		return -1;
	if (config_gguf_int(g, "attention.key_length", c->C / c->H, &c->D, e) < 0 ||
	    config_gguf_int(g, "rope.dimension_count", c->D, &rotated, e) < 0 ||
	    config_gguf_real(g, "attention.layer_norm_rms_epsilon", NAN, &c->norm_eps, e) < 0 ||
	    config_gguf_real(g, "rope.freq_base", 10000, &c->rope_theta, e) < 0)
		return -1;
	if (rotated != c->D)
		return err_set(e, "%s: %d of %d numbers of a head are rotated, wanted all", g->path, rotated, c->D);
	if (scaling &&
	    !(scaling->type == GGUF_STRING && scaling->value.s.len == 4 && !memcmp(scaling->value.s.data, "none", 4)))
		return err_set(e, "%s: llama.rope.scaling.type is set, rotary positions are computed without scaling",
		               g->path);
	c->tied = !gguf_find_tensor(g, "output.weight");
	c->bias = gguf_find_tensor(g, "blk.0.attn_q.bias") != NULL;
	c->rope_interleaved = true;
	return 0;
}

static json_t *llama_config_json(const struct config *c)
{
	return json_pack("{s:[s], s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:f, s:f, s:b, s:b, s:b}",
	                 "architectures", "LlamaForCausalLM", "model_type", "llama", "vocab_size", c->V, "hidden_size",
	                 c->C, "intermediate_size", c->F, "num_hidden_layers", c->n_layers, "num_attention_heads", c->H,
	                 "num_key_value_heads", c->G, "head_dim", c->D, "max_position_embeddings", c->n_ctx,
	                 "hidden_act", "silu", "rms_norm_eps", c->norm_eps, "rope_theta", c->rope_theta,
	                 "tie_word_embeddings", c->tied, "attention_bias", c->bias, "mlp_bias", 0);
}

const struct arch arch_llama = {
	.name = "llama",
	.hf_types = (const char *const[]){ "llama", NULL },
	.gguf = "llama",
	.config_hf = llama_config_hf,
	.config_gguf = llama_config_gguf,
	.config_json = llama_config_json,
	.weights = weights,
	.prefix = "model.",
	.embed = decoder_embed,
	.block = decoder_block,
	.norm = decoder_norm,
	.head = "lm_head.weight",
	.embedding = "model.embed_tokens.weight",
};
