/* index_queries: queries of a file or of the command line, each with its vector where that is wanted, and the hits of
 * one. What search and eval share. */
#ifndef CMD_INDEX_QUERIES_H
#define CMD_INDEX_QUERIES_H

#include "infer/index_embed.h"
#include "retrieve/index.h"

struct query { const char *id, *text; size_t n; };

struct queries {
	struct arena mem;
	struct query *items;
	size_t n, cap;
	float *vectors;                /* [n][width], or NULL */
};

/* Rows of `_id` (or `id`, `query_id`) and `text` (or `query`); −1: a row without a text. */
int queries_read(struct queries *q, const char *path, struct err *e);
void queries_add(struct queries *q, const char *id, const char *text);
int queries_embed(struct queries *q, struct index_embedder *x, struct err *e);
void queries_release(struct queries *q);

/* Said where --embedder would be of no use. */
#define QUERIES_WANT_NO_EMBEDDER "--embedder makes vectors of queries, and these are searched by words alone"

#endif
