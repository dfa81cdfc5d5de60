/* said: all that a file of feedback holds, in memory: what agreement, standings and forms look at. */
#ifndef FEEDBACK_SAID_H
#define FEEDBACK_SAID_H

#include "feedback/judgement.h"

/* Items, labels that stand, and the study, which is the open file's; in mem. */
int said_load(struct said *s, struct feedback *f, struct arena *mem, struct err *e);
/* Names by id, [highest id + 1], in mem. */
int said_names(struct feedback *f, struct arena *mem, const char *const **names, size_t *n, struct err *e);

/* The share of labels of the file that is wrong, as raters who judged the same say (noise.h); NAN: not known. */
int said_noise(const char *path, double *error, struct err *e);

#endif
