/* gguf_pre: pre-tokenizers of byte-level BPE by the name that GGUF files give them (tokenizer.ggml.pre). */
#ifndef TOKEN_GGUF_PRE_H
#define TOKEN_GGUF_PRE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

/* pre_tokenizer, as a tokenizer.json would have it, new reference; what the model's kind does beside. NULL and a
 * sentence. */
json_t *gguf_pre(const char *name, bool *ignore_merges, bool *add_bos, struct err *e);

/* The name of the pre-tokenizer that cuts texts of all kinds as this one does (and keeps whole words as ignore_merges
 * says), NULL and a sentence: llama.cpp has none. */
const char *gguf_pre_name(const json_t *pre_tokenizer, bool ignore_merges, struct err *e);

#endif
