/* modernbert: ModernBERT (Warner et al. 2024): an encoder with norms before each half, positions that turn, a gated
 * feed-forward, and a window in all but every third layer; linears without biases.
 *
 *     x = n(token)                                                         n: LayerNorm, mostly without a bias
 *     x += Wo·attention(rope(q), rope(k), v)       [q k v] = Wqkv·n(x)     the first layer's n is none
 *     x += Wo·(gelu(a) ∘ b)                        [a b] = Wi·n(x)
 *
 * A window of local_attention tokens reaches half of them to each side; layers with one turn by angles of a base of
 * their own. The head of masked tokens, and what classifies, begin with n(gelu(dense·x)).
 *
 * llama.cpp's "modern-bert" has no head of masked tokens. A file with one and neither a bias nor a matrix of its own
 * (decoder_bias false, tied) counts as one without. */
#include <string.h>

#include "model/decoder.h"
#include "model/encoder.h"
#include "model/init.h"

#define BLOCK "model.layers.%d."

struct modernbert {
	int window;                            /* local_attention, half of it to each side */
	int every;
	uint8_t slides[CONFIG_LAYERS_MAX];     /* 0: all is seen */
	double local_theta;
	struct rope_scaling local_scaling;
	struct rope local;
	bool mean;                             /* labels are said of the mean of all tokens, else of the first */
	bool attention_bias, mlp_bias, norm_bias, dense_bias, decoder_bias;
};

static const struct init_rule init[] = {
	{ .hf = BLOCK "attn.Wo.weight", .form = INIT_TRUNCATED, .size = init_by_depth },
	{ .hf = BLOCK "mlp.Wo.weight", .form = INIT_TRUNCATED, .size = init_by_depth },
	{ .hf = "head.dense.weight", .form = INIT_TRUNCATED, .size = init_by_depth },
	{ .hf = "decoder.weight", .form = INIT_TRUNCATED, .size = init_by_depth },
	{ .hf = "model.embeddings.tok_embeddings.weight", .form = INIT_TRUNCATED, .pad = INIT_PAD_LIKE_OTHERS },
	{ .hf = "*", .form = INIT_TRUNCATED },
	{ 0 },
};

static const struct config_field fields[] = {
	CONFIG_INT('V', "vocab_size", "50368", NULL, NULL, struct config, V),
	CONFIG_INT('C', "hidden_size", "768", "embedding_length", NULL, struct config, C),
	CONFIG_INT('F', "intermediate_size", "1152", "feed_forward_length", NULL, struct config, F),
	CONFIG_INT('L', "num_hidden_layers", "22", "block_count", NULL, struct config, n_layers),
	CONFIG_INT('H', "num_attention_heads", "12", "attention.head_count", NULL, struct config, H),
	CONFIG_INT('G', NULL, "H", NULL, "H", struct config, G),
	CONFIG_INT('D', NULL, "C/H", NULL, "C/H", struct config, D),
	CONFIG_INT('P', "max_position_embeddings", "8192", "context_length", NULL, struct config, n_ctx),
	CONFIG_REAL("norm_eps", "1e-5", "attention.layer_norm_epsilon", NULL, struct config, norm_eps),
	CONFIG_INT(0, "local_attention", "128", "attention.sliding_window", "128", struct modernbert, window),
	CONFIG_INT('e', "global_attn_every_n_layers", "3", "attention.sliding_window_pattern", "3", struct modernbert,
	           every),
	CONFIG_LAYERS("layer_types", "full_attention sliding_attention", "e", struct modernbert, slides),
	CONFIG_REAL("global_rope_theta", "160000", "rope.freq_base", "160000", struct config, rope_theta),
	CONFIG_REAL("local_rope_theta", "10000", "rope.freq_base_swa", "10000", struct modernbert, local_theta),
	CONFIG_FLAG('a', "attention_bias", "false", NULL, "false", struct modernbert, attention_bias),
	CONFIG_FLAG('m', "mlp_bias", "false", NULL, "false", struct modernbert, mlp_bias),
	CONFIG_FLAG('n', "norm_bias", "false", NULL, "false", struct modernbert, norm_bias),
	CONFIG_FLAG('d', "classifier_bias", "false", NULL, "false", struct modernbert, dense_bias),
	{ .kind = CONFIG_KIND_FLAG, .letter = 'b', .hf = "decoder_bias", .hf_init = "true", .gguf_init = "false",
	  .own = true, .unsaid = true, .at = offsetof(struct modernbert, decoder_bias) },
	CONFIG_FLAG(0, "tie_word_embeddings", "true", NULL, "true", struct config, tied),
	CONFIG_IS("hidden_activation", "gelu", "hidden_activation", "gelu"),
	CONFIG_IS("classifier_activation", "gelu", NULL, NULL),
	CONFIG_IS(NULL, NULL, "attention.causal", "false"),
	CONFIG_HARMLESS("classifier_pooling", NULL, "it is read beside: cls or mean"),
	CONFIG_HARMLESS("layer_norm_eps", NULL, "norm_eps is used"),
	CONFIG_HARMLESS("position_embedding_type", NULL, "positions turn whatever it says"),
	CONFIG_HARMLESS("sliding_window", NULL, "it is read beside: half of local_attention"),
	CONFIG_HARMLESS("cls_token_id", NULL, "the tokenizer's is used"),
	CONFIG_HARMLESS("embedding_dropout", NULL, "of training"),
	CONFIG_HARMLESS("attention_dropout", NULL, "of training"),
	CONFIG_HARMLESS("mlp_dropout", NULL, "of training"),
	CONFIG_HARMLESS("sparse_prediction", NULL, "how a loss is computed, not what"),
	CONFIG_HARMLESS("sparse_pred_ignore_index", NULL, "of sparse_prediction"),
	CONFIG_HARMLESS("deterministic_flash_attn", NULL, "how it is computed, not what"),
	CONFIG_HARMLESS("repad_logits_with_grad", NULL, "how it is computed, not what"),
	CONFIG_HARMLESS("reference_compile", NULL, "how it is computed, not what"),
	{ 0 },
};

