/* sentencepiece: what a model of SentencePiece says of normalizing, as the rules of a tokenizer.json.
 *
 * A text is mapped by its charsmap, spaces in front, behind and beside each other go, one is put in front, and each is
 * written as a mark ("▁"), as far as the file asks for it; then the whole is one word. Two steps say more than
 * tokenizers knows, in keys that it does not read: "longest" (of a charsmap's keys the longest counts, as SentencePiece
 * has it; tokenizers takes the shortest) and "first" (only the beginning of a text gets a mark, not what follows an
 * added token). */
#ifndef TOKEN_SENTENCEPIECE_H
#define TOKEN_SENTENCEPIECE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sentencepiece {
	const uint8_t *charsmap; /* NULL: none */
	size_t n_charsmap;
	bool dummy_prefix; /* a space is put in front */
	bool squeeze;      /* remove_extra_whitespaces */
	bool every;        /* of what follows an added token too, as transformers' older Llama does */
};

/* normalizer, pre_tokenizer (none), post_processor (none) and decoder; new reference */
json_t *sentencepiece_rules(const struct sentencepiece *s);
/* "model" of BPE, without its vocabulary; new reference */
json_t *sentencepiece_bpe(bool fallback, const char *unknown);

#endif
