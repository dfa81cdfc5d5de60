/* distilbert: DistilBERT (Sanh et al. 2019): encoder.h without types, with names of its own. Its GGUF is "bert".
 *
 * What classifies is a linear, relu and a linear on the first token's state. Positions of sines
 * (sinusoidal_pos_embds) are learnt ones to a reader: the file has their table. */
#include <math.h>

#include "model/encoder.h"
#include "model/init.h"

#define BLOCK "distilbert.transformer.layer.%d."

static const struct config_field fields[] = {
	CONFIG_INT('V', "vocab_size", "30522", NULL, NULL, struct config, V),
	CONFIG_INT('C', "dim", "768", NULL, NULL, struct config, C),
	CONFIG_INT('F', "hidden_dim", "3072", NULL, NULL, struct config, F),
	CONFIG_INT('L', "n_layers", "6", NULL, NULL, struct config, n_layers),
	CONFIG_INT('H', "n_heads", "12", NULL, NULL, struct config, H),
	CONFIG_INT('G', NULL, "H", NULL, NULL, struct config, G),
	CONFIG_INT('D', NULL, "C/H", NULL, NULL, struct config, D),
	CONFIG_INT('P', "max_position_embeddings", "512", NULL, NULL, struct encoder, positions),
	CONFIG_IS("activation", "gelu", NULL, NULL),
	CONFIG_FLAG(0, "tie_word_embeddings", "true", NULL, NULL, struct config, tied),
	CONFIG_ALSO("hidden_size", "dim"),
	CONFIG_ALSO("num_attention_heads", "n_heads"),
	CONFIG_ALSO("num_hidden_layers", "n_layers"),
	CONFIG_HARMLESS("tie_weights_", NULL, "tie_word_embeddings is used"),
	CONFIG_HARMLESS("sinusoidal_pos_embds", NULL, "how the table of positions began"),
	CONFIG_HARMLESS("dropout", NULL, "of training"),
	CONFIG_HARMLESS("attention_dropout", NULL, "of training"),
	CONFIG_HARMLESS("qa_dropout", NULL, "of training"),
	CONFIG_HARMLESS("seq_classif_dropout", NULL, "of training"),
	{ 0 },
};

static const struct weight_spec weights[] = {
	{ "distilbert.embeddings.word_embeddings.weight", NULL, "V,C", WEIGHT_EMBED },
	{ "distilbert.embeddings.position_embeddings.weight", NULL, "P,C", WEIGHT_EMBED },
	ENCODER_HF_NORM("distilbert.embeddings.LayerNorm", 0),
	ENCODER_HF_LINEAR(BLOCK "attention.q_lin", "C", "C", 0),
	ENCODER_HF_LINEAR(BLOCK "attention.k_lin", "C", "C", 0),
	ENCODER_HF_LINEAR(BLOCK "attention.v_lin", "C", "C", 0),
	ENCODER_HF_LINEAR(BLOCK "attention.out_lin", "C", "C", 0),
	ENCODER_HF_NORM(BLOCK "sa_layer_norm", 0),
	ENCODER_HF_LINEAR(BLOCK "ffn.lin1", "F", "C", 0),
	ENCODER_HF_LINEAR(BLOCK "ffn.lin2", "C", "F", 0),
	ENCODER_HF_NORM(BLOCK "output_layer_norm", 0),
	ENCODER_HF_LINEAR("pre_classifier", "C", "C", WEIGHT_OF_CLASSIFIER),
	ENCODER_HF_LINEAR("classifier", "Y", "C", WEIGHT_OF_CLASSIFIER),
	ENCODER_HF_LINEAR("vocab_transform", "C", "C", WEIGHT_OF_HEAD),
	ENCODER_HF_NORM("vocab_layer_norm", WEIGHT_OF_HEAD),
	{ "vocab_projector.bias", NULL, "V", WEIGHT_BIAS | WEIGHT_OF_HEAD },
	{ "vocab_projector.weight", NULL, "V,C", WEIGHT_LINEAR | WEIGHT_HEAD | WEIGHT_OF_HEAD },
	{ "distilbert.embeddings.position_ids", NULL, NULL, WEIGHT_IGNORED },
	{ 0 },
};

