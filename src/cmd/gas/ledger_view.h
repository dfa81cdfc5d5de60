/* gas_books: the ledger as the economic commands read it: its runs and the family tree of what they took in and
 * made. */
#ifndef CMD_GAS_BOOKS_H
#define CMD_GAS_BOOKS_H

#include "cmd/metering.h"
#include "gas/evidence.h"

struct gas_books {
	struct ledger *ledger;
	struct entries all;
	struct family family;
};

int gas_books_open(struct gas_books *b, const struct common *o, struct err *e);
void gas_books_close(struct gas_books *b); /* harmless on one that is all zeroes */

/* A run's metrics as an object, empty where there are none; new reference. */
json_t *gas_metrics(const struct entry *x);

#endif
