/* ledger_view: a ledger as those read it who ask what things cost: its runs, and the family tree of what they took
 * in and made. */
#ifndef GAS_LEDGER_VIEW_H
#define GAS_LEDGER_VIEW_H

#include <jansson.h>

#include "gas/evidence.h"

struct ledger_view {
	struct ledger *ledger;
	struct entries all;
	struct family family;
};

/* path NULL: there is no place for a ledger, which is a sentence. */
int ledger_view_open(struct ledger_view *v, const char *path, struct err *e);
void ledger_view_close(struct ledger_view *v); /* harmless on one that is all zeroes */

/* A run's metrics as an object, empty where there are none; new reference. */
json_t *ledger_view_metrics(const struct entry *x);

#endif
