/* rwkv: RWKV-4 (Peng et al. 2023): no attention, a weighted mean of all values so far whose weights decay (op_wkv4.c).
 *
 *     x = n0(embedding)
 *     h = n1(x)      h_p = share_p∘h + (1 − share_p)∘(h of the token before)
 *     x += Wo·(σ(Wr·h_r)∘mean(Wk·h_k, Wv·h_v))
 *     h = n2(x)      x += σ(Wr'·h_r)∘(Wv'·max(Wk'·h_k, 0)²)
 *
 * n: LayerNorm. transformers halves x every few layers, and with it what is added (`rescale_every`), so that half
 * precision does not overflow: the norms after it take that out again, and here it is not done. */
#include <math.h>

#include "model/config.h"
#include "model/graph.h"
#include "model/init.h"

#define BLOCK "rwkv.blocks.%d."
#define ATTN BLOCK "attention."
#define FFN BLOCK "feed_forward."

static const struct config_field fields[] = {
	CONFIG_INT('V', "vocab_size", "50277", NULL, NULL, struct config, V),
	CONFIG_INT('C', "hidden_size", "4096", NULL, NULL, struct config, C),
	CONFIG_INT('F', "intermediate_size", "4C", NULL, NULL, struct config, F),
	CONFIG_INT('L', "num_hidden_layers", "32", NULL, NULL, struct config, n_layers),
	CONFIG_INT('P', "context_length", "1024", NULL, NULL, struct config, n_ctx),
	CONFIG_INT('H', NULL, "1", NULL, NULL, struct config, H),
	CONFIG_INT('G', NULL, "1", NULL, NULL, struct config, G),
	CONFIG_INT('D', "attention_hidden_size", "C", NULL, NULL, struct config, D),
	CONFIG_REAL("layer_norm_epsilon", "1e-5", NULL, NULL, struct config, norm_eps),
	CONFIG_FLAG(0, "tie_word_embeddings", "false", NULL, NULL, struct config, tied),
	CONFIG_ALSO("max_position_embeddings", "context_length"),
	CONFIG_HARMLESS("rescale_every", NULL, "the norms take it out again"),
	{ 0 },
};

static const struct weight_spec weights[] = {
	{ "rwkv.embeddings.weight", NULL, "V,C", WEIGHT_EMBED },
	{ "rwkv.blocks.0.pre_ln.weight", NULL, "C", WEIGHT_NORM },
	{ "rwkv.blocks.0.pre_ln.bias", NULL, "C", WEIGHT_BIAS },
	{ BLOCK "ln1.weight", NULL, "C", WEIGHT_NORM },
	{ BLOCK "ln1.bias", NULL, "C", WEIGHT_BIAS },
	{ ATTN "time_decay", NULL, "D", 0 },
	{ ATTN "time_first", NULL, "D", 0 },
	{ ATTN "time_mix_key", NULL, "C", WEIGHT_ROW },
	{ ATTN "time_mix_value", NULL, "C", WEIGHT_ROW },
	{ ATTN "time_mix_receptance", NULL, "C", WEIGHT_ROW },
	{ ATTN "key.weight", NULL, "D,C", WEIGHT_LINEAR },
	{ ATTN "value.weight", NULL, "D,C", WEIGHT_LINEAR },
	{ ATTN "receptance.weight", NULL, "D,C", WEIGHT_LINEAR },
	{ ATTN "output.weight", NULL, "C,D", WEIGHT_LINEAR },
	{ BLOCK "ln2.weight", NULL, "C", WEIGHT_NORM },
	{ BLOCK "ln2.bias", NULL, "C", WEIGHT_BIAS },
	{ FFN "time_mix_key", NULL, "C", WEIGHT_ROW },
	{ FFN "time_mix_receptance", NULL, "C", WEIGHT_ROW },
	{ FFN "key.weight", NULL, "F,C", WEIGHT_LINEAR },
	{ FFN "receptance.weight", NULL, "C,C", WEIGHT_LINEAR },
	{ FFN "value.weight", NULL, "C,F", WEIGHT_LINEAR },
	{ "rwkv.ln_out.weight", NULL, "C", WEIGHT_NORM },
	{ "rwkv.ln_out.bias", NULL, "C", WEIGHT_BIAS },
	{ "head.weight", NULL, "V,C", WEIGHT_LINEAR | WEIGHT_HEAD },
	{ 0 },
};

/* --- how it begins: transformers' RwkvPreTrainedModel --- */

/* 0 of the first layer, 1 of the last; 1 of the first, nearly 0 of the last. */
static double rising(const struct config *c, const struct weight *w)
{
	return c->n_layers > 1 ? (double)w->layer / (c->n_layers - 1) : 0;
}

static double falling(const struct config *c, const struct weight *w) { return 1 - (double)w->layer / c->n_layers; }

static void fill_decay(const struct config *c, const struct weight *w, float *out)
{
	for (int i = 0; i < c->D; i++)
		out[i] = (float)(-5 + 8 * pow((double)i / (c->D - 1), 0.7 + 1.3 * rising(c, w)));
}

static void fill_ones(const struct config *c, const struct weight *w, float *out)
{
	(void)c;
	for (size_t i = 0; i < w->dim[0]; i++)
		out[i] = 1;
}

/* The share of the token itself: (i/C)^(power·falling) + more. */
static void fill_share(const struct config *c, const struct weight *w, double power, double more, float *out)
{
	for (int i = 0; i < c->C; i++)
		out[i] = (float)(pow((double)i / c->C, power * falling(c, w)) + more);
}

static void fill_key(const struct config *c, const struct weight *w, float *out) { fill_share(c, w, 1, 0, out); }

