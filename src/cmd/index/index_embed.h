/* index_embed: texts to vectors of length 1 for an index, by the model that it names. */
#ifndef CMD_INDEX_EMBED_H
#define CMD_INDEX_EMBED_H

#include "cmd/model_common.h"
#include "infer/sentence.h"

struct index_embedder {
	struct loaded l;
	bool opened;
	struct sentence how;
	struct app *app;
	struct embedder *embedder;
	const char *document_prompt, *query_prompt;
	char hash[33];
	size_t width;
	int32_t micro_batch_tokens;
	int64_t cut;                   /* texts that lost their ends */
	int64_t tokens;                /* computed so far */
	int (*progress)(void *ctx);    /* after each micro-batch; other than 0 ends it; NULL: metering_over */
	void *ctx;
};

struct index_span { const char *text; size_t n; };

/* compute as --compute has it. Closed by the caller, after an error too. */
int index_embedder_open(struct index_embedder *x, struct app *app, const char *model, const char *compute,
                        int64_t micro_batch_tokens, struct err *e);
/* The one of an index, at `path` where it is not where it was: 1, or 0 where the index has none. −1: another
 * model. */
struct index;
int index_embedder_of(struct index_embedder *x, struct app *app, const struct index *of, const char *path,
                      const char *compute, int64_t micro_batch_tokens, struct err *e);
/* A text as a document (data/document.h) in mem, of which *cut tokens were left out. */
int index_encode(struct index_embedder *x, struct index_span text, bool query, struct arena *mem, struct document *d,
                 size_t *cut, struct err *e);
/* out: [n][width] */
int index_embed(struct index_embedder *x, const struct index_span *texts, size_t n, bool queries, float *out,
                struct err *e);
void index_embedder_close(struct index_embedder *x);

#endif
