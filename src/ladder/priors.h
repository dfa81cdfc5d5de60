/* priors: what is known of each way before it is tried, from share/priors.yaml (built in), over which a person's own
 * file goes: how much of the way from guessing to being always right it goes, from how many rows it learns, at which
 * rate and for how long it is trained. */
#ifndef LADDER_PRIORS_H
#define LADDER_PRIORS_H

#include "base/opt.h"

struct rung_prior {
	/* Share of the way from the floor to the ceiling that it goes where rows are many: of classes, of choices that
	 * are each row's own, of free answers. */
	double reach, reach_choices, reach_free;
	double sd;                 /* how far that is off from task to task */
	double half;               /* rows to learn from with which it goes half of that */
	double nats, nats_sd;      /* by which a right answer's ln perplexity falls below the bare model's */
	double seed_sd;            /* how far it is off from seed to seed, counted as two seeds */
	double near_gain, near_sd; /* what it is above its near rung, and how far that is off */
	double size_gain;          /* what a doubling of the model adds, as a share of the way to the ceiling */
	double twin_sd;            /* how far the same rung on another model is off from that */
	double rate, epochs, rank; /* of a training; NAN: tune's own */
	double least_steps;        /* epochs grow until there are so many */
};

struct priors {
	struct rung_prior *rung; /* [n] in the order of rung_table */
	size_t n;
	struct arena mem;
	struct opt *opts;
	struct opt_parse parse;
};

/* file: of a person's own, or NULL. Unknown names and numbers out of range are refused with file and line. */
int priors_load(struct priors *p, const char *file, struct err *e);
void priors_release(struct priors *p);
const struct rung_prior *priors_of(const struct priors *p, const char *rung);

#endif
