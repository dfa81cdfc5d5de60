/* method: what a run changes: every row of the adapters' table, and full, which is weights themselves. */
#ifndef TRAIN_METHOD_H
#define TRAIN_METHOD_H

#include "adapt/adapter.h"
#include "base/opt.h"

extern const char method_full[];                /* the name of the one that is no adapter */
/* For OPT_PICK and OPT_ROWS: the adapters in the order of their table, full last. */
bool method_rows(size_t i, struct opt_row *out);
/* The adapter's type; NULL: full. `name` is that of a method. */
const struct adapter_type *method_adapter(const char *name);
/* What full tuning is told (method_full.c). */
struct method_full { const char *trainable, *layers; }; /* or NULL */
extern const struct opt method_full_opts[];
/* An overlay with a parameter for each weight that is trained, not sealed. −1 and a sentence: a name that no weight
 * has; o is to be released either way. */
int method_full_overlay(struct overlay *o, const struct model *m, const struct method_full *options, struct err *e);
/* At its peak, where nobody says another; options: the row's own, NULL: as they are by default. */
double method_learning_rate(const char *name, const void *options);

#endif
