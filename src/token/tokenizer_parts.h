/* tokenizer_parts: what a tokenizer is made of; for the files tokenizer*.c alone.
 *
 * Every source (tokenizer.json, vocab.json with merges.txt, GGUF) fills vocabulary and merges and then hands over
 * `rules`, a tokenizer.json without those two, and a tokenizer_config.json; so there is one reading of rules, and
 * saving is writing them back. */
#ifndef TOKEN_TOKENIZER_PARTS_H
#define TOKEN_TOKENIZER_PARTS_H

#include "token/added.h"
#include "token/bpe.h"
#include "token/pretokenize.h"
#include "token/tokenizer.h"
#include "token/vocab.h"

struct tokenizer {
	struct vocab vocab;
	struct bpe bpe;
	struct normalizer normalizer;
	struct pretokenizer *pretokenizer;
	struct added raw, normal;        /* looked for in the text as it is, and after normalizing */
	struct added_token *added;       /* [n_added] all of them, in the order of the file */
	size_t n_added;
	int32_t bos, eos, pad, unk;
	bool add_bos;
	char *template;
	json_t *rules;                   /* normalizer, pre_tokenizer, post_processor, decoder, model's flags */
	json_t *config;
};

struct tokenizer *tokenizer_new(void);
/* rules and config (NULL: empty) are copied. The vocabulary and merges are there. */
int tokenizer_set_rules(struct tokenizer *t, const json_t *rules, const json_t *config, struct err *e);
int tokenizer_check_model(const json_t *model, struct err *e); /* a BPE of bytes, without what we do not do */

/* tokenizer_pre.c: pre_tokenizer, as a tokenizer.json would have it, by the name in GGUF's tokenizer.ggml.pre; NULL and
 * a sentence. */
json_t *tokenizer_pre(const char *name, bool *ignore_merges, bool *add_bos, struct err *e);

#endif
