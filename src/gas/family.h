/* family: what an artefact cost along its family tree.
 *
 * Own cost: the run that made it, and the pieces of that run that were stopped or killed in the same directory. Sunk:
 * the own costs of all its ancestors, each once, however many ways lead to them. Use: a later run that takes it in (as
 * model, adapter or data). Of n uses each bears, beside its own cost, (sunk + own) ÷ n: the amortisation. */
#ifndef GAS_FAMILY_H
#define GAS_FAMILY_H

#include "gas/ledger.h"

struct cost {                      /* sums; NAN while nothing known was added */
	double seconds, human_seconds, flops, int_ops, joules, joules_low, joules_high, money, money_low, money_high,
		money_opex, money_capex, grams_co2;
	unsigned money_any, money_all; /* parts of money (gas/prices.h) that some and that all of them have */
	char currency[4];              /* of the first sum of money; sums in another are counted in foreign */
	size_t runs, without_energy, foreign;
};
void cost_none(struct cost *c);
void cost_add_run(struct cost *c, const struct entry *x);
void cost_add(struct cost *c, const struct cost *more);
json_t *cost_json(const struct cost *c);

struct family_member {
	struct artefact artefact;
	struct cost own;
	int64_t maker;                 /* index into entries: the run that made it first; −1: nobody here did */
	size_t made;                   /* runs that made this very content */
	size_t n_uses;                 /* runs that used it (entry_is_use) */
	struct cost uses;              /* theirs, and only theirs */
	int *parents;                  /* indexes of members; what the maker took in */
	size_t n_parents;
};

struct family {
	struct arena mem;
	const struct entries *entries; /* borrowed */
	struct family_member *members;
	size_t n;
	json_t *index;                 /* member number by hash */
};

void family_build(struct family *f, const struct entries *entries);
void family_release(struct family *f);
/* the run that began what `maker` resumed, or maker itself */
int64_t family_began(const struct family *f, int64_t maker);
/* By hash or its beginning, name, path, run directory, or a run's id whose result it is; −1: none, −2: several. */
int family_find(const struct family *f, const char *what);
/* Ancestors of a member, each once, parents before children; *n of them; in f's arena. */
int *family_ancestors(struct family *f, int member, size_t *n);
void family_sunk(struct family *f, int member, struct cost *out);
/* Others that stand on at least one of the same ancestors, not themselves ancestors. */
int *family_sharers(struct family *f, int member, size_t *n);

#endif
