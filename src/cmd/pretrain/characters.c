/* characters: a tokenizer whose tokens are the characters of the texts, as nanoGPT has it for short ones, in the form
 * of a tokenizer.json that transformers loads: byte-pair encoding without a merge, every character a word.
 *
 * Ids are those of the characters in the order of Unicode, behind <|endoftext|>, which is 0. A character that the texts
 * do not have cannot be written in it: it becomes nothing, as tokenizers has it without an unknown token. */
#include "base/mem.h"
#include "base/utf8.h"
#include "cmd/pretrain/pretrain.h"
#include "token/train.h"

enum { CHARACTERS = 0x110000 };

static int see(struct token_texts *texts, uint8_t *seen, struct err *e)
{
	const char *text;
	size_t n;
	int more;

	while ((more = texts->next(texts->ctx, &text, &n, e)) > 0)
		for (size_t at = 0, bytes; at < n; at += bytes) {
			uint32_t c;
			bytes = utf8_decode(text + at, n - at, &c);
			if (!bytes)
				BUG("a text with bytes that are no UTF-8");
			seen[c] = 1;
		}
	return more;
}

static json_t *vocabulary(const uint8_t *seen)
{
	json_t *vocab = json_pack("{s:i}", TRAIN_END_OF_TEXT, 0);
	json_int_t id = 1;

	for (uint32_t c = 1; c < CHARACTERS; c++) { /* 0 is no character of a cleaned text */
		char text[5];
		if (!seen[c])
			continue;
		text[utf8_encode(c, text)] = 0;
		json_object_set_new(vocab, text, json_integer(id++));
	}
	return vocab;
}

static json_t *make_json(const uint8_t *seen)
{
	json_t *added = json_pack("[{s:i, s:s, s:b, s:b, s:b, s:b, s:b}]", "id", 0, "content", TRAIN_END_OF_TEXT,
	                          "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1);
	json_t *split = json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex", "[\\s\\S]",
	                          "behavior", "Isolated", "invert", 0);
	json_t *model = json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:o, s:[]}", "type", "BPE", "dropout",
	                          "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0,
	                          "byte_fallback", 0, "ignore_merges", 0, "vocab", vocabulary(seen), "merges");

	return json_pack("{s:s, s:n, s:n, s:o, s:n, s:o, s:n, s:{s:s}, s:o}", "version", "1.0", "truncation", "padding",
	                 "added_tokens", added, "normalizer", "pre_tokenizer", split, "post_processor", "decoder",
	                 "type", "Fuse", "model", model);
}

struct tokenizer *characters_tokenizer(struct token_texts *texts, struct err *e)
{
	uint8_t *seen = mem_alloc(CHARACTERS);
	struct tokenizer *t = NULL;

	if (see(texts, seen, e) == 0) {
		json_t *j = make_json(seen), *config = json_pack("{s:s}", "eos_token", TRAIN_END_OF_TEXT);
		t = tokenizer_from_json(j, config, "the characters of the text", e);
		json_decref(j);
		json_decref(config);
	}
	mem_free(seen);
	return t;
}
