/* gas_methods: a method as `gas compare` is told of it: figures, the files that --json wrote, or what the ledger
 * knows. */
#ifndef CMD_GAS_METHODS_H
#define CMD_GAS_METHODS_H

#include "cmd/gas/ledger_view.h"
#include "cmd/gas/gas_numbers.h"

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
};

struct method_set {
	struct method m[METHODS];
	size_t n;
	struct gas_books books;        /* opened when one needs it */
	enum cost_unit unit;
	char currency[4];              /* of the ledger's money */
	const char *compute;           /* uses in this arithmetic alone; NULL: in that of the newest */
};

/* s: all zeroes, but for compute. words: NAME:FIXED,PER_USE[,QUALITY], or [NAME=]RUN|PATH. unit: "seconds", "joules",
 * "money". */
int methods_read(struct method_set *s, const struct common *o, const char *const *words, size_t n, const char *unit,
                 struct err *e);
void methods_release(struct method_set *s);

#endif
