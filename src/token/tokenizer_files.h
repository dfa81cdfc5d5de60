/* tokenizer_files: tokenizers from the files that are older than tokenizer.json, or other than it.
 *
 * Each opens one file (others may have to stand beside it) with a tokenizer_config.json, which it completes. */
#ifndef TOKEN_TOKENIZER_FILES_H
#define TOKEN_TOKENIZER_FILES_H

#include <jansson.h>

#include "base/err.h"
#include "token/token_model.h"
#include "token/tokenizer.h"

/* Of a folder, by the names of its files; *found: there was one of a name that is known. */
struct tokenizer *tokenizer_files_dir(const char *dir, json_t *config, bool *found, struct err *e);
/* Of one file, by what it begins with, then by its name. */
struct tokenizer *tokenizer_files_open(const char *path, json_t *config, struct err *e);
extern const char tokenizer_files_wanted[]; /* the names, for a sentence */

const struct token_model *token_model_of(const char *name);

struct tokenizer *sentencepiece_open(const char *path, json_t *config, struct err *e); /* ModelProto */
struct tokenizer *tiktoken_open(const char *path, json_t *config, struct err *e);  /* a base64 text and a rank a line */
struct tokenizer *rwkv_open(const char *path, json_t *config, struct err *e);      /* an id, a Python literal, bytes */
struct tokenizer *vocab_txt_open(const char *path, json_t *config, struct err *e); /* a piece a line: BERT's */
struct tokenizer *vocab_json_open(const char *path, json_t *config, struct err *e); /* merges stand beside it */

#endif
