/* roberta: RoBERTa and XLM-RoBERTa (Liu et al. 2019; Conneau et al. 2020): encoder.h with names of its own, and
 * positions that are counted from one behind the padding token's number, so that the table's first rows are not used.
 * Their GGUF is "bert". A padding token inside a text has a position like any other; in transformers it has none.
 *
 * What classifies is a linear, tanh and a linear on the first token's state. */
#include "base/jsonx.h"
#include "model/encoder.h"
#include "model/init.h"

static const struct config_field fields[] = {
	CONFIG_INT('V', "vocab_size", "50265", NULL, NULL, struct config, V),
	CONFIG_HARMLESS("pad_token_id", NULL, "it is read beside: positions are counted from behind it"),
	{ 0 },
};

static const struct weight_spec weights[] = {
	ENCODER_TABLES("roberta."),
	ENCODER_BLOCK("roberta."),
	ENCODER_HF_LINEAR("roberta.pooler.dense", "C", "C", WEIGHT_OF_POOLER),
	ENCODER_HF_LINEAR("classifier.dense", "C", "C", WEIGHT_OF_CLASSIFIER),
	ENCODER_HF_LINEAR("classifier.out_proj", "Y", "C", WEIGHT_OF_CLASSIFIER),
	ENCODER_HF_LINEAR("lm_head.dense", "C", "C", WEIGHT_OF_HEAD),
	ENCODER_HF_NORM("lm_head.layer_norm", WEIGHT_OF_HEAD),
	{ "lm_head.bias lm_head.decoder.bias", NULL, "V", WEIGHT_BIAS | WEIGHT_OF_HEAD },
	{ "lm_head.decoder.weight", NULL, "V,C", WEIGHT_LINEAR | WEIGHT_HEAD | WEIGHT_OF_HEAD },
	{ 0 },
};

static const struct init_rule init[] = {
	{ .hf = "roberta.embeddings.position_embeddings.weight", .pad = INIT_PAD_ZERO },
	{ 0 },
};

static const struct encoder_names names = ENCODER_NAMES("roberta.");

static int roberta_config(struct config *c, const struct config_source *s, struct err *e)
{
	struct encoder *own = c->own;
	long long padding;

	if (jsonx_int(s->json, "pad_token_id", 1, &padding, e) < 0)
		return err_prefix(e, "%s", s->where);
	if (padding < 0 || padding >= own->positions)
		return err_set(e, "%s: pad_token_id is %lld, wanted from 0 to max_position_embeddings %d", s->where,
		               padding, own->positions);
	own->first = (int)padding + 1;
	return encoder_config(c, s, e);
}

extern const struct arch arch_bert;

/* BERT's, whose table of positions begins at the first that is used. */
static int to_gguf(const struct config *c, struct config *out, struct arena *mem, const char *where, struct err *e)
{
	const struct encoder *own = c->own;
	struct encoder *bert = arena_alloc(mem, sizeof(*bert));
	(void)where;
	(void)e;

	*bert = *own;
	bert->positions = own->positions - own->first;
	bert->first = 0;
	*out = *c;
	out->arch = &arch_bert;
	out->own = bert;
	return 0;
}

static uint32_t roberta_embed(struct graph *g)
{
	static const struct encoder_linear norm = ENCODER_NORM_PAIR("roberta.embeddings.LayerNorm");

	return encoder_embed(g, "roberta.embeddings.word_embeddings.weight",
	                     "roberta.embeddings.token_type_embeddings.weight",
	                     "roberta.embeddings.position_embeddings.weight", &norm);
}

static uint32_t roberta_block(struct graph *g, int layer, uint32_t x)
{
	(void)layer;
	return encoder_block(g, &names, x);
}

static uint32_t roberta_transform(struct graph *g, uint32_t x)
{
	static const struct encoder_linear dense = ENCODER_PAIR("lm_head.dense"),
	                                   norm = ENCODER_NORM_PAIR("lm_head.layer_norm");

	return encoder_transform(g, x, &dense, &norm);
}

static uint32_t roberta_classify(struct graph *g, uint32_t hidden)
{
	uint32_t x = nn_linear(g, op_gather(g->tape, hidden), "classifier.dense.weight", "classifier.dense.bias",
	                       TENSOR_NONE);

	return nn_linear(g, op_act(g->tape, ACT_TANH, x, TENSOR_NONE), "classifier.out_proj.weight",
	                 "classifier.out_proj.bias", TENSOR_NONE);
}

static void roberta_logits(struct graph *g, struct linear *head, float *cap)
{
	(void)cap;
	head->bias = nn_weight(g, "lm_head.bias lm_head.decoder.bias");
}

const struct arch arch_roberta = {
	.name = "roberta",
	.hf_types = (const char *const[]){ "roberta", "xlm-roberta", "camembert", NULL },
	.hf_class = "RobertaModel",
	.to_gguf = to_gguf,
	.fields = (const struct config_field *const[]){ encoder_fields, fields, NULL },
	.own_bytes = sizeof(struct encoder),
	.config = roberta_config,
	.weights = weights,
	.init = init,
	.prefix = "roberta.",
	.embed = roberta_embed,
	.block = roberta_block,
	.norm = encoder_norm,
	.encoder = true,
	.transform = roberta_transform,
	.classify = roberta_classify,
	.classifier = WEIGHT_OF_CLASSIFIER,
	.logits = roberta_logits,
	.head = "lm_head.decoder.weight",
	.embedding = "roberta.embeddings.word_embeddings.weight",
};
