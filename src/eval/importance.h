/* importance: what each matrix of a model's blocks is multiplied with, as sums of squares by column: the numbers of an
 * importance matrix (format/imatrix.h). Of experts each has sums of its own, over the rows that came to it.
 *
 * Documents go through the model whole, one after the other, and share nothing, so each token counts once. Sums are
 * doubles, added by row and in one order whatever the threads. The head has none, as in llama.cpp. */
#ifndef EVAL_IMPORTANCE_H
#define EVAL_IMPORTANCE_H

#include "data/forest.h"
#include "format/imatrix.h"
#include "model/model_pass.h"

struct importance {
	struct arena mem;
	struct overlay overlay;
	struct imatrix_sums *sums;  /* [n_weights] by the first weight of a matrix or of a stack; cols 0: none */
	struct model_pass pass;
	struct err failed;          /* while it was recorded */
};

/* longest: tokens of a document. Takes the memory of a pass. */
int importance_begin(struct importance *s, struct model *m, struct device *d, int32_t longest, struct err *e);
size_t importance_bytes(const struct importance *s);        /* that it takes */
int importance_start(struct importance *s, struct err *e);    /* all sums are zero then */
int importance_add(struct importance *s, const struct document *d, struct err *e);
/* The matrices that have sums, moved together; *n of them. */
const struct imatrix_sums *importance_sums(struct importance *s, size_t *n);
void importance_end(struct importance *s);

#endif
