/* shards_parts: what reading and writing of shards share: the names of their files, the words of their manifest. */
#ifndef CORPUS_SHARDS_PARTS_H
#define CORPUS_SHARDS_PARTS_H

#include "base/buf.h"
#include "base/folder.h"
#include "base/hash.h"
#include "corpus/shards.h"

#define SHARDS_MANIFEST "manifest.json"
#define SHARDS_TOKENIZER "tokenizer"
#define SHARDS_FORMAT "kungfu shards"
enum { SHARDS_VERSION = 1, SHARDS_SMALL_VOCABULARY = 1 << 16 };

/* --- writing --- */

/* A file that grows at its end, a name from a process to the next. */
struct growing {
	const char *name;               /* of it in the folder; NULL: there is none now */
	struct hash_stream *hash;
	struct buf waiting;
	uint64_t bytes;                 /* written */
	bool changed;                   /* since it was synced */
};

struct stream {
	uint64_t tokens, documents, bytes;
	struct growing ids, index;
	json_t *files; /* those that are whole, as the manifest has them */
	json_t *index_file;
};

struct source {
	const char *name;
	double weight, epochs;
	struct stream split[SHARDS_SPLITS];
};

enum { SHARDS_NOTES = 4 };
struct shards_writer {
	struct shards_facts facts;
	struct folder folder;
	bool replaces;
	struct source *sources;
	size_t n_sources;
	json_t *saved;                  /* shards_save.c: by a process before, or NULL */
	bool found;                     /* what lies in the folder is not of this writer yet */
	struct growing note[SHARDS_NOTES];
	struct arena mem;
};

/* folder: `beside` or `part`; name is kept. */
int grow_open(const char *folder, struct growing *g, const char *name, struct err *e);
int grow_add(const char *folder, struct growing *g, const void *data, size_t n, struct err *e);
int grow_sync(const char *folder, struct growing *g, struct err *e);
void grow_drop(struct growing *g);
/* All sources, an object each, with what `stream` says of each split. */
json_t *shards_sources_json(const struct shards_writer *w, json_t *(*stream)(const struct stream *x));
/* shards_save.c */
void shards_find_saved(struct shards_writer *w);
int shards_clear(struct shards_writer *w, struct err *e);
void shards_forget(struct shards_writer *w);    /* its sources and notes, in memory */

/* In mem. */
char *shards_tokens_name(struct arena *mem, const char *source, enum shards_split split, size_t file);
char *shards_index_name(struct arena *mem, const char *source, enum shards_split split);
bool shards_is_name(const char *name);          /* of a source */

#endif
