/* estimate: the moment in a command between knowing what it will take and taking it. Everything before it only looks
 * (opens, reads, records a tape), so `kungfu plan` is the command itself, up to here, and --max-gas refuses here,
 * before any work is done or anything is written. A command that calls it says so in its struct command (plans). */
#ifndef CMD_PLANNED_H
#define CMD_PLANNED_H

#include "cmd/command.h"
#include "gas/predict.h"

typedef void say_fn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

struct planned_options {
	json_t *facts;                 /* what the command knows besides, for --json, or NULL; its reference is taken */
	/* Lines for eyes, before those of time and memory; NULL: none. */
	void (*lines)(const void *ctx, say_fn *say);
	const void *ctx;
	json_t **kept;                 /* the whole plan, a new reference for who goes on; NULL: not wanted */
	bool always;                   /* shown on stderr by the run too, not by `kungfu plan` alone */
};

/* Adds to p what opening took until now, completes the plan with what past runs teach, energy and money, and keeps it
 * beside the run in the ledger.
 *
 * 0: go on. -1: leave, as on any error, by app_fail: --max-gas has no room for it, with a sentence; or only the plan
 * was asked for, and has been shown. */
int planned(struct app *app, struct predicted *p, const struct planned_options *o /* or NULL */, struct err *e);

#endif