static const struct weight_spec weights[] = {
	{ "model.embeddings.tok_embeddings.weight", "token_embd.weight", "V,C", WEIGHT_EMBED },
	{ "model.embeddings.norm.weight", "token_embd_norm.weight", "C", WEIGHT_NORM },
	{ "model.embeddings.norm.bias", "token_embd_norm.bias", "nC", WEIGHT_BIAS },
	{ BLOCK "attn_norm.weight", "blk.%d.attn_norm.weight", "C", WEIGHT_NORM | WEIGHT_LATER },
	{ BLOCK "attn_norm.bias", "blk.%d.attn_norm.bias", "nC", WEIGHT_BIAS | WEIGHT_LATER },
	{ BLOCK "attn.Wqkv.weight", "blk.%d.attn_qkv.weight", "3C,C", WEIGHT_LINEAR },
	{ BLOCK "attn.Wqkv.bias", "blk.%d.attn_qkv.bias", "3aC", WEIGHT_BIAS },
	{ BLOCK "attn.Wo.weight", "blk.%d.attn_output.weight", "C,C", WEIGHT_LINEAR },
	{ BLOCK "attn.Wo.bias", "blk.%d.attn_output.bias", "aC", WEIGHT_BIAS },
	{ BLOCK "mlp_norm.weight", "blk.%d.ffn_norm.weight", "C", WEIGHT_NORM },
	{ BLOCK "mlp_norm.bias", "blk.%d.ffn_norm.bias", "nC", WEIGHT_BIAS },
	{ BLOCK "mlp.Wi.weight", "blk.%d.ffn_up.weight", "2F,C", WEIGHT_LINEAR },
	{ BLOCK "mlp.Wi.bias", "blk.%d.ffn_up.bias", "2mF", WEIGHT_BIAS },
	{ BLOCK "mlp.Wo.weight", "blk.%d.ffn_down.weight", "C,F", WEIGHT_LINEAR },
	{ BLOCK "mlp.Wo.bias", "blk.%d.ffn_down.bias", "mC", WEIGHT_BIAS },
	{ "model.final_norm.weight", "output_norm.weight", "C", WEIGHT_NORM },
	{ "model.final_norm.bias", "output_norm.bias", "nC", WEIGHT_BIAS },
	{ "head.dense.weight", "cls.weight", "C,C", WEIGHT_LINEAR | WEIGHT_OF_HEAD | WEIGHT_OF_CLASSIFIER },
	{ "head.dense.bias", "cls.bias", "dC", WEIGHT_BIAS | WEIGHT_OF_HEAD | WEIGHT_OF_CLASSIFIER },
	{ "head.norm.weight", "cls.norm.weight", "C", WEIGHT_NORM | WEIGHT_OF_HEAD | WEIGHT_OF_CLASSIFIER },
	{ "head.norm.bias", "cls.norm.bias", "nC", WEIGHT_BIAS | WEIGHT_OF_HEAD | WEIGHT_OF_CLASSIFIER },
	{ "classifier.weight", "cls.output.weight", "Y,C", WEIGHT_LINEAR | WEIGHT_OF_CLASSIFIER },
	{ "classifier.bias", "cls.output.bias", "Y", WEIGHT_BIAS | WEIGHT_OF_CLASSIFIER },
	{ "decoder.bias", NULL, "bV", WEIGHT_BIAS | WEIGHT_OF_HEAD },
	{ "decoder.weight", NULL, "V,C", WEIGHT_LINEAR | WEIGHT_HEAD | WEIGHT_OF_HEAD },
	{ 0 },
};

static int read_pooling(struct modernbert *own, const struct config_source *s, struct err *e)
{
	const json_t *pooling = json_object_get(s->json, "classifier_pooling");
	const char *word = pooling && !json_is_null(pooling) ? json_string_value(pooling) : "cls";

	own->mean = word && !strcmp(word, "mean");
	if (word && (own->mean || !strcmp(word, "cls")))
		return 0;
	return err_set(e, "%s: classifier_pooling is \"%.40s\", wanted cls or mean", s->where,
	               word ? word : "(no text)");
}

