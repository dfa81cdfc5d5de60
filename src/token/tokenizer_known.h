/* tokenizer_known: what the files of a Hugging Face tokenizer may say, key by key (format/settings.h). Keys of
 * special_tokens_map.json are judged with tokenizer_config.json's, which they complete; added_tokens.json is a list of
 * tokens and ids, all of which are used. */
#ifndef TOKEN_TOKENIZER_KNOWN_H
#define TOKEN_TOKENIZER_KNOWN_H

#include "format/settings.h"

extern const struct setting tokenizer_config_known[];
extern const struct setting tokenizer_json_known[];   /* its outermost keys; each part refuses what it does not know */

#endif
