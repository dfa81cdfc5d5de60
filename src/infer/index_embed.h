/* index_embed: texts to vectors of length 1 for an index, by the model that it names. */
#ifndef INFER_INDEX_EMBED_H
#define INFER_INDEX_EMBED_H

#include "infer/embed_settings.h"

struct index_embedder {
	struct model *model;           /* prepared; NULL: none is open */
	void *holder;                  /* what it belongs to, given back by release; or NULL */
	void (*release)(void *holder);
	struct embed_settings how;
	struct embedder *embedder;
	const char *document_prompt, *query_prompt;
	char hash[33];
	size_t width;
	int64_t cut;                   /* texts that lost their ends */
	int64_t tokens;                /* computed so far */
	int (*progress)(void *ctx);    /* after each micro-batch; other than 0 ends it; NULL: nobody looks */
	void *ctx;
};

struct index_span { const char *text; size_t n; };

/* Of x->model, which the caller has opened, by a device that stays. The rest of x is made. */
int index_embedder_begin(struct index_embedder *x, struct device *d, int32_t micro_batch_tokens, struct err *e);
/* Is it the one that the index was built with? path: that it was opened by. */
struct index;
int index_embedder_is_of(const struct index_embedder *x, const struct index *of, const char *path, struct err *e);
/* A text as a document (data/document.h) in mem, of which *cut tokens were left out. */
int index_encode(struct index_embedder *x, struct index_span text, bool query, struct arena *mem, struct document *d,
                 size_t *cut, struct err *e);
/* out: [n][width] */
int index_embed(struct index_embedder *x, const struct index_span *texts, size_t n, bool queries, float *out,
                struct err *e);
void index_embedder_close(struct index_embedder *x);

#endif
