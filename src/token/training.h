/* training: what kinds share that are trained by merging pairs: their options, and reading, counting and merging as one
 * call. */
#ifndef TOKEN_TRAINING_H
#define TOKEN_TRAINING_H

#include "base/opt.h"
#include "token/pair_merges.h"
#include "token/train.h"

struct pair_options {
	int64_t min_frequency, limit_alphabet, max_token_length;
	const char *initial_alphabet, *prefix, *suffix;
	bool lines;
};

/* prefix_: the default of continuing_subword_prefix, or NULL */
#define PAIR_OPTS(s, f, prefix_) \
	OPT_INT("min-frequency", s, f.min_frequency, "0", 0, 1e15, "a pair that stands less often is not merged"), \
		OPT_INT("limit-alphabet", s, f.limit_alphabet, NULL, 1, 0x110000, \
	                "at most so many characters, the most frequent ones"), \
		OPT_STRING("initial-alphabet", s, f.initial_alphabet, NULL, "TEXT", \
	                   "its characters are in, seen or not"), \
		OPT_INT("max-token-length", s, f.max_token_length, NULL, 1, 1 << 20, \
	                "merges end below so many characters"), \
		OPT_STRING("continuing-subword-prefix", s, f.prefix, prefix_, "TEXT", \
	                   "before pieces that do not begin a word"), \
		OPT_STRING("end-of-word-suffix", s, f.suffix, NULL, "TEXT", "behind pieces that end a word"), \
		OPT_FLAG("lines", s, f.lines, "false", \
	                 "each line is a text of its own, as files are to tokenizers' train")

/* Counts the words of all texts and merges. bytes: words are bytes; all_bytes: each is in the alphabet. */
int train_pairs(struct pair_merges *out, const struct token_training *t, const struct pair_options *o, bool bytes,
                bool all_bytes, const json_t *normalizer, const json_t *pre_tokenizer, struct token_texts *texts,
                struct token_train_report *r, struct err *e);
json_t *train_merges_json(const struct pair_merges *m);               /* "merges" of a tokenizer.json, new reference */

#endif
