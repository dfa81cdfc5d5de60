/* objective: what a run learns from its rows. One file objective_x.c a row of the table. */
#ifndef LEARN_OBJECTIVE_H
#define LEARN_OBJECTIVE_H

#include "base/opt.h"
#include "data/document.h"
#include "data/shape.h"
#include "model/graph.h"

struct objective {
	const char *name;                            /* "sft" */
	const char *summary;                         /* half a line, for --help */
	bool standard;                               /* --objective where nobody says another; one row is */
	const struct opt *opts;                      /* its own options (base/opt.h), or NULL */
	size_t options_size;                         /* of the struct that they fill */
	bool (*accepts)(const struct shape *s);      /* rows it can learn from */
	const char *wants;                           /* in words, for the sentence */
	/* Records forward and loss; returns the tensor of per-pair log-probabilities. */
	uint32_t (*record)(struct graph *g);
	/* Loss (a sum, to be divided by the number of supervised tokens) of a finished step. */
	double (*loss)(const struct batch *b, const float *logprob);
};

extern const struct objective *const objective_table[];  /* generated, NULL-terminated */
bool objective_rows(size_t i, struct opt_row *out);     /* the table, for OPT_PICK and OPT_ROWS */
const struct objective *objective_find(const char *name);

#endif
