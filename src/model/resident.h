/* resident: what of a model's files computing will have read in, page for page: for plans. What stands in memory of our
 * own is told apart. */
#ifndef MODEL_RESIDENT_H
#define MODEL_RESIDENT_H

#include "model/model.h"

struct model_reads {
	/* a weight that is never read, as something replaces it; NULL: none */
	bool (*skips)(const void *ctx, int weight);
	const void *ctx;
	/* the head is a matrix of the adapter's, so a tied embedding is an embedding alone */
	bool own_head;
	bool no_head;                  /* no token is predicted: the head is read as an embedding, or not at all */
	const uint8_t *token;          /* [V] not 0: the embedding's row is read; NULL: all are */
	double more_tokens;            /* of any kind, beside those: of answers that are not known yet */
};

/* Bytes of the mapped files; *owned: in memory of our own: panels, and what was read in another order. */
size_t model_read_bytes(const struct model *m, const struct model_reads *r, size_t *owned);
/* Drops the pages of its files from this process; reading brings them back. */
void model_forget(const struct model *m);

#endif
