/* index_adding: what build and add share: documents of files, cut, embedded, added and committed, a batch at a time. */
#ifndef CMD_INDEX_ADDING_H
#define CMD_INDEX_ADDING_H

#include "cmd/guarding.h"
#include "infer/index_embed.h"
#include "cmd/index/index_survey.h"
#include "retrieve/index.h"

enum { INDEX_COMMIT = 64 << 20, INDEX_LEAST_COMMIT = 1 << 20 };    /* bytes of text that wait for a commit at most */

struct index_adding {
	struct app *app;
	struct index *index;               /* NULL: it is new, and is looked at alone */
	struct index_embedder *embedder;   /* or NULL */
	size_t memory, commit_bytes;       /* --memory, 0: no limit; INDEX_COMMIT, or what the limit allows */
	struct guarding *guarding;         /* or NULL */
	struct index_survey survey;
	/* counts: */
	size_t seen, added, replaced, same, empty, chunks;
	size_t refused;                    /* documents that the guard left out */
};

/* --memory as it was given. */
static inline size_t index_memory(int64_t given) { return given == OPT_UNSET_INT ? 0 : (size_t)given; }
/* Everything of the paths, in order; −1 and a sentence, and what was committed until then stays. */
int index_add_paths(struct index_adding *a, const char *const *paths, size_t n, struct err *e);
/* Tells it and the index at `path` as it is now; the command's summary. */
int index_adding_report(struct index_adding *a, const char *path, double seconds, struct err *e);

#endif
