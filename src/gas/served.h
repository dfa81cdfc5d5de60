/* served: what a run of `serve` answered, summed by day, key, model and adapter: rows of the ledger beside the run's
 * entry. Budgets are sums of them over runs. */
#ifndef GAS_SERVED_H
#define GAS_SERVED_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

struct gas;
struct ledger;

struct served {
	const char *day;               /* "2026-01-31", UTC */
	const char *key;               /* the name of who asked, never the key; "": nobody has one */
	const char *model, *adapter;   /* by their names; adapter "": none */
	int64_t requests, tokens_in, tokens_out;
	int64_t cached;                /* of tokens_in: not computed again */
	int64_t guessed, accepted;     /* tokens guessed ahead; of these right */
	/* Of the requests' shares. Joules and money of those whose share of them is known. */
	double seconds, joules, joules_low, joules_high, money;
	char currency[4];              /* "": no money is known */
};

/* day: room for "2026-01-31" of seconds since 1970. */
void served_day(double wall_seconds, char day[11]);
/* Adds what one request took; a sum of no request is zeros. Money of another currency is left out. */
void served_add_gas(struct served *s, const struct gas *g);
void served_add(struct served *sum, const struct served *more);
json_t *served_json(const struct served *s);
/* Strings live in a. −1 and a sentence. */
int served_from_json(struct served *s, const json_t *j, struct arena *a, const char *where, struct err *e);

/* The sums of these rows of a run, as they are now: one transaction. */
int ledger_put_served(struct ledger *l, const char *run, const struct served *rows, size_t n, struct err *e);
/* All rows of all runs from a day on, summed over runs, one after the other; strings are borrowed while it is told. */
int ledger_each_served(struct ledger *l, const char *from_day, void (*each)(void *ctx, const struct served *s),
                       void *ctx, struct err *e);

#endif