static int modernbert_config(struct config *c, const struct config_source *s, struct err *e)
{
	struct modernbert *own = c->own;
	const struct rope_layers full = { "full_attention", true }, sliding = { "sliding_attention", true };
	const json_t *window = json_object_get(s->json, "sliding_window");

	if (window && !json_is_null(window) && json_integer_value(window) != own->window / 2)
		return err_set(e, "%s: sliding_window is beside local_attention, of which half was wanted: %d",
		               s->where, own->window / 2);
	for (int i = 0; i < c->n_layers && i < CONFIG_LAYERS_MAX; i++)
		if (!json_is_array(json_object_get(s->json, "layer_types")))
			own->slides[i] = i % own->every != 0;
	if (read_pooling(own, s, e) < 0 ||
	    decoder_rope(c, s, &full, &c->rope_theta, &c->rope_scaling, &c->rope, e) < 0)
		return -1;
	if (!s->gguf)
		return decoder_rope(c, s, &sliding, &own->local_theta, &own->local_scaling, &own->local, e);
	rope_make(&own->local, &own->local_scaling, own->local_theta, c->D, c->n_ctx);
	return 0;
}

static uint32_t modernbert_embed(struct graph *g)
{
	return nn_layernorm(g, nn_embed(g, "model.embeddings.tok_embeddings.weight", EMBED_IDS),
	                    "model.embeddings.norm.weight", "model.embeddings.norm.bias");
}

static uint32_t attention(struct graph *g, int layer, uint32_t x)
{
	const struct config *c = &g->model->config;
	const struct modernbert *own = c->own;
	const struct rope *r = own->slides[layer] ? &own->local : &c->rope;
	struct attention_spec a = { .both_ways = true, .window = own->slides[layer] ? own->window / 2 + 1 : 0 };
	size_t C = (size_t)c->C;
	uint32_t h = layer ? nn_layernorm(g, x, BLOCK "attn_norm.weight", BLOCK "attn_norm.bias") : x, part[3];

	op_split(g->tape, nn_linear(g, h, BLOCK "attn.Wqkv.weight", BLOCK "attn.Wqkv.bias", TENSOR_NONE), 1, 3,
	         (size_t[]){ C, C, C }, part);
	uint32_t o = nn_attention(g, nn_rope(g, part[0], c->H, r), nn_rope(g, part[1], c->G, r), part[2], a);
	return nn_sublayer_linear(g, SUBLAYER_ATTENTION, x, h, o, BLOCK "attn.Wo.weight", BLOCK "attn.Wo.bias");
}

static uint32_t modernbert_block(struct graph *g, int layer, uint32_t x)
{
	size_t F = (size_t)g->model->config.F;
	uint32_t part[2];

	x = attention(g, layer, x);
	uint32_t h = nn_layernorm(g, x, BLOCK "mlp_norm.weight", BLOCK "mlp_norm.bias");
	op_split(g->tape, nn_linear(g, h, BLOCK "mlp.Wi.weight", BLOCK "mlp.Wi.bias", TENSOR_NONE), 1, 2,
	         (size_t[]){ F, F }, part);
	return nn_sublayer_linear(g, SUBLAYER_FEED_FORWARD, x, h, op_act(g->tape, ACT_GELU, part[0], part[1]),
	                          BLOCK "mlp.Wo.weight", BLOCK "mlp.Wo.bias");
}

static uint32_t modernbert_norm(struct graph *g, uint32_t x)
{
	return nn_layernorm(g, x, "model.final_norm.weight", "model.final_norm.bias");
}

static uint32_t modernbert_transform(struct graph *g, uint32_t x)
{
	static const struct encoder_linear dense = ENCODER_PAIR("head.dense"), norm = ENCODER_PAIR("head.norm");

	return encoder_transform(g, x, &dense, &norm);
}

static uint32_t modernbert_classify(struct graph *g, uint32_t hidden)
{
	const struct modernbert *own = g->model->config.own;
	uint32_t x = own->mean ? op_mean(g->tape, modernbert_norm(g, hidden)) :
	                         modernbert_norm(g, op_gather(g->tape, hidden));

	return nn_linear(g, modernbert_transform(g, x), "classifier.weight", "classifier.bias", TENSOR_NONE);
}

static void modernbert_logits(struct graph *g, struct linear *head, float *cap)
{
	(void)cap;
	head->bias = nn_weight(g, "decoder.bias");
}

const struct arch arch_modernbert = {
	.name = "modernbert",
	.hf_types = (const char *const[]){ "modernbert", NULL },
	.hf_class = "ModernBertModel",
	.gguf = "modern-bert",
	.fields = (const struct config_field *const[]){ fields, NULL },
	.own_bytes = sizeof(struct modernbert),
	.config = modernbert_config,
	.weights = weights,
	.init = init,
	.prefix = "model.",
	.embed = modernbert_embed,
	.block = modernbert_block,
	.norm = modernbert_norm,
	.encoder = true,
	.transform = modernbert_transform,
	.classify = modernbert_classify,
	.classifier = WEIGHT_OF_CLASSIFIER,
	.logits = modernbert_logits,
	.head = "decoder.weight",
	.embedding = "model.embeddings.tok_embeddings.weight",
};