static void fill_value(const struct config *c, const struct weight *w, float *out)
{
	fill_share(c, w, 1, 0.3 * rising(c, w), out);
}

static void fill_receptance(const struct config *c, const struct weight *w, float *out)
{
	fill_share(c, w, 0.5, 0, out);
}

static double gain(const struct config *c, const struct weight *w)
{
	double tall = sqrt(fmax(1, (double)w->dim[0] / (double)w->dim[1]));
	(void)c;

	return w->spec->flags & WEIGHT_HEAD ? 0.5 * tall : tall;
}

static double small_gain(const struct config *c, const struct weight *w)
{
	(void)c;
	return 1e-4 * sqrt(fmax((double)w->dim[0], (double)w->dim[1]));
}

static const struct init_rule init[] = {
	{ .hf = ATTN "time_decay", .form = INIT_FILL, .fill = fill_decay },
	{ .hf = ATTN "time_first", .form = INIT_FILL, .fill = fill_ones },
	{ .hf = ATTN "time_mix_key", .form = INIT_FILL, .fill = fill_key },
	{ .hf = ATTN "time_mix_value", .form = INIT_FILL, .fill = fill_value },
	{ .hf = ATTN "time_mix_receptance", .form = INIT_FILL, .fill = fill_receptance },
	{ .hf = FFN "time_mix_key", .form = INIT_FILL, .fill = fill_key },
	{ .hf = FFN "time_mix_receptance", .form = INIT_FILL, .fill = fill_key },
	{ .hf = "rwkv.embeddings.weight", .form = INIT_ORTHOGONAL, .size = small_gain, .pad = INIT_PAD_LIKE_OTHERS },
	{ .hf = "*", .form = INIT_ORTHOGONAL, .size = gain },
	{ 0 },
};

static uint32_t rwkv_embed(struct graph *g)
{
	return nn_layernorm(g, nn_embed(g, "rwkv.embeddings.weight", EMBED_IDS), "rwkv.blocks.0.pre_ln.weight",
	                    "rwkv.blocks.0.pre_ln.bias");
}

/* h mixed with the row before it by n vectors of shares. */
static void shift(struct graph *g, uint32_t h, const char *const *shares, size_t n, uint32_t *out)
{
	uint32_t mix[3];

	for (size_t i = 0; i < n; i++)
		mix[i] = nn_weight(g, shares[i]);
	op_token_shift(g->tape, h, (struct shares){ mix, n, true }, nn_state(g, (size_t)g->model->config.C), n, out);
}

static uint32_t time_mixing(struct graph *g, uint32_t x)
{
	static const char *const shares[] = { ATTN "time_mix_key", ATTN "time_mix_value", ATTN "time_mix_receptance" };
	uint32_t h = nn_layernorm(g, x, BLOCK "ln1.weight", BLOCK "ln1.bias"), p[3];

	shift(g, h, shares, 3, p);
	uint32_t k = nn_linear(g, p[0], ATTN "key.weight", NULL, TENSOR_NONE),
	         v = nn_linear(g, p[1], ATTN "value.weight", NULL, TENSOR_NONE),
	         r = nn_linear(g, p[2], ATTN "receptance.weight", NULL, TENSOR_NONE);
	uint32_t mean = op_wkv4(g->tape, k, v, nn_weight(g, ATTN "time_decay"), nn_weight(g, ATTN "time_first"),
	                        nn_state(g, 3 * (size_t)g->model->config.D));
	return nn_sublayer_linear(g, SUBLAYER_ATTENTION, x, h, op_act(g->tape, ACT_SIGMOID, r, mean),
	                          ATTN "output.weight", NULL);
}

static uint32_t rwkv_block(struct graph *g, int layer, uint32_t x)
{
	static const char *const shares[] = { FFN "time_mix_key", FFN "time_mix_receptance" };
	uint32_t y = time_mixing(g, x), h = nn_layernorm(g, y, BLOCK "ln2.weight", BLOCK "ln2.bias"), p[2];
	(void)layer;

	shift(g, h, shares, 2, p);
	uint32_t up = op_act(g->tape, ACT_RELU2, nn_linear(g, p[0], FFN "key.weight", NULL, TENSOR_NONE), TENSOR_NONE),
	         down = nn_linear(g, up, FFN "value.weight", NULL, TENSOR_NONE),
	         r = nn_linear(g, p[1], FFN "receptance.weight", NULL, TENSOR_NONE);
	return nn_sublayer(g, SUBLAYER_FEED_FORWARD, y, h, op_act(g->tape, ACT_SIGMOID, r, down));
}

static int rwkv_config(struct config *c, const struct config_source *s, struct err *e)
{
	if (c->norm_eps == 1e-5)
		return 0;
	return err_set(e, "%s: layer_norm_epsilon is %g, this architecture is computed with 1e-5, which its last norm "
	                  "has whatever that says",
	               s->where, c->norm_eps);
}

static uint32_t rwkv_norm(struct graph *g, uint32_t x)
{
	return nn_layernorm(g, x, "rwkv.ln_out.weight", "rwkv.ln_out.bias");
}

const struct arch arch_rwkv = {
	.name = "rwkv",
	.hf_types = (const char *const[]){ "rwkv", NULL },
	.hf_class = "RwkvForCausalLM",
	.hf_classifier = "",
	.fields = (const struct config_field *const[]){ fields, NULL },
	.config = rwkv_config,
	.weights = weights,
	.init = init,
	.prefix = "rwkv.",
	.embed = rwkv_embed,
	.block = rwkv_block,
	.norm = rwkv_norm,
	.head = "head.weight",
	.embedding = "rwkv.embeddings.weight",
	.state = "none: each layer carries a state from token to token, of one size whatever the length",
};
