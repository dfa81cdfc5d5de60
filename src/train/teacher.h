/* teacher: a model beside the one that is trained, which says of the same documents, or of others that end alike, what
 * a divergence is taken from (graph_divergence_from): the rows before its head, micro-batch by micro-batch, never its
 * logits. It is another model of the same vocabulary, with an adapter over it or without, or the trained one as its
 * file has it, whose weights are then there once. Forward only, in f32; of a step its pass comes before the step's
 * own. */
#ifndef TRAIN_TEACHER_H
#define TRAIN_TEACHER_H

#include "adapt/adapter.h"
#include "data/forest.h"
#include "model/model_pass.h"

struct teacher {
	const struct model *model;
	struct model own;              /* where it is another one; else zeros */
	struct adapter adapter;        /* that lies over it */
	bool has_adapter;
	struct model_pass pass;
	struct forest_options forest;
	/* [targets of the student][C], mapped once it is planned; [labels] and [docs], to put them in its order */
	float *rows;
	size_t rows_bytes;
	int32_t *of_label, *of_doc;
};

/* path NULL: the student itself; adapter NULL: none. −1 where it cannot teach: no next tokens, another vocabulary, an
 * adapter with virtual tokens. */
int teacher_open(struct teacher *t, const char *path, const char *adapter, const struct model *student, struct err *e);
/* For micro-batches of these capacities, packed so. more: tokens that its document has beside the student's, at most.
 * Takes no memory yet. */
int teacher_plan(struct teacher *t, struct device *d, const struct batch_cap *cap, int32_t more,
                 const struct forest_options *forest, struct err *e);
size_t teacher_bytes(const struct teacher *t);  /* that it takes: pass, rows, weights where they are its own */
int teacher_start(struct teacher *t, struct err *e);
/* Its rows, in the order of the student's batch: docs[i] is what it reads where the student reads document i there,
 * and has as many learnt tokens. −1: given up, because a stop was asked for. */
int teacher_run(struct teacher *t, const struct document *const *docs, const struct batch *student, struct work *work);
void teacher_close(struct teacher *t);

#endif
