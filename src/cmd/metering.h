/* metering: what a command costs, from its first option to its exit: the meter, the ledger's entry, --max-gas. One
 * process runs one command, so there is one of it. Commands tell what they took in, made and counted; every call is
 * harmless where nothing is metered (--gas off) or recorded (--ledger off, or a ledger that cannot be written: the
 * run goes on, says so, and its entry is kept as gas.json in its own directory).
 *
 * None of it may be called inside a step, but metering_over. */
#ifndef CMD_BOOKS_H
#define CMD_BOOKS_H

#include "cmd/command.h"
#include "gas/ledger.h"
#include "gas/predict.h"

/* −1: a usage error */
int metering_begin(const struct app *app, const struct command *c, const struct common *o, struct err *e);
void metering_in(const char *role, const char *path, const char *known /* hash of the weights or the data, or NULL */);
void metering_out(const char *role, const char *path);
void metering_directory(const char *path);          /* of the run: where its entry is kept if the ledger fails */
void metering_seed(int64_t seed);
/* This is one of so many ranks that do as much; others: of each of them what it took until now, a list of gas_keep's
 * (taken, or NULL), which from then on is part of what the command took: processor seconds, energy, money. */
void metering_ranks(int processes, json_t *others);
/* −1, NAN: not known. operations: all; int_ops: those of them in int8. */
void metering_count(int64_t tokens_in, int64_t tokens_out, int64_t tokens_supervised, double operations,
                    double int_ops);
/* Seconds since the command began. */
double metering_seconds(void);
/* What is predicted, with what past runs of its kind teach: its intervals into s, energy and money into gas, all of it
 * and the command's own facts (or NULL; taken) into *plan, a new reference, which is also kept beside the run. -1 with
 * a sentence when --max-gas has no room for it. */
int metering_plan(const struct predicted *p, json_t *facts, json_t **plan, struct predicted_spans *s, struct gas *gas,
               struct err *e);
/* A run within the command, as a trial of a search: it has an entry of its own, whose parent is the command's, and
 * from here on metering_in, _out, _directory, _seed, _count, _plan, _so_far, _tick, _summary, _text and _error are of
 * it; fits: its plan is refused where --max-gas has no room beside what was used until then. One at a time. argv: a
 * JSON list of words, or NULL. The command's own plan, words and uses come back at the end. */
void metering_part_begin(const char *command, const char *argv, bool fits);
void metering_part_gas(struct gas *g);              /* what it took until now; seconds alone where nothing is metered */
void metering_part_end(int status);                 /* EXIT_USAGE: nothing was run, and no entry stays */
void metering_phase(const char *name);              /* with --gas phases */
/* What lies between, as of a request (gas/meter.h): for commands that compare what they run. Nothing is known
 * (gas_none) with --gas off. */
void metering_open_span(struct meter_span *s);
void metering_read_span(const struct meter_span *s, struct gas *g);
/* The same for passes that are repeated (train/bench_passes.h), which end at a signal; one at a time. */
const struct bench_watch *metering_watch(void);
/* With --gas requests, one of many that a command answers, in the ledger and, as "gas", in its line of --json; several
 * may be open at once. NULL where they are not asked for, which metering_request_close takes: it frees r. line may be
 * NULL. share: of what was computed meanwhile (gas/meter.h). */
struct bench_watch;
struct metering_request;
struct request_counts { int64_t number, tokens_in, tokens_out; double flops, int_ops, share; };
struct metering_request *metering_request_open(void);
void metering_request_close(struct metering_request *r, const struct request_counts *c, json_t *line);
/* How many times as long as p says runs of its kind took on this machine, in the middle; 1: none is known. */
double metering_slower(const struct predicted *p);
/* Between steps: at most every few seconds the entry learns what was used so far; true when it did. */
bool metering_tick(void);
/* What this process took so far, as gas_keep has it: its seconds also where nothing is metered. The entry learns it
 * too. New reference. */
json_t *metering_so_far(void);
/* The share of --max-gas that is used, of what is used most; 0: there is no limit. Looked at ten times a second at
 * most. before: what earlier processes of the same work took, or NULL. */
double metering_share(const struct gas *before);
/* The same of planned figures alone. */
double metering_share_of(const struct gas *planned);
/* A limit for a command that goes on with work that had one, where its own words have none. */
int metering_set_limit(const char *text, struct err *e);
/* What the whole command took so far, also while a part of it runs, as gas_keep has it. New reference. */
json_t *metering_whole_so_far(void);
bool metering_over(void);                           /* --max-gas is used up: stop as after Ctrl-C */
/* Of --max-gas this share is kept back for the command's end, where 0 gives it free: until then plans and metering_over
 * see less of it. */
void metering_keep_back(double share);
/* app_summary calls it: adds joules, money, what was predicted … to it and keeps it as the entry's metrics */
void metering_summary(json_t *summary);
void metering_text(char out[400]);                  /* the same in one line; "" when nothing is metered */
/* For a line of progress: memory and energy so far, "10.7 MB  0.192 J", looked at once a second at most. */
const char *metering_live(void);
void metering_error(const char *sentence);
void metering_end(int status);

/* What a server answered, by day, key, model and adapter (gas/served.h): sums of this run as they are now, kept at
 * once; false: they are not. ctx: none. And all that is kept of all runs, a row after the other. */
bool metering_records(void);
bool metering_served(void *ctx, const struct served *rows, size_t n);
int metering_each_served(void (*each)(void *ctx, const struct served *s), void *ctx, struct err *e);
/* An amount of money in the currency of the prices; whether joules are known of this process. */
int metering_convert(double amount, const char *currency, double *out, struct err *e);
bool metering_knows_energy(void);

/* --max-gas in the currency of the prices, for a command that hands it on. */
int metering_limit(struct gas_limit *l, const struct common *o, struct err *e);
/* The ledger that --ledger names, or the default one; mem_free; NULL: there is none. */
char *metering_ledger_path(const struct common *o);

#endif
