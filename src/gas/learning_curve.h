/* learning_curve: a learning curve out of the ledger: the runs that differ from one only in how much they learnt from,
 * each with its error on the same evaluation rows and its own cost; and what other runs bought on these rows, which is
 * the opportunity that was foregone. */
#ifndef GAS_LEARNING_CURVE_H
#define GAS_LEARNING_CURVE_H

#include "base/opt.h"
#include "gas/curve.h"
#include "gas/ledger_view.h"

enum { POINTS = 64 };
enum learning_over { OVER_LABELS, OVER_TOKENS, OVER_STEPS };

struct elsewhere {                 /* another thing that was evaluated on the same rows */
	const char *name, *run;        /* borrowed of the view */
	struct span error;
	double cost;
};

struct learning {
	struct ledger_view view;
	struct curve_point points[POINTS];
	/* own, of each point; NAN: not known, or of a run in another way (gas/evidence.h): another machine's */
	double cost[POINTS];
	size_t n;
	const char *data;              /* name of the evaluation rows */
	struct span before;            /* error of the model as it is; NAN: not evaluated on these rows */
	struct elsewhere others[POINTS];
	size_t n_others;
};

/* ledger: its path, as ledger_view_open. recipe: tune's options, by which the words of a run's command line are
 * compared. what: a run of tune, its folder, its adapter or model. data: hash of the evaluation rows, or NULL: those of
 * its newest evaluation. −1 with a sentence that says what to run. */
int learning_read(struct learning *l, const char *ledger, const struct opt *recipe, const char *what,
                  const char *data, enum learning_over over, enum cost_unit unit, struct err *e);
/* What one more label (token, step) costs: slope of a line through the costs; NAN for one size of those whose cost is
 * known. */
double learning_cost_of_one(const struct learning *l);
/* Of those others the one that bought most for this gas, see economics.h; NULL: there is none. */
const struct elsewhere *learning_best(const struct learning *l, double gas, struct span *bought);
void learning_release(struct learning *l);

/* What a run on other rows must have in common with this one to be of its curve. */
struct learning_origin {
	char *directory;               /* of the run, as it was recorded; NULL: not known */
	/* "--name" or "--name=value", a line each, but for places, seed and what is common to all commands */
	char *options;
};
int learning_origin(struct learning_origin *r, const char *ledger, const struct opt *recipe, const char *what,
                    struct err *e);
void learning_origin_release(struct learning_origin *r);

#endif
