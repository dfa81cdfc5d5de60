/* gpt_neox: GPT-NeoX and Pythia (Black et al. 2022): both halves of a block read the same x, each through a LayerNorm
 * of its own, or, where use_parallel_residual is false, one after the other.
 *
 *     x += Wo·attention(rope(q), rope(k), v) + bo + Wdown·gelu(Wup·n2(x) + bup) + bdown
 *     [q k v] = Wqkv·n1(x) + bqkv
 *
 * A part of each head turns. Hugging Face has the rows of Wqkv head by head, GGUF all of q, then k, then v. */
#include "model/decoder.h"
#include "model/init.h"

#define BLOCK "gpt_neox.layers.%d."
#define NORM_1 BLOCK "input_layernorm."
#define NORM_2 BLOCK "post_attention_layernorm."
#define QKV BLOCK "attention.query_key_value."
#define OUT BLOCK "attention.dense."
#define UP BLOCK "mlp.dense_h_to_4h."
#define DOWN BLOCK "mlp.dense_4h_to_h."

struct gpt_neox {
	bool parallel;
};

static const struct init_rule init[] = {
	{ .hf = "gpt_neox.embed_in.weight", .pad = INIT_PAD_LIKE_OTHERS },
	{ 0 },
};

static const struct config_field fields[] = {
	CONFIG_INT('V', "vocab_size", "50432", NULL, NULL, struct config, V),
	CONFIG_INT('C', "hidden_size", "6144", "embedding_length", NULL, struct config, C),
	CONFIG_INT('F', "intermediate_size", "24576", "feed_forward_length", NULL, struct config, F),
	CONFIG_INT('L', "num_hidden_layers", "44", "block_count", NULL, struct config, n_layers),
	CONFIG_INT('H', "num_attention_heads", "64", "attention.head_count", NULL, struct config, H),
	CONFIG_INT('G', NULL, "H", NULL, "H", struct config, G),
	CONFIG_INT('D', NULL, "C/H", NULL, "C/H", struct config, D),
	CONFIG_INT('P', "max_position_embeddings", "2048", "context_length", NULL, struct config, n_ctx),
	CONFIG_REAL("layer_norm_eps", "1e-5", "attention.layer_norm_epsilon", NULL, struct config, norm_eps),
	CONFIG_REAL("rotary_emb_base", "10000", "rope.freq_base", "10000", struct config, rope_theta),
	CONFIG_REAL("rotary_pct", "0.25", NULL, "1", struct config, rotary),
	CONFIG_HARMLESS("rope_theta", NULL, "rotary_emb_base counts"),
	CONFIG_HARMLESS("partial_rotary_factor", NULL, "rotary_pct counts"),
	CONFIG_FLAG(0, "tie_word_embeddings", "false", NULL, NULL, struct config, tied),
	CONFIG_FLAG(0, "use_parallel_residual", "true", NULL, "true", struct gpt_neox, parallel),
	CONFIG_IS("hidden_act", "gelu", NULL, NULL),
	CONFIG_IS("attention_bias", "true", NULL, NULL),
	CONFIG_IS(NULL, NULL, "use_parallel_residual", "true"),
	{ 0 },
};