/* --- how it begins --- */

/* sin and cos of position/10000^(2⌊i/2⌋/C), in turn (Vaswani et al. 2017). */
static void fill_sines(const struct config *c, const struct weight *w, float *out)
{
	for (size_t p = 0; p < w->dim[0]; p++)
		for (int i = 0; i < c->C; i++) {
			double angle = (double)p / pow(10000, 2.0 * (i / 2) / c->C);
			out[p * (size_t)c->C + (size_t)i] = (float)(i % 2 ? cos(angle) : sin(angle));
		}
}

static const struct init_rule init[] = {
	{ .hf = "distilbert.embeddings.position_embeddings.weight", .form = INIT_FILL, .fill = fill_sines,
	  .when = "sinusoidal_pos_embds" },
	{ 0 },
};

static const struct encoder_names names = {
	.q = ENCODER_PAIR(BLOCK "attention.q_lin"),
	.k = ENCODER_PAIR(BLOCK "attention.k_lin"),
	.v = ENCODER_PAIR(BLOCK "attention.v_lin"),
	.o = ENCODER_PAIR(BLOCK "attention.out_lin"),
	.attention_norm = ENCODER_NORM_PAIR(BLOCK "sa_layer_norm"),
	.up = ENCODER_PAIR(BLOCK "ffn.lin1"),
	.down = ENCODER_PAIR(BLOCK "ffn.lin2"),
	.output_norm = ENCODER_NORM_PAIR(BLOCK "output_layer_norm"),
};

static int distilbert_config(struct config *c, const struct config_source *s, struct err *e)
{
	c->norm_eps = 1e-12;
	return encoder_config(c, s, e);
}

static uint32_t distilbert_embed(struct graph *g)
{
	static const struct encoder_linear norm = ENCODER_NORM_PAIR("distilbert.embeddings.LayerNorm");

	return encoder_embed(g, "distilbert.embeddings.word_embeddings.weight", NULL,
	                     "distilbert.embeddings.position_embeddings.weight", &norm);
}

static uint32_t distilbert_block(struct graph *g, int layer, uint32_t x)
{
	(void)layer;
	return encoder_block(g, &names, x);
}

static uint32_t distilbert_transform(struct graph *g, uint32_t x)
{
	static const struct encoder_linear dense = ENCODER_PAIR("vocab_transform"),
	                                   norm = ENCODER_NORM_PAIR("vocab_layer_norm");

	return encoder_transform(g, x, &dense, &norm);
}

static uint32_t distilbert_classify(struct graph *g, uint32_t hidden)
{
	uint32_t x = nn_linear(g, op_gather(g->tape, hidden), "pre_classifier.weight", "pre_classifier.bias",
	                       TENSOR_NONE);

	return nn_linear(g, op_act(g->tape, ACT_RELU, x, TENSOR_NONE), "classifier.weight", "classifier.bias",
	                 TENSOR_NONE);
}

static void distilbert_logits(struct graph *g, struct linear *head, float *cap)
{
	(void)cap;
	head->bias = nn_weight(g, "vocab_projector.bias");
}

const struct arch arch_distilbert = {
	.name = "distilbert",
	.hf_types = (const char *const[]){ "distilbert", NULL },
	.hf_class = "DistilBertModel",
	.fields = (const struct config_field *const[]){ fields, NULL },
	.own_bytes = sizeof(struct encoder),
	.config = distilbert_config,
	.weights = weights,
	.init = init,
	.prefix = "distilbert.",
	.embed = distilbert_embed,
	.block = distilbert_block,
	.norm = encoder_norm,
	.encoder = true,
	.transform = distilbert_transform,
	.classify = distilbert_classify,
	.classifier = WEIGHT_OF_CLASSIFIER,
	.logits = distilbert_logits,
	.head = "vocab_projector.weight",
	.embedding = "distilbert.embeddings.word_embeddings.weight",
};
