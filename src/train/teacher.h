/* teacher: a model beside the one that is trained, which says of the same documents, or of others that end alike, what
 * a divergence is taken from (graph_divergence_from): the rows before its head, micro-batch by micro-batch, never its
 * logits. It is another model of the same vocabulary, or the trained one as its file has it, whose weights are then
 * there once. Forward only, in f32; of a step its pass comes before the step's own. */
#ifndef TRAIN_TEACHER_H
#define TRAIN_TEACHER_H

#include "data/forest.h"
#include "model/model_pass.h"

struct teacher {
	const struct model *model;
	struct model own;              /* where it is another one; else zeros */
	struct model_pass pass;
	struct forest_options forest;
	float *rows;                   /* [cap.targets][C], mapped once it is planned */
	size_t rows_bytes;
};

/* path NULL: the student itself. −1 where it cannot teach: no next tokens, another vocabulary. */
int teacher_open(struct teacher *t, const char *path, const struct model *student, struct err *e);
/* For micro-batches of these capacities, packed so. o: what lies over it, or NULL. Takes no memory yet. */
int teacher_plan(struct teacher *t, struct device *d, const struct overlay *o, const struct batch_cap *cap,
                 const struct forest_options *forest, struct err *e);
size_t teacher_bytes(const struct teacher *t);  /* that it takes: pass, rows, weights where they are its own */
int teacher_start(struct teacher *t, struct err *e);
/* Its rows of these documents; how many. −1: given up, because a stop was asked for. */
int teacher_run(struct teacher *t, const struct document *const *docs, size_t n, struct work *work);
void teacher_close(struct teacher *t);

#endif
