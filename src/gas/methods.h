/* methods: a way to do a task as `gas compare` is told of it: figures, the files that --json wrote, or what the ledger
 * knows. */
#ifndef GAS_METHODS_H
#define GAS_METHODS_H

#include "gas/comparable.h"
#include "gas/ledger_view.h"
#include "gas/summary.h"

enum { METHODS = 16 };

struct method {
	char *name;
	struct cost_line cost;
	struct span quality;           /* NAN: not known */
	struct span total, amortised;
	enum front front;
	double once_opex, once_capex, use_opex, use_capex; /* of money; NAN: not known */
	const char *what;              /* asked of the ledger; NULL: figures or files */
	struct evidence evidence;
	size_t once_runs;
	const struct entry *judged;    /* the run that told the quality; NULL: none */
};

struct method_set {
	struct method m[METHODS];
	size_t n;
	struct ledger_view view;       /* opened when one needs it */
	enum cost_unit unit;
	char currency[4];              /* of the ledger's money */
	unsigned money_any, money_all; /* its parts (gas/prices.h) */
	const char *rows;              /* hash of those that qualities are on; NULL: none */
	bool ways_differ;              /* not all uses were done in the same way */
	const char *compute;           /* uses in this arithmetic alone; NULL: in that of the newest */
};

/* s: all zeroes, but for compute. words: NAME:FIXED,PER_USE[,QUALITY], or [NAME=]RUN|PATH. unit: "seconds", "joules",
 * "money". ledger: its path, as ledger_view_open; opened when one needs it. */
int methods_read(struct method_set *s, const char *ledger, const char *const *words, size_t n, const char *unit,
                 struct err *e);
void methods_release(struct method_set *s);

#endif
