/* evidence: what the ledger knows of a method, as economics asks for it: what making the thing took once, and what a
 * use of it takes.
 *
 * A method is a thing (an adapter, a model) and the runs that used it: `eval` and `generate`. Once is the thing's own
 * cost and that of those of its ancestors which not all compared things stand on; what all of them stand on is sunk,
 * and so is a declared model, which was paid for elsewhere. Per use is the cost of a run by the rows that it answered,
 * opening included, and is the mean of those runs that are like the newest: the same command on the same content and as
 * many rows, done in the same way: arithmetic, threads, kernels and machine. What was done in another way is counted,
 * so that it can be said, and not pooled. */
#ifndef GAS_EVIDENCE_H
#define GAS_EVIDENCE_H

#include "gas/economics.h"
#include "gas/family.h"

enum cost_unit { COST_SECONDS, COST_JOULES, COST_MONEY };

struct evidence {
	int thing;                     /* member of the family */
	int64_t *runs;                 /* [n_runs] indexes of entries, oldest first; in the family's arena */
	size_t n_runs;
	int64_t rows;                  /* that each of them answered */
	size_t n_others;               /* runs of the same work done in another way */
	bool named;                    /* by the id of a run that used it: that use is meant */
};

/* The artefact at a path by its content, or by hash, name, run directory, a run's id or its beginning. −1 with a
 * sentence. */
int evidence_artefact(const struct family *f, struct ledger *l, const char *what, struct err *e);
/* What is meant by `what`: an evaluation (by id or its beginning), or a thing as above with its newest evaluation.
 * compute: in this arithmetic
 * ("f32", "int8"), NULL: in any. n_runs 0: nothing used it so. */
int evidence_find(struct evidence *v, struct family *f, struct ledger *l, const char *what, const char *compute,
                  struct err *e);
/* The thing that a run used: its adapter, or its model; −1: neither. */
int evidence_thing(const struct family *f, const struct entry *run);
/* An eval or generate that finished and answered, of one thing. */
bool evidence_is_use(const struct entry *run);
/* As many tokens read (asked of evaluations only of one model, for another may cut words differently), and of
 * `generate` within a tenth as many written; what is not known is taken for the same. */
bool evidence_same_length(const struct entry *a, const struct entry *b, bool one_model);
/* Makes this run's use the one that v tells, with those that are like it. */
void evidence_take(struct evidence *v, struct family *f, int64_t run);
int64_t evidence_rows(const struct entry *run);  /* that it answered; 0: not known */
const char *evidence_compute(const struct entry *run);                 /* "f32", "int8"; "": not known */
bool evidence_same_way(const struct entry *a, const struct entry *b);  /* arithmetic, threads, kernels, machine */
void evidence_way(const struct entry *run, char out[80]);              /* ", int8, 2 threads", of what is known of it */

void evidence_once(struct family *f, const struct evidence *all, size_t n, size_t which, struct cost *out);
/* of one row; n_runs > 0. Several runs: Student's interval of their mean; one: the interval that a plan would have of
 * such a run (gas/forecast.h), for nothing says how far the next one may be off. Joined with energy's own bounds. */
struct span evidence_per_use(const struct family *f, const struct evidence *v, enum cost_unit unit);
void evidence_use(const struct family *f, const struct evidence *v, struct cost *out); /* sum over the runs */

double cost_of(const struct cost *c, enum cost_unit unit);
/* 0 where there are no runs; NAN where a figure is not known */
struct span cost_span(const struct cost *c, enum cost_unit unit);

#endif
