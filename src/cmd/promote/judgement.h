/* judgement: whether a model fulfils a requirement, from what it and its parent came to on the same rows. */
#ifndef CMD_JUDGEMENT_H
#define CMD_JUDGEMENT_H

#include "cmd/promote/evidence.h"

/* One thing that was wanted. Of a perplexity differences are shares of the parent's. */
struct check {
	const struct requirement *r;
	const char *kind;              /* "not_worse_than", "minimum", "maximum" */
	double now, parent;            /* scores; parent NAN where nothing is compared */
	double difference, bound;      /* bound: of the difference, or of the score itself; NAN: too few rows to say */
	double wanted;                 /* the bound is to be at least this, or at most */
	bool at_least, holds;
	size_t n, units;
	const char *method;
};

enum { CHECKS_MOST = 3 };

/* Checks of a requirement into out[CHECKS_MOST]; how many. parent: or NULL where the requirement compares nothing. */
int judge(const struct requirement *r, const struct evidence *now, const struct evidence *parent, struct check *out,
          struct err *e);
json_t *check_json(const struct check *c);  /* new; numbers rounded to a millionth */

#endif
