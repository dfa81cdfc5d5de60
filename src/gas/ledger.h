/* ledger: the books. One SQLite file that several processes write at once: runs, artefacts by content hash, and who
 * used and made what.
 *
 * A run's entry is written at its start with status "running" and closed at its end; whoever opens the ledger next
 * closes those whose process is dead (by machine, boot, process id and its start time) as "killed". Columns are one
 * table, entry_columns: schema, JSON, CSV and documentation are made from it. An artefact's parents are what its run
 * took in, so the family tree is the runs themselves.
 *
 * Nothing here may be called inside a step: SQLite allocates. */
#ifndef GAS_LEDGER_H
#define GAS_LEDGER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "gas/meter.h"
#include "gas/served.h"

enum { LEDGER_SCHEMA = 4 };

/* A file or folder by its content. kind: one of artefact_kinds. Integers −1, strings NULL: not known. */
extern const char *const artefact_kinds[];     /* "model", "adapter", "data", "index", "labels"; ends with NULL */
struct artefact {
	/* 32 hex digits, XXH3-128; "quick:…" of samples, for big files that nobody read whole yet */
	const char *hash;
	const char *kind, *name, *path; /* as last seen */
	const char *source;            /* where a declared one is from */
	int64_t bytes, parameters, tokens;
};
struct artefact_use {
	const char *role;              /* "model", "adapter", "data", "eval_data" into a run; "result" out of it */
	bool out;
	struct artefact artefact;
};

/* One run. Doubles NAN, integers −1, strings NULL: not known. */
struct entry {
	const char *id;                /* UUID, version 4: unique on every machine */
	/* id of the run of which this one is a part, as a trial is of a search: what it took is in that one's too */
	const char *parent;
	const char *command, *argv;    /* "tune"; JSON list of words */
	const char *version, *status;  /* running, finished, failed, stopped, killed, declared */
	int64_t exit_status;
	const char *error;
	const char *began, *ended;     /* wall clock, UTC; for eyes only */
	struct gas gas;
	int64_t seed;
	const char *directory;         /* of the run, whole path */
	const char *machine;           /* id of a row of machines */
	const char *processor;
	int64_t threads;
	const char *kernels;
	const char *prediction;        /* JSON object: planned_seconds, planned_seconds_low … as econ writes it */
	const char *metrics;           /* JSON object: what the command's summary said */
	const char *phases;            /* JSON list */
	const char *requests;          /* JSON list of gas_request_json, each with its "request": a number or a name */
	const char *note;              /* how a declared figure came about; how a killed one was closed */
	const char *boot;              /* process that owns a running entry */
	int64_t pid, pid_start;
	const char *pid_space;
	struct artefact_use *uses;
	size_t n_uses;
	/* of serve: by day, key, model, adapter. ledger_put leaves rows that are not among them */
	struct served *served;
	size_t n_served;
};

/* Does a run use what it took in? Plans, lints and looks do not: they only ask; nor does one that failed, was killed or
 * still runs, of which it is not known what it took; nor a part of another, which does. */
bool entry_is_use(const struct entry *x);

enum column_type { COLUMN_TEXT, COLUMN_JSON, COLUMN_INT, COLUMN_REAL, COLUMN_METHOD };
struct column {
	const char *name;
	enum column_type type;
	size_t offset;                 /* in struct entry; texts of fixed size inside gas have width > 0 */
	size_t width;
	bool inner;                    /* kept in the file, shown nowhere */
	const char *unit, *help;
};
extern const struct column entry_columns[]; /* ends with a NULL name */

struct ledger;
enum ledger_mode { LEDGER_WRITE, LEDGER_READ };

/* The default file: ${XDG_STATE_HOME:-~/.local/state}/kungfu/ledger.db; mem_free; NULL when neither is set. */
char *ledger_default_path(void);
/* Makes it when LEDGER_WRITE; migrates an older schema; refuses a newer one. Closes dead entries in both modes, where
 * it can write. */
int ledger_open(struct ledger **l, const char *path, enum ledger_mode mode, struct err *e);
void ledger_close(struct ledger *l);

void entry_init(struct entry *x);              /* nothing known */
void entry_identify(struct entry *x, struct arena *a); /* id, began, process, machine */
/* inserts, or replaces what has its id; with its uses */
int ledger_put(struct ledger *l, const struct entry *x, struct err *e);
int ledger_remove(struct ledger *l, const char *id, struct err *e);
/* An artefact's own facts; NULL and −1 leave what is there. */
int ledger_put_artefact(struct ledger *l, const struct artefact *a, struct err *e);

struct entries { struct arena mem; struct entry *items; size_t n; };
struct ledger_filter {
	const char *id /* or a beginning of it */, *command, *status, *since;
	int64_t limit /* newest first, 0: all */;
};
/* oldest first, with their uses */
int ledger_runs(struct ledger *l, const struct ledger_filter *f /* NULL: all */, struct entries *out, struct err *e);
void entries_release(struct entries *x);
/* What finished runs of a command were predicted to take, raw, beside what they took: on the machine and with the
 * kernels of `like`; newest first; at most room. Strings live in a. A ledger that cannot be read has none. */
struct ledger_past {
	const char *kind;
	double planned_seconds, seconds, sigma, planned_bytes, bytes;
	int64_t threads;
	double cpu_seconds;            /* NAN: not known */
	double share;                  /* of the machine's busy time; 1 where it is not known */
	double joules;                 /* as counters had them; NAN: the machine's model, or nothing, had them */
	const char *energy_method, *energy_source; /* "measured" or "mixed"; which counters; "" else */
};
size_t ledger_past(struct ledger *l, const struct entry *like, const char *command, struct arena *a,
                   struct ledger_past *out, size_t room);

struct artefacts { struct arena mem; struct artefact *items; size_t n; };
int ledger_artefacts(struct ledger *l, struct artefacts *out, struct err *e);
void artefacts_release(struct artefacts *x);

/* An entry as JSON with its uses under "artefacts", for --json, export, a run's own directory; and back. */
json_t *entry_json(const struct entry *x, bool inner);
int entry_from_json(struct entry *x, const json_t *j, struct arena *a, const char *where, struct err *e);

/* Another ledger, a JSONL export or one entry: adds what is not here (by id; artefacts by hash). */
int ledger_import(struct ledger *l, const char *path, size_t *added, size_t *known, struct err *e);
/* SQLite's own check and ours; every finding is one say. */
int ledger_check(struct ledger *l, void (*say)(void *ctx, const char *finding), void *ctx, size_t *findings,
                 struct err *e);

/* Content hashes, remembered by path, size, time and inode, so that a file is read once. l may be NULL. quick: a file
 * of more than 1 GB that is not remembered is sampled ("quick:…") and not read whole. */
int ledger_hash_file(struct ledger *l, const char *path, bool quick, char hex[40], struct err *e);
/* The artefact at a path: a file, or a folder with a model (all its model*.safetensors), an adapter or data. known: the
 * hash that someone else computed of the weight file or of the data, or NULL. Strings live in a; path is made whole. */
int artefact_from_path(struct artefact *x, struct ledger *l, const char *path, const char *known, struct arena *a,
                       struct err *e);
/* that someone else computed; errors are not told */
void ledger_remember_hash(struct ledger *l, const char *path, const char *hex);

/* Idle power of this machine, measured: NAN when not known. */
double ledger_idle_watts(struct ledger *l);
int ledger_set_idle_watts(struct ledger *l, double watts, const char *source, struct err *e);

#endif
