/* bert: BERT, and MiniLM and others that were distilled into its shape (Devlin et al. 2019): encoder.h as it is. Files
 * of the model alone, of its head of masked tokens, of pretraining's two heads (what tells whether a sentence follows
 * is not computed) and of one that classifies.
 *
 * GGUF's "bert" is the model alone, and RoBERTa's and DistilBERT's as well: its positions begin at the first that is
 * used, and types may be missing. */
#include "model/encoder.h"

static const struct weight_spec weights[] = {
	ENCODER_TABLES("bert."),
	ENCODER_BLOCK("bert."),
	ENCODER_LINEAR("bert.pooler.dense", "cls", "C", "C", WEIGHT_OF_POOLER),
	ENCODER_LINEAR("classifier", "cls.output", "Y", "C", WEIGHT_OF_CLASSIFIER),
	ENCODER_HF_LINEAR("cls.predictions.transform.dense", "C", "C", WEIGHT_OF_HEAD),
	ENCODER_HF_NORM("cls.predictions.transform.LayerNorm", WEIGHT_OF_HEAD),
	{ "cls.predictions.bias cls.predictions.decoder.bias", NULL, "V", WEIGHT_BIAS | WEIGHT_OF_HEAD },
	{ "cls.predictions.decoder.weight", NULL, "V,C", WEIGHT_LINEAR | WEIGHT_HEAD | WEIGHT_OF_HEAD },
	{ "cls.seq_relationship.weight", NULL, NULL, WEIGHT_IGNORED },
	{ "cls.seq_relationship.bias", NULL, NULL, WEIGHT_IGNORED },
	{ 0 },
};

static const struct encoder_names names = ENCODER_NAMES("bert.");

static uint32_t bert_embed(struct graph *g)
{
	static const struct encoder_linear norm = ENCODER_NORM_PAIR("bert.embeddings.LayerNorm");

	return encoder_embed(g, "bert.embeddings.word_embeddings.weight",
	                     "bert.embeddings.token_type_embeddings.weight",
	                     "bert.embeddings.position_embeddings.weight", &norm);
}

static uint32_t bert_block(struct graph *g, int layer, uint32_t x)
{
	(void)layer;
	return encoder_block(g, &names, x);
}

static uint32_t bert_transform(struct graph *g, uint32_t x)
{
	static const struct encoder_linear dense = ENCODER_PAIR("cls.predictions.transform.dense"),
	                                   norm = ENCODER_NORM_PAIR("cls.predictions.transform.LayerNorm");

	return encoder_transform(g, x, &dense, &norm);
}

static uint32_t bert_classify(struct graph *g, uint32_t hidden)
{
	uint32_t x = nn_linear(g, op_gather(g->tape, hidden), "bert.pooler.dense.weight", "bert.pooler.dense.bias",
	                       TENSOR_NONE);

	return nn_linear(g, op_act(g->tape, ACT_TANH, x, TENSOR_NONE), "classifier.weight", "classifier.bias",
	                 TENSOR_NONE);
}

static void bert_logits(struct graph *g, struct linear *head, float *cap)
{
	(void)cap;
	head->bias = nn_weight(g, "cls.predictions.bias cls.predictions.decoder.bias");
}

const struct arch arch_bert = {
	.name = "bert",
	.hf_types = (const char *const[]){ "bert", NULL },
	.hf_class = "BertModel",
	.gguf = "bert",
	.fields = (const struct config_field *const[]){ encoder_fields, NULL },
	.own_bytes = sizeof(struct encoder),
	.config = encoder_config,
	.weights = weights,
	.prefix = "bert.",
	.embed = bert_embed,
	.block = bert_block,
	.norm = encoder_norm,
	.encoder = true,
	.transform = bert_transform,
	.classify = bert_classify,
	.classifier = WEIGHT_OF_POOLER | WEIGHT_OF_CLASSIFIER,
	.logits = bert_logits,
	.head = "cls.predictions.decoder.weight",
	.embedding = "bert.embeddings.word_embeddings.weight",
};
