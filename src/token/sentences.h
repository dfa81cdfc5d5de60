/* sentences: what SentencePiece 0.2 makes of texts before it trains: lines, normalized, with a mark for each space, cut
 * before marks; characters that are seldom are U+2585, unknown; which strings may be pieces. Shared by its BPE and its
 * Unigram. Options have the names and the defaults of spm_train. */
#ifndef TOKEN_SENTENCES_H
#define TOKEN_SENTENCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/opt.h"
#include "token/train.h"

struct sentence_options {
	double character_coverage;
	int64_t max_sentence_length, max_piece_length;
	bool split_by_unicode_script, split_by_number, split_digits, add_dummy_prefix, remove_extra_whitespaces;
	bool byte_fallback;
	const char *normalization;
};

#define SENTENCE_OPTS(s, f) \
	OPT_FLOAT("character-coverage", s, f.character_coverage, "0.9995", 0.98, 1, \
	          "the most frequent characters, so much of the text; the others are unknown"), \
		OPT_INT("max-sentence-length", s, f.max_sentence_length, "4192", 10, 1 << 30, \
	                "longer lines, in bytes, are left out"), \
		OPT_INT("max-sentencepiece-length", s, f.max_piece_length, "16", 1, 512, "characters of a piece"), \
		OPT_CHOICE("normalization-rule-name", s, f.normalization, "nmt_nfkc", "nmt_nfkc|nfkc|identity", \
	                   "what becomes of texts before all"), \
		OPT_FLAG("split-by-unicode-script", s, f.split_by_unicode_script, "true", \
	                 "no piece has letters of two scripts"), \
		OPT_FLAG("split-by-number", s, f.split_by_number, "true", "no piece has digits and letters"), \
		OPT_FLAG("split-digits", s, f.split_digits, "false", "each digit is a piece of its own"), \
		OPT_FLAG("add-dummy-prefix", s, f.add_dummy_prefix, "true", "a space before every text"), \
		OPT_FLAG("remove-extra-whitespaces", s, f.remove_extra_whitespaces, "true", \
	                 "no spaces in front, behind, beside each other"), \
		OPT_FLAG("byte-fallback", s, f.byte_fallback, "false", \
	                 "unknown characters become pieces of their bytes")

struct sentence_word {
	const char *text;
	uint32_t n;
	uint64_t count, last;            /* how often; how often at a line's end (unigram) */
};

struct sentence_character { uint32_t c; uint64_t count; };

struct sentences {
	const struct sentence_options *o;
	struct sentence_word *word;      /* the most frequent first, at equal counts by bytes */
	size_t n_words;
	struct sentence_word *last;      /* that which ends the last line; NULL: not known */
	struct sentence_character *required;   /* the same order; at equal counts by code point */
	size_t n_required;
	uint8_t *script;                 /* of each code point that is there; Han, kana are one */
	int inherited;                   /* the script of marks, which take that of what they stand on */
	const char **special;            /* <unk>, <s>, </s>, then t's; n_special */
	struct buf charsmap;             /* of the normalization; empty: none */
	size_t n_special, n_meta;        /* n_meta: with pieces of bytes */
	struct arena mem;
};

/* Everything but t->progress's names; refused: no line, no room in t->vocab_size. */
int sentences_read(struct sentences *s, const struct token_training *t, const struct sentence_options *o,
                   struct token_texts *texts, struct token_train_report *r, struct err *e);
void sentences_release(struct sentences *s);
/* May these n characters be a piece? */
bool sentences_allow(const struct sentences *s, const uint32_t *c, size_t n);

/* A tokenizer.json of that model (taken), whose first pieces are s->special; config: its special tokens are added. */
json_t *sentences_json(const struct sentences *s, const struct token_training *t, json_t *model, json_t *config);
/* text of special piece or byte i of the n_meta; in `text` */
const char *sentences_meta(const struct sentences *s, size_t i, char text[16]);

#define SENTENCES_UNKNOWN 0x2585

#endif
