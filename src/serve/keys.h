/* keys: who may ask, by which keys, how much of it, and what each has used.
 *
 * --api-key and a file of lines give keys alone; each is a holder of its own, named key-XXXXXXXX (of its SHA-256). A
 * file that ends in .yaml or .yml gives names:
 *
 *     bob: sk-1
 *     alice:
 *       key: sk-2                        or a list of keys
 *       budget:
 *         day: 100k tokens, 2 kJ         of UTC's day; k, M; energy and money as --max-gas has them
 *         month: 5 EUR                   of UTC's month
 *         total: 3M tokens
 *       top_logprobs: 5                  so many likely tokens at most; none: no log-probabilities at all
 *       forced_logprobs: false           none of tokens that a request makes the model say (logit_bias, a grammar or
 *                                        schema, echo): by these a request reads the whole distribution
 *
 * A request holds what it may cost at most before it begins, and is charged what it took. What was used is rows of the
 * ledger (gas/served.h), kept once a second at most: a killed server forgets the last second and what was being
 * answered. Requests that are being answered count by what they hold, so many at once overdraw nothing. What another
 * server that runs beside this one charges to the same names is seen when this one starts again.
 *
 * Any thread, but for keys_tick, keys_past and keys_read, which are the engine's. */
#ifndef SERVE_KEYS_H
#define SERVE_KEYS_H

#include "base/buf.h"
#include "gas/served.h"

struct keys;
struct holder;

struct keys_options {
	const char *const *given;      /* [n_given] */
	size_t n_given;
	const char *file;              /* or NULL */
	/* An amount in the currency in which gas is told; NULL: no energy is known, so budgets of it and of money are
	 * refused. */
	int (*convert)(double amount, const char *currency, double *out, struct err *e);
	/* Keeps rows; false: they are kept nowhere. NULL: budgets are refused: what was used would be forgotten. */
	bool (*keep)(void *ctx, const struct served *rows, size_t n);
	void *ctx;
};

int keys_new(struct keys **out, const struct keys_options *o, struct err *e);
/* The file again. −1 and a sentence: what was there stays. */
int keys_read(struct keys *k, struct err *e);
/* What was used before: to be told of all days, once, before anybody asks. */
void keys_past(void *keys, const struct served *s);
/* Keeps what changed, once a second at most; now: of clock_seconds; INFINITY: at once. */
void keys_tick(struct keys *k, double now);
void keys_free(struct keys *k);
size_t keys_count(struct keys *k);     /* 0: everybody may ask */

/* Whose key it is, or, where none is wanted, nobody's; NULL: it is none that is known. Takes as long whatever it is.
 * A holder stays until keys_free. */
struct holder *keys_holder(struct keys *k, const char *bearer);
struct holder *keys_named(struct keys *k, const char *name); /* NULL: there is no such */
const char *holder_name(const struct holder *h);             /* "" of nobody */

/* --- what a holder may ask --- */

int holder_top_logprobs(struct keys *k, const struct holder *h);     /* −1: no log-probabilities */
bool holder_forced_logprobs(struct keys *k, const struct holder *h);
enum key_budget { BUDGET_NONE = 0, BUDGET_TOKENS = 1, BUDGET_JOULES = 2, BUDGET_MONEY = 4 };
unsigned holder_budgets(struct keys *k, const struct holder *h);     /* of which kinds it has some */

/* NAN: not known, which counts as nothing. */
struct key_cost { double tokens, joules, money; };
struct key_refusal {
	bool renews;                   /* later there is room */
	double seconds;                /* until then */
	char text[300];
};
/* What a request may cost at most; false: there is no room. What is held is charged or given back once. */
bool keys_hold(struct keys *k, struct holder *h, const struct key_cost *most, struct key_refusal *why);
/* What it took, s without its day and key; and what it held, which is free again. */
void keys_charge(struct keys *k, struct holder *h, const struct key_cost *held, const struct served *s);
/* Sums since the start, by model and adapter, one after the other. */
void keys_each_model(struct keys *k, void (*each)(void *ctx, const struct served *s), void *ctx);

#endif
