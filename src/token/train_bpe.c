/* train_bpe: byte-level BPE, the tokenizer of GPT-2 and most models since: words by an expression, their bytes as
 * characters, merges of the most frequent neighbours (token/pair_merges.h). Options have the names of tokenizers'
 * BpeTrainer and ByteLevel; with the same ones the merges are those of tokenizers 0.23.
 *
 * Texts are not normalized unless that is asked for, and every byte is in the alphabet, so any text comes back from its
 * tokens as it was. */
#include <string.h>

#include "base/mem.h"
#include "token/gguf_pre.h"
#include "token/training.h"

extern const struct token_trainer token_trainer_bpe;

struct options {
	struct pair_options pairs;
	const char *pre_tokenizer, *normalizer;
	bool add_prefix_space, byte_alphabet;
};

static const struct opt opts[] = {
	PAIR_OPTS(struct options, pairs, NULL),
	OPT_STRING("pre-tokenizer", struct options, pre_tokenizer, "gpt2", "NAME",
	           "how words are cut: gpt2, gpt4, gpt4o, or a name of llama.cpp's"),
	OPT_CHOICE("normalizer", struct options, normalizer, "none", "none|nfc|nfkc", "of texts before all"),
	OPT_FLAG("add-prefix-space", struct options, add_prefix_space, "false", "a text begins with a space"),
	OPT_FLAG("byte-alphabet", struct options, byte_alphabet, "true", "all 256 bytes are in, seen or not"),
	OPT_END
};

/* What people call them beside llama.cpp's names. */
static const char *name_of(const char *name)
{
	static const char *const names[][2] = { { "gpt2", "gpt-2" }, { "gpt4", "dbrx" }, { "gpt4o", "gpt-4o" } };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (!strcmp(name, names[i][0]))
			return names[i][1];
	return name;
}

static json_t *pre_tokenizer(const struct options *o, struct err *e)
{
	bool ignore = false, bos = false;
	json_t *steps = gguf_pre(name_of(o->pre_tokenizer), &ignore, &bos, e), *step;
	size_t i;

	if (!steps)
		err_prefix(e, "--pre-tokenizer");
	if (steps && o->add_prefix_space) {
		json_object_set_new(steps, "add_prefix_space", json_true());
		json_array_foreach(json_object_get(steps, "pretokenizers"), i, step)
			if (json_object_get(step, "add_prefix_space"))
				json_object_set_new(step, "add_prefix_space", json_true());
	}
	return steps;
}

static json_t *normalizer(const struct options *o)
{
	bool none = !strcmp(o->normalizer, "none"), nfc = !strcmp(o->normalizer, "nfc");
	return none ? json_null() : json_pack("{s:s}", "type", nfc ? "NFC" : "NFKC");
}

static json_t *byte_level(bool prefix, bool trim)
{
	return json_pack("{s:s,s:b,s:b,s:b}", "type", "ByteLevel", "add_prefix_space", prefix, "trim_offsets", trim,
	                 "use_regex", 1);
}

static json_t *train(const struct token_training *t, const void *options, struct token_texts *texts, json_t *config,
                     struct token_train_report *r, struct err *e)
{
	const struct options *o = options;
	struct pair_merges m = { 0 };
	json_t *steps = pre_tokenizer(o, e), *norm = normalizer(o), *model;

	(void)config;
	if (!steps || train_pairs(&m, t, &o->pairs, true, o->byte_alphabet, norm, steps, texts, r, e)) {
		json_decref(steps);
		json_decref(norm);
		return NULL;
	}
	model = json_pack("{s:s,s:n,s:n,s:s*,s:s*,s:b,s:b,s:b,s:o,s:o}", "type", "BPE", "dropout", "unk_token",
	                  "continuing_subword_prefix", o->pairs.prefix, "end_of_word_suffix", o->pairs.suffix,
	                  "fuse_unk", 0, "byte_fallback", 0, "ignore_merges", 0, "vocab", vocab_json(&m.vocab),
	                  "merges", train_merges_json(&m));
	json_t *j = json_pack("{s:o,s:o,s:o,s:o}", "added_tokens", token_train_added(t), "normalizer", norm,
	                      "pre_tokenizer", steps, "model", model);
	json_object_set_new(j, "post_processor", byte_level(o->add_prefix_space, false));
	json_object_set_new(j, "decoder", byte_level(true, true));
	pair_merges_release(&m);
	return j;
}

const struct token_trainer token_trainer_bpe = {
	.name = "bpe",
	.summary = "byte-level BPE, as GPT-2, Llama 3, Qwen",
	.standard = true,
	.end_of_text = TRAIN_END_OF_TEXT,
	.opts = opts,
	.options_size = sizeof(struct options),
	.train = train,
};
