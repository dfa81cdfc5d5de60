/* frozen: rows through a frozen model to features: each row's question as a document, and the states of some layers of
 * all of them (infer/features.h).
 *
 *     frozen_open     the documents; nothing is computed, no memory is taken but theirs
 *     frozen_run      the features
 *
 * A row's document is what it asks (data/asked.h), a question that is longer than max_length loses its end. */
#ifndef LEARN_FROZEN_H
#define LEARN_FROZEN_H

#include "data/asked.h"
#include "infer/features.h"

struct frozen_options {
	enum feature_pooling pooling;
	const int *layers;             /* [n_layers] ascending; borrowed */
	size_t n_layers;
	int32_t max_length, micro_batch_tokens;
	bool apply_chat_template;      /* `query` is a user's turn */
};

struct frozen {
	struct arena mem;
	struct document *items;        /* [n] of the rows */
	const struct document **docs;  /* to them */
	size_t n;
	int32_t longest;
	int64_t tokens;
	size_t n_cut;                  /* rows that lost their end */
	struct features *features;
};

/* The tokenizer must be there, and the template where rows take it (asked_by_template). All but rows is borrowed until
 * frozen_close. */
int frozen_open(struct frozen *f, struct model *m, const struct overlay *o, const struct template *chat,
                struct device *d, const struct rows *r, const struct frozen_options *options, struct err *e);
/* out: [n][n_layers][C]. progress and what is returned: as scorer_run. */
int frozen_run(struct frozen *f, float *out, int (*progress)(void *ctx, size_t done, size_t total), void *ctx,
               struct err *e);
void frozen_close(struct frozen *f);

/* How a learner's folder reads its model, by its learner.json: *layer outlives it; *model and *adapter (or NULL) are
 * borrowed of j. micro_batch_tokens is left to the caller. */
int frozen_facts(struct frozen_options *o, const json_t *j, const char *dir, const int *layer, const char **model,
                 const char **adapter, struct err *e);

/* Which layers' features of n rows are kept within so many bytes: all, or every second, third …, the last among them.
 * layers: room for features_layers(m); returns how many. */
size_t frozen_layers(const struct model *m, size_t rows, size_t bytes, int *layers);

#endif
