/* train_wordpiece: BERT's vocabulary: words of BertPreTokenizer, pieces by merging the most frequent neighbours, those
 * inside a word with "##" before them. As in tokenizers 0.23, whose WordPieceTrainer is its BpeTrainer with that
 * prefix: the same pieces, but for the ids of "##x" (token/pair_merges.h).
 *
 * The first ids are BERT's own: [PAD], [UNK], [CLS], [SEP], [MASK]. [CLS] and [SEP] are put around a text only where
 * that is asked for. */
#include <string.h>

#include "base/mem.h"
#include "token/training.h"

extern const struct token_trainer token_trainer_wordpiece;

struct options {
	struct pair_options pairs;
	bool lowercase, clean_text, handle_chinese_chars, post_processor;
	int64_t max_input_chars;
	const char *unk_token;
};

static const struct opt opts[] = {
	PAIR_OPTS(struct options, pairs, "##"),
	OPT_FLAG("lowercase", struct options, lowercase, "true", "texts in small letters, without accents"),
	OPT_FLAG("clean-text", struct options, clean_text, "true", "controls go, white space is a space"),
	OPT_FLAG("handle-chinese-chars", struct options, handle_chinese_chars, "true", "each of them is a word"),
	OPT_INT("max-input-chars-per-word", struct options, max_input_chars, "100", 1, 1 << 20,
	        "a longer word is unknown when texts are read later"),
	OPT_STRING("unk-token", struct options, unk_token, "[UNK]", "TOKEN", "what has no pieces"),
	OPT_FLAG("cls-sep", struct options, post_processor, "false", "[CLS] and [SEP] stand around a text"),
	OPT_END
};

/* BERT's special tokens, then what the caller names beside. */
static const char *const own[] = { "[PAD]", NULL, "[CLS]", "[SEP]", "[MASK]" };

static const char **special_of(const struct token_training *t, const struct options *o, size_t *n)
{
	const char **out = mem_array(ARRAY_LEN(own) + t->n_special, sizeof(*out));

	*n = 0;
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		out[(*n)++] = own[i] ? own[i] : o->unk_token;
	for (size_t i = 0; i < t->n_special; i++) {
		size_t k = 0;
		while (k < *n && strcmp(out[k], t->special[i]) != 0)
			k++;
		if (k == *n)
			out[(*n)++] = t->special[i];
	}
	return out;
}

static void put_config(json_t *config, const struct options *o)
{
	json_object_set_new(config, "pad_token", json_string("[PAD]"));
	json_object_set_new(config, "unk_token", json_string(o->unk_token));
	json_object_set_new(config, "cls_token", json_string("[CLS]"));
	json_object_set_new(config, "sep_token", json_string("[SEP]"));
	json_object_set_new(config, "mask_token", json_string("[MASK]"));
}

static json_t *around(void)
{
	return json_pack(
		"{s:s,s:[{s:{s:s,s:i}},{s:{s:s,s:i}},{s:{s:s,s:i}}],s:[{s:{s:s,s:i}},{s:{s:s,s:i}},{s:{s:s,s:i}},"
		"{s:{s:s,s:i}},{s:{s:s,s:i}}],s:{s:{s:s,s:[i],s:[s]},s:{s:s,s:[i],s:[s]}}}",
		"type", "TemplateProcessing", "single", "SpecialToken", "id", "[CLS]", "type_id", 0, "Sequence", "id",
		"A", "type_id", 0, "SpecialToken", "id", "[SEP]", "type_id", 0, "pair", "SpecialToken", "id", "[CLS]",
		"type_id", 0, "Sequence", "id", "A", "type_id", 0, "SpecialToken", "id", "[SEP]", "type_id", 0,
		"Sequence", "id", "B", "type_id", 1, "SpecialToken", "id", "[SEP]", "type_id", 1, "special_tokens",
		"[CLS]", "id", "[CLS]", "ids", 2, "tokens", "[CLS]", "[SEP]", "id", "[SEP]", "ids", 3, "tokens",
		"[SEP]");
}

static json_t *train(const struct token_training *asked, const void *options, struct token_texts *texts, json_t *config,
                     struct token_train_report *r, struct err *e)
{
	const struct options *o = options;
	struct token_training t = *asked;
	struct pair_merges m = { 0 };
	const char *prefix = o->pairs.prefix ? o->pairs.prefix : "";
	json_t *pre = json_pack("{s:s}", "type", "BertPreTokenizer"), *j = NULL;
	json_t *norm =
		json_pack("{s:s,s:b,s:b,s:n,s:b}", "type", "BertNormalizer", "clean_text", o->clean_text,
	                  "handle_chinese_chars", o->handle_chinese_chars, "strip_accents", "lowercase", o->lowercase);

	t.special = special_of(asked, o, &t.n_special);
	if (train_pairs(&m, &t, &o->pairs, false, false, norm, pre, texts, r, e) == 0) {
		json_t *model = json_pack("{s:s,s:s,s:s,s:I,s:o}", "type", "WordPiece", "unk_token", o->unk_token,
		                          "continuing_subword_prefix", prefix, "max_input_chars_per_word",
		                          (json_int_t)o->max_input_chars, "vocab", vocab_json(&m.vocab));
		j = json_pack("{s:o,s:O,s:O,s:o,s:{s:s,s:s,s:b},s:o}", "added_tokens", token_train_added(&t),
		              "normalizer", norm, "pre_tokenizer", pre, "post_processor",
		              o->post_processor ? around() : json_null(), "decoder", "type", "WordPiece", "prefix",
		              prefix, "cleanup", 1, "model", model);
		put_config(config, o);
		r->merges = 0;
	}
	pair_merges_release(&m);
	json_decref(norm);
	json_decref(pre);
	mem_free((void *)t.special);
	return j;
}

const struct token_trainer token_trainer_wordpiece = {
	.name = "wordpiece",
	.summary = "WordPiece, as BERT",
	.opts = opts,
	.options_size = sizeof(struct options),
	.train = train,
};
