/* index_adding: what build and add share: documents of files, cut, embedded, added and committed, a batch at a time. */
#ifndef CMD_INDEX_ADDING_H
#define CMD_INDEX_ADDING_H

#include "cmd/index/index_embed.h"
#include "retrieve/index.h"

struct index_adding {
	struct app *app;
	struct index *index;
	struct index_embedder *embedder;   /* or NULL */
	/* counts: */
	size_t seen, added, replaced, same, empty, chunks;
};

/* Everything of the paths, in order; −1 and a sentence, and what was committed until then stays. */
int index_add_paths(struct index_adding *a, const char *const *paths, size_t n, struct err *e);
/* Tells it and the index at `path` as it is now; the command's summary. */
int index_adding_report(struct index_adding *a, const char *path, double seconds, struct err *e);

#endif
