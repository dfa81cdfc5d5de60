/* gpt2: GPT-2 (Radford et al. 2019).
 *
 *     x = token embedding + position embedding
 *     x += Wo·attention(q, k, v) + bo      [q k v] = Wqkv·n(x) + bqkv      n: LayerNorm
 *     x += Wdown·gelu(Wup·n(x) + bup) + bdown
 *
 * Hugging Face stores the four matrices of a block as [in][out]. The dropout that the original was trained with is not
 * applied. */
#include "model/config.h"
#include "model/graph.h"

#define BLOCK "transformer.h.%d."

static const struct weight_spec weights[] = {
	{ "transformer.wte.weight", NULL, "V,C", WEIGHT_EMBED },
	{ "transformer.wpe.weight", NULL, "P,C", WEIGHT_EMBED },
	{ BLOCK "ln_1.weight", NULL, "C", WEIGHT_NORM },
	{ BLOCK "ln_1.bias", NULL, "C", WEIGHT_BIAS },
	{ BLOCK "attn.c_attn.weight", NULL, "3C,C", WEIGHT_LINEAR | WEIGHT_TRANSPOSED },
	{ BLOCK "attn.c_attn.bias", NULL, "3C", WEIGHT_BIAS },
	{ BLOCK "attn.c_proj.weight", NULL, "C,C", WEIGHT_LINEAR | WEIGHT_TRANSPOSED },
	{ BLOCK "attn.c_proj.bias", NULL, "C", WEIGHT_BIAS },
	{ BLOCK "ln_2.weight", NULL, "C", WEIGHT_NORM },
	{ BLOCK "ln_2.bias", NULL, "C", WEIGHT_BIAS },
	{ BLOCK "mlp.c_fc.weight", NULL, "F,C", WEIGHT_LINEAR | WEIGHT_TRANSPOSED },
	{ BLOCK "mlp.c_fc.bias", NULL, "F", WEIGHT_BIAS },
	{ BLOCK "mlp.c_proj.weight", NULL, "C,F", WEIGHT_LINEAR | WEIGHT_TRANSPOSED },
	{ BLOCK "mlp.c_proj.bias", NULL, "C", WEIGHT_BIAS },
	{ BLOCK "attn.bias", NULL, NULL, WEIGHT_IGNORED },
	{ BLOCK "attn.masked_bias", NULL, NULL, WEIGHT_IGNORED },
	{ "transformer.ln_f.weight", NULL, "C", WEIGHT_NORM },
	{ "transformer.ln_f.bias", NULL, "C", WEIGHT_BIAS },
	{ "lm_head.weight", NULL, "V,C", WEIGHT_LINEAR | WEIGHT_HEAD },
	{ 0 },
};

static int gpt2_config_hf(struct config *c, const json_t *j, const char *where, struct err *e)
{
	static const char *const gelu[] = { "gelu_new", "gelu_pytorch_tanh", NULL };
	bool scaled, by_layer;

	if (config_int(j, "n_layer", 12, &c->n_layers, where, e) < 0 ||
	    config_int(j, "n_embd", 768, &c->C, where, e) < 0 || config_int(j, "n_head", 12, &c->H, where, e) < 0 ||
	    config_int(j, "vocab_size", 50257, &c->V, where, e) < 0 ||
	    config_int(j, "n_positions", 1024, &c->n_ctx, where, e) < 0 ||
	    config_int(j, "n_inner", 4 * c->C, &c->F, where, e) < 0 ||
	    config_real(j, "layer_norm_epsilon", 1e-5, &c->norm_eps, where, e) < 0 ||
	    config_word(j, "activation_function", gelu, where, e) < 0 ||
	    config_flag(j, "tie_word_embeddings", true, &c->tied, where, e) < 0 ||
	    config_flag(j, "scale_attn_weights", true, &scaled, where, e) < 0 ||
	    config_flag(j, "scale_attn_by_inverse_layer_idx", false, &by_layer, where, e) < 0)
		return -1;
	if (!scaled || by_layer)
		return err_set(e, "%s: attention is scaled in another way than by 1/sqrt(head size)", where);
	if (c->C % c->H)
		return err_set(e, "%s: n_embd %d is no multiple of n_head %d", where, c->C, c->H);
	c->G = c->H;
	c->D = c->C / c->H;
	return 0;
}

static uint32_t gpt2_embed(struct graph *g)
{
	uint32_t token = nn_embed(g, "transformer.wte.weight", EMBED_IDS);

	return op_add(g->tape, token, nn_embed(g, "transformer.wpe.weight", EMBED_POSITIONS));
}

static uint32_t attention(struct graph *g, uint32_t x)
{
	uint32_t h = nn_layernorm(g, x, BLOCK "ln_1.weight", BLOCK "ln_1.bias"), part[3];

	op_split(g->tape, nn_linear(g, h, BLOCK "attn.c_attn.weight", BLOCK "attn.c_attn.bias", TENSOR_NONE), 3, part);
	return nn_linear(g, nn_attention(g, part[0], part[1], part[2]), BLOCK "attn.c_proj.weight",
	                 BLOCK "attn.c_proj.bias", x);
}

static uint32_t gpt2_block(struct graph *g, int layer, uint32_t x)
{
	(void)layer;
	x = attention(g, x);
	uint32_t h = nn_layernorm(g, x, BLOCK "ln_2.weight", BLOCK "ln_2.bias");
	uint32_t up = nn_linear(g, h, BLOCK "mlp.c_fc.weight", BLOCK "mlp.c_fc.bias", TENSOR_NONE);

	return nn_linear(g, op_gelu(g->tape, up), BLOCK "mlp.c_proj.weight", BLOCK "mlp.c_proj.bias", x);
}

static uint32_t gpt2_norm(struct graph *g, uint32_t x)
{
	return nn_layernorm(g, x, "transformer.ln_f.weight", "transformer.ln_f.bias");
}

const struct arch arch_gpt2 = {
	.name = "gpt2",
	.hf_types = (const char *const[]){ "gpt2", NULL },
	.config_hf = gpt2_config_hf,
	.weights = weights,
	.prefix = "transformer.",
	.embed = gpt2_embed,
	.block = gpt2_block,
	.norm = gpt2_norm,
	.head = "lm_head.weight",
	.embedding = "transformer.wte.weight",
};
