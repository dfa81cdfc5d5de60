/* sayer: what `kungfu adapt` or `kungfu probe` left where a label answers (learn/learner.h), with the model whose
 * states it reads, if it reads any; of a cascade both ways where both say labels. A text is asked as rows asked that
 * were learnt from. */
#ifndef LADDER_SAYER_H
#define LADDER_SAYER_H

#include "adapt/adapter.h"
#include "learn/frozen.h"
#include "learn/learner.h"
#include "template/template.h"

enum { SAYER_WAYS = 2 };

struct sayer_way {
	struct learner learner;
	double least; /* it must be so sure */
	struct model model;
	struct adapter adapter;
	struct template *chat;
	struct frozen_options how;
	bool has_model, has_adapter;
};

struct sayer {
	char *path;
	struct sayer_way way[SAYER_WAYS];
	size_t n;
	struct device *device; /* borrowed */
};

/* −1: it says no labels. Closed by the caller, after an error too. */
int sayer_open(struct sayer *s, const char *path, struct device *d, struct err *e);
/* The label of a text among the first way's (way[0].learner.labels), how sure it is, and, in chances (or NULL), how
 * likely each of these is. Label −1: no way is as sure as it must be. */
int sayer_say(struct sayer *s, const char *text, size_t n, int32_t *label, double *sure, double *chances,
              struct err *e);
void sayer_close(struct sayer *s);

#endif