static const struct weight_spec weights[] = {
	{ "gpt_neox.embed_in.weight", "token_embd.weight", "V,C", WEIGHT_EMBED },
	{ NORM_1 "weight", "blk.%d.attn_norm.weight", "C", WEIGHT_NORM },
	{ NORM_1 "bias", "blk.%d.attn_norm.bias", "C", WEIGHT_BIAS },
	{ QKV "weight", "blk.%d.attn_qkv.weight", "3C,C", WEIGHT_LINEAR | WEIGHT_QKV },
	{ QKV "bias", "blk.%d.attn_qkv.bias", "3C", WEIGHT_BIAS | WEIGHT_QKV },
	{ OUT "weight", "blk.%d.attn_output.weight", "C,C", WEIGHT_LINEAR },
	{ OUT "bias", "blk.%d.attn_output.bias", "C", WEIGHT_BIAS },
	{ NORM_2 "weight", "blk.%d.ffn_norm.weight", "C", WEIGHT_NORM },
	{ NORM_2 "bias", "blk.%d.ffn_norm.bias", "C", WEIGHT_BIAS },
	{ UP "weight", "blk.%d.ffn_up.weight", "F,C", WEIGHT_LINEAR },
	{ UP "bias", "blk.%d.ffn_up.bias", "F", WEIGHT_BIAS },
	{ DOWN "weight", "blk.%d.ffn_down.weight", "C,F", WEIGHT_LINEAR },
	{ DOWN "bias", "blk.%d.ffn_down.bias", "C", WEIGHT_BIAS },
	{ BLOCK "attention.bias", NULL, NULL, WEIGHT_IGNORED },        /* masks and angles of older files */
	{ BLOCK "attention.masked_bias", NULL, NULL, WEIGHT_IGNORED },
	{ BLOCK "attention.rotary_emb.inv_freq", NULL, NULL, WEIGHT_IGNORED },
	{ "gpt_neox.final_layer_norm.weight", "output_norm.weight", "C", WEIGHT_NORM },
	{ "gpt_neox.final_layer_norm.bias", "output_norm.bias", "C", WEIGHT_BIAS },
	{ "embed_out.weight", "output.weight", "V,C", WEIGHT_LINEAR | WEIGHT_HEAD },
	{ 0 },
};

static int gpt_neox_config(struct config *c, const struct config_source *s, struct err *e)
{
	struct gpt_neox *own = c->own;

	if (s->gguf && gguf_bool(s->gguf, "gptneox.use_parallel_residual", false, true, &own->parallel, e) < 0)
		return -1;
	return decoder_config(c, s, e);
}

static uint32_t gpt_neox_embed(struct graph *g) { return nn_embed(g, "gpt_neox.embed_in.weight", EMBED_IDS); }

/* x + the attention of n1(x) */
static uint32_t attention(struct graph *g, uint32_t x)
{
	const struct config *c = &g->model->config;
	size_t C = (size_t)c->C, D = (size_t)c->D;
	uint32_t h = nn_layernorm(g, x, NORM_1 "weight", NORM_1 "bias"), part[3];
	uint32_t qkv = nn_linear(g, h, QKV "weight", QKV "bias", TENSOR_NONE);

	if (c->qkv_apart)
		op_split(g->tape, qkv, 1, 3, (size_t[]){ C, C, C }, part);
	else
		op_split(g->tape, qkv, c->H, 3, (size_t[]){ D, D, D }, part);
	uint32_t o = nn_attention(g, nn_rope(g, part[0], c->H, &c->rope), nn_rope(g, part[1], c->G, &c->rope), part[2],
	                          (struct attention_spec){ 0 });
	return nn_sublayer_linear(g, SUBLAYER_ATTENTION, x, h, o, OUT "weight", OUT "bias");
}

static uint32_t gpt_neox_block(struct graph *g, int layer, uint32_t x)
{
	const struct gpt_neox *own = g->model->config.own;
	uint32_t y = attention(g, x);
	uint32_t h = nn_layernorm(g, own->parallel ? x : y, NORM_2 "weight", NORM_2 "bias");
	uint32_t up = op_act(g->tape, ACT_GELU, nn_linear(g, h, UP "weight", UP "bias", TENSOR_NONE), TENSOR_NONE);
	(void)layer;
	return nn_sublayer_linear(g, SUBLAYER_FEED_FORWARD, y, h, up, DOWN "weight", DOWN "bias");
}

static uint32_t gpt_neox_norm(struct graph *g, uint32_t x)
{
	return nn_layernorm(g, x, "gpt_neox.final_layer_norm.weight", "gpt_neox.final_layer_norm.bias");
}

const struct arch arch_gpt_neox = {
	.name = "gpt_neox",
	.hf_types = (const char *const[]){ "gpt_neox", NULL },
	.hf_class = "GPTNeoXForCausalLM",
	.gguf = "gptneox",
	.fields = (const struct config_field *const[]){ fields, NULL },
	.own_bytes = sizeof(struct gpt_neox),
	.config = gpt_neox_config,
	.weights = weights,
	.init = init,
	.prefix = "gpt_neox.",
	.embed = gpt_neox_embed,
	.block = gpt_neox_block,
	.norm = gpt_neox_norm,
	.head = "embed_out.weight",
	.embedding = "gpt_neox.embed_in.weight",
};
