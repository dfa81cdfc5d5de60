/* climb: which way is tried next, and when to stop: by what is expected of each for its gas. Arithmetic alone: no
 * model, no file, no clock; see climb.c for the rules.
 *
 * Quality is what is climbed: a share as it is, a perplexity as −ln of it; more is better. Gas is seconds here. */
#ifndef LADDER_CLIMB_H
#define LADDER_CLIMB_H

#include <stdbool.h>
#include <stddef.h>

/* A way whose chance is below this is left. */
#define CLIMB_LEAST_CHANCE 0.05
/* A chance that others add to that of the test is hardly any below this. */
#define CLIMB_LEAST_HELP 0.10

enum climb_state {
	CLIMB_WAITS, /* not tried yet */
	CLIMB_MEASURED,
	CLIMB_LEFT,  /* the interval of what it would be says that it cannot pay */
	CLIMB_CANNOT /* it does not fit, it failed, or there is no gas for it */
};

struct climb_way {
	const char *name;
	enum climb_state state;
	double mean, sd;           /* what its quality is believed to be, while it waits */
	bool learnt;               /* the belief stands on a measured way near it, not on priors alone */
	/* By how much measuring it is expected to raise the chance that the test shows the goal, if that is known. */
	bool knows_rise;
	double rise;
	bool hardly_helps;         /* it was left for that */
	const struct climb_way *first; /* that it is judged by once that is measured, and others as it; or NULL */
	bool apart;                /* it is put together of others afterwards: never tried by itself */
	double quality, low, high; /* measured, with its confidence sequence */
	double will_show;          /* measured: the chance that the test shows the goal */
	bool costs_met;            /* measured: latency, memory, joules are as the goal wants them */
	double try_seconds;        /* to make it and look at it; what it took where it was measured */
	double use_seconds;        /* an answer */
	double test_seconds;       /* of the test, should it win */
	/* Of a way that is trained: seeds that it was measured with, and at most may be (0: it has none), what another
	 * one takes, and how far its quality is off from seed to seed. */
	int seeds, seeds_most;
	double seed_seconds, seed_sd;
};

struct climb {
	struct climb_way *ways;
	size_t n;
	double goal; /* NAN: there is none */
	double show; /* the quality at which the looks would show the goal */
	double uses;
	double left;       /* seconds that may still be spent, the test among them */
	double least_gain; /* without a goal: less expected gain than this is not worth trying */
};

enum climb_act { CLIMB_TRY, CLIMB_SEED /* measure a way with another seed */, CLIMB_STOP };
struct climb_step {
	enum climb_act act;
	size_t way;          /* to be tried */
	double chance, gain; /* that it reaches the goal; its expected gain without one */
	char why[400];       /* a sentence */
};

/* Leaves ways that cannot pay (their state becomes CLIMB_LEFT) and says what is next. */
void climb_next(struct climb *c, struct climb_step *s);
/* Of the measured ways the best chance that the test shows the goal; 0: none has any. */
double climb_will_show(const struct climb *c);
/* E[max(chance(x), have)] − have of x ~ N(mean, sd²): what measuring it is expected to add. */
double climb_rise(double mean, double sd, double have, double (*chance)(const void *ctx, double x), const void *ctx);
/* What is kept for the test while a way is tried: its own test, or that of the dearest way that was measured. */
double climb_reserve(const struct climb *c, const struct climb_way *w);
/* Of a way that waits: seconds that are missing to make it, look at it and test it; 0: there is room for it. */
double climb_missing(const struct climb *c, const struct climb_way *w);
/* The best of those measured, or c->n where none is. */
size_t climb_winner(const struct climb *c);
/* What a way costs: making it, and all uses. */
double climb_total(const struct climb *c, const struct climb_way *w);

#endif
