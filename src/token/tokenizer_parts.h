/* tokenizer_parts: what a tokenizer is made of; for the files tokenizer*.c alone.
 *
 * Every source (tokenizer.json, older files, GGUF) fills the vocabulary and what belongs to the tokenizer's kind, and
 * then hands over `rules`, a tokenizer.json without those two, and a tokenizer_config.json; so there is one reading of
 * rules, and saving is writing them back. */
#ifndef TOKEN_TOKENIZER_PARTS_H
#define TOKEN_TOKENIZER_PARTS_H

#include "token/added.h"
#include "token/pretokenize.h"
#include "token/token_model.h"
#include "token/tokenizer.h"
#include "token/vocab.h"

struct tokenizer {
	const struct token_model *model;
	void *own;                       /* the model's */
	struct vocab vocab;
	struct normalizer normalizer;
	struct pretokenizer *pretokenizer;
	struct decoder *decoder;
	struct added raw, normal;        /* looked for in the text as it is, and after normalizing */
	struct added_token *added;       /* [n_added] all of them, in the order of the file */
	size_t n_added, listed;          /* those before listed are of a list, the others named by a key */
	int32_t next;                    /* what the next token gets that the vocabulary lacks: behind all */
	int32_t bos, eos, pad, unk, mask;
	size_t rows;                     /* of the model's embedding, no token beyond them is given out */
	size_t own_n;                    /* ids below it are the files' own, those above it the configuration's */
	struct tokens front, back;       /* what is put around every text */
	char *template, *tool_template;
	json_t *rules;                   /* normalizer, pre_tokenizer, post_processor, decoder, model's flags */
	json_t *config;
};

struct tokenizer *tokenizer_new(const struct token_model *model);
/* rules and config (NULL: empty) are copied. The vocabulary and the model's own are there. */
int tokenizer_set_rules(struct tokenizer *t, const json_t *rules, const json_t *config, struct err *e);
/* Does the configuration name by it a token that this model alone has ("image_token")? */
bool tokenizer_own_token(const char *key);

#endif
