/* rungs: which trial gets gas next. A trial is looked at on rungs, each after η times as much gas as the one before,
 * and only what does well there goes on.
 *
 *     none        every trial runs to its end
 *     asha        asynchronous successive halving (Li, Jamieson, Rostamizadeh, Gonina, Hardt, Recht, Talwalkar 2018,
 *                 A System for Massively Parallel Hyperparameter Tuning): whichever trial is among the best 1/η of
 *                 its rung goes on, the highest rung first; is there none, a new trial begins
 *     hyperband   (Li, Jamieson, DeSalvo, Rostamizadeh, Talwalkar 2017): brackets of successive halving, bracket s
 *                 with (K + 1)/(s + 1)·η^s trials, rounded up, that begin on rung K − s, one bracket after another,
 *                 all of a rung before any of the next, at least one of it; after the last the first again
 *
 * Beyond the papers: a trial among the best 1/η stays behind all the same where the same evaluation rows say that it
 * is surely worse than the best of its rung (`worse`); and where nothing came to its end, the best of the highest rung
 * is taken there. A trial whose whole run needs less gas than a rung has finished before it, and stands on all of them
 * with what it came to.
 *
 * What comes next depends on the results alone, not on when they arrived. */
#ifndef SEARCH_RUNGS_H
#define SEARCH_RUNGS_H

#include <stdbool.h>
#include <stddef.h>

enum { RUNGS_MOST = 8 };
enum rungs_by { RUNGS_NONE, RUNGS_ASHA, RUNGS_HYPERBAND };

struct rungs {
	enum rungs_by by;
	int rungs, eta;                /* rungs below the end: K */
	size_t trials;                 /* that may begin */
	bool (*worse)(void *ctx, size_t trial, size_t best, int rung);         /* may be NULL */
	void *ctx;
};

struct standing {
	int first;                     /* the rung on which it begins; K: at its end */
	int reached;                   /* it has a value on the rungs first … reached − 1 */
	double value[RUNGS_MOST + 1];  /* lower is better; of its end at K */
	bool over, failed;             /* finished, or failed: it goes no farther */
};

enum rungs_do { RUNGS_BEGIN, RUNGS_GO_ON, RUNGS_FINISH, RUNGS_DONE };
struct rungs_next {
	enum rungs_do what;
	size_t trial;                  /* that goes on, by one rung; that is taken to its end; that begins */
	int first;                     /* of one that begins */
};

struct rungs_next rungs_next(const struct rungs *r, const struct standing *t, size_t n);
/* The share of its whole gas at which a trial of cost `whole` reaches a rung, where `most` is the gas of the end: 1 and
 * more: it has finished by then. */
double rungs_share(const struct rungs *r, int rung, double most, double whole);
/* What the trials take together if they are of equal cost, in such costs; how often one is begun or gone on with. */
double rungs_cost(const struct rungs *r, double *times);

#endif
