/* train: a tokenizer made from texts.
 *
 * A kind of training is a row, one file train_x.c: it says its options, reads all texts once and answers with a
 * tokenizer.json, which is then read as any other (token/tokenizer.h), so what was trained is what will be used.
 *
 *     struct token_training t = { .vocab_size = 16384, .pool = pool, .end_of_text = TRAIN_END_OF_TEXT };
 *     struct tokenizer *made = token_train_bytes(&t, &texts, NULL, &e);
 *
 * The result is a function of the texts and the settings: their order, the number of threads and `memory` change
 * nothing. Nothing is put around a text by the result; the end of text is a token that the caller may write.
 *
 * Bounded by `memory`: what is counted while texts are read (sorted parts of it go to files in `scratch` and are joined
 * at the end), and one text at a time. Not bounded by it, but refused with the bytes that it would take: the distinct
 * words in the end, with where each pair of their symbols stands. */
#ifndef TOKEN_TRAIN_H
#define TOKEN_TRAIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/opt.h"
#include "base/pool.h"
#include "token/tokenizer.h"

#define TRAIN_END_OF_TEXT "<|endoftext|>"

/* Texts, one after the other: the caller's files, rows or documents. */
struct token_texts {
	/* 1: the next one, UTF-8, there until the next call; 0: there is none any more; −1 with a sentence. Text that
	 * is no UTF-8 is the caller's to mend or to refuse; here it is refused. */
	int (*next)(void *ctx, const char **text, size_t *n, struct err *e);
	void *ctx;
	uint64_t bytes;           /* of all of them, about, for the time left; 0: unknown */
};

struct token_training {
	size_t vocab_size;        /* entries in the end, special tokens and alphabet among them */
	/* They get the first ids, in this order; in a text they are text as any other, as in tokenizers. */
	const char *const *special;
	size_t n_special;
	const char *end_of_text;  /* a special token, put in front of them where it is not among them; NULL: none */
	size_t memory;            /* bytes, as above; 0: what the process may use */
	const char *scratch;      /* a folder that exists, for parts of counts; NULL: /tmp */
	struct pool *pool;
	void (*progress)(void *ctx, const char *what, uint64_t done, uint64_t all); /* or NULL; all 0: unknown */
	void *progress_ctx;
};

/* What was read and what came of it. */
struct token_train_report {
	uint64_t texts, bytes;    /* as they came */
	uint64_t words;           /* counted, with repetitions; of sentencepiece kinds lines */
	uint64_t distinct;        /* of them */
	uint64_t spilled;         /* bytes that went through files */
	uint64_t entries;         /* fewer than vocab_size where the texts have no more */
	uint64_t merges;
	uint64_t skipped;         /* texts that the kind leaves out (--max-sentence-length) */
};

struct token_trainer {
	const char *name;         /* "bpe" */
	const char *summary;
	bool standard;
	const char *end_of_text;  /* where a person says nothing; NULL: the kind has an end of its own */
	const struct opt *opts;
	size_t options_size;
	/* A tokenizer.json, new reference, and what its tokenizer_config.json says, added to config. */
	json_t *(*train)(const struct token_training *t, const void *options, struct token_texts *texts, json_t *config,
	                 struct token_train_report *r, struct err *e);
};
extern const struct token_trainer *const token_trainer_table[]; /* generated, NULL-terminated */
bool token_trainer_rows(size_t i, struct opt_row *out);          /* for OPT_PICK and OPT_ROWS */

/* By the row of this name, with the struct that its options fill; report may be NULL. NULL and a sentence: unknown
 * name, a vocabulary that has no room for special tokens and alphabet, no text at all, what the row refuses. */
struct tokenizer *token_train(const char *model_type, const struct token_training *t, const void *options,
                              struct token_texts *texts, struct token_train_report *report, struct err *e);
/* Byte-level BPE, everything as the options say when nobody sets them: GPT-2's words, all 256 bytes. */
struct tokenizer *token_train_bytes(const struct token_training *t, struct token_texts *texts,
                                    struct token_train_report *report, struct err *e);

/* WordPiece for a masked encoder: as the options say, but [CLS] and [SEP] stand around a text. [SEP] ends one where
 * there is no end_of_text. */
struct tokenizer *token_train_bert(const struct token_training *t, struct token_texts *texts,
                                   struct token_train_report *report, struct err *e);

/* --- for rows --- */

/* The special tokens with the end of text among them; array of *n texts, mem_free. */
const char **token_train_special(const struct token_training *t, size_t *n);
void token_train_progress(const struct token_training *t, const char *what, uint64_t done, uint64_t all);
size_t token_train_memory(const struct token_training *t);
/* added_tokens of a tokenizer.json for the special tokens, which have ids 0…; new reference */
json_t *token_train_added(const struct token_training *t);

#endif
