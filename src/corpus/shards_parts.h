/* shards_parts: what reading and writing of shards share: the names of their files, the words of their manifest. */
#ifndef CORPUS_SHARDS_PARTS_H
#define CORPUS_SHARDS_PARTS_H

#include "corpus/shards.h"

#define SHARDS_MANIFEST "manifest.json"
#define SHARDS_TOKENIZER "tokenizer"
#define SHARDS_FORMAT "kungfu shards"
enum { SHARDS_VERSION = 1, SHARDS_SMALL_VOCABULARY = 1 << 16 };

/* In mem. */
char *shards_tokens_name(struct arena *mem, const char *source, enum shards_split split, size_t file);
char *shards_index_name(struct arena *mem, const char *source, enum shards_split split);
bool shards_is_name(const char *name);          /* of a source */

#endif
