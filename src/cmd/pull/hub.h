/* hub: a model's or a data set's files from a Hugging Face-compatible hub into the cache that its tools share
 * (format/hub_cache.h).
 *
 * The hub says which files a revision has, how long they are and by which hash they are known: SHA-256 of large ones,
 * git's SHA-1 of the others. A file that the cache has is not fetched again; one that was cut goes on; what arrives
 * with another hash is thrown away and refused. */
#ifndef CMD_PULL_HUB_H
#define CMD_PULL_HUB_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct hub_wish {
	const char *name;           /* ORG/NAME */
	bool dataset;               /* of that name, not a model */
	const char *file;           /* one file, or NULL */
	const char *revision;       /* a branch, tag or commit */
	const char *const *include; /* patterns, NULL-terminated; NULL: what a model is read from, or rows */
	size_t connections;
};

struct hub_result {
	char *path; /* of the snapshot, or of the one file; mem_free */
	char commit[41];
	size_t files, fetched; /* of the wish; of these the ones that the cache lacked */
	size_t bytes;          /* that were fetched */
};

/* What the environment says counts: HF_ENDPOINT, HF_TOKEN (or the token file), HF_HUB_OFFLINE, the cache's place. */
int hub_pull(const struct hub_wish *w, struct hub_result *out, struct err *e);

#endif
