/* command: one file cmd_x.c a command. Only here (and in main.c) anything is printed to stdout, options are read, the
 * process exits.
 *
 * Exit status: 0 done, 1 failed, 2 usage, 3 stopped and resumable. */
#ifndef CMD_COMMAND_H
#define CMD_COMMAND_H

#include <jansson.h>
#include <stdbool.h>

#include "base/opt.h"
#include "base/pool.h"
#include "kernel/kernels.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_STOPPED = 3 };

struct ranks;

struct app {                       /* what every command gets */
	bool json, quiet;
	bool plans;                    /* `kungfu plan`: only what the command would take is wanted (cmd/estimate.h) */
	int argc;                      /* after the command's name */
	char **argv;
	struct pool *pool;             /* made before run, freed after it */
	const struct kernels *kernels;
	struct device *device;         /* of these two: where passes run */
	struct ranks *ranks;           /* the processes that mpirun has started; NULL: this one is alone */
	const char *compute;           /* the arithmetic that was used, for the summary; NULL: the command has none */
};

/* Every command's struct begins with this, and its table with COMMON_OPTS(struct). */
struct common {
	bool json, quiet, help;
	int64_t threads;
	const char *ledger, *max_gas, *power_file, *prices, *gas;
};
#define COMMON_OPTS(s, f) \
	OPT_GROUP("Common"), \
		OPT_FLAG("json", s, f.json, "false", \
	                 "one JSON object a line on stdout, a summary last; text goes to stderr"), \
		OPT_FLAG("quiet", s, f.quiet, "false", "no text for eyes"), \
		OPT_INT("threads", s, f.threads, "0", 0, 1024, "threads to use; 0: all that this process may use"), \
		OPT_STRING("ledger", s, f.ledger, NULL, "FILE", \
	                   "records the run there; off: nowhere (default: ledger.db in ~/.local/state/kungfu)"), \
		OPT_STRING("max-gas", s, f.max_gas, NULL, "LIMITS", \
	                   "at most this, as \"10m, 2 kJ, 0.05 EUR\": refuses a plan above it, stops a run that " \
	                   "reaches it"), \
		OPT_CHOICE("gas", s, f.gas, "run", "run|phases|requests|off", \
	                   "what is metered: also its phases, also each answer, turn or row"), \
		OPT_STRING("power-file", s, f.power_file, NULL, "FILE", \
	                   "watts of the machine as a number, from a meter of yours"), \
		OPT_STRING("prices", s, f.prices, NULL, "FILE", "your prices.yaml, over the built-in one"), \
	{ \
		OPT_TYPE_FLAG, "help", "h", offsetof(s, f.help), "false", 0, 0, NULL, NULL, "show this help" \
	}

struct command {
	const char *name;              /* "tune"; "data lint" is a command of two words */
	const char *summary;           /* one line */
	const char *usage;             /* "MODEL --data FILE --out DIR" */
	const char *example;           /* a line that runs, of 51 characters at most */
	/* for the overview, 25 characters at most; NULL: the summary up to its first comma or colon */
	const char *brief;
	bool looks;                    /* only looks at runs or at the ledger: neither metered nor recorded */
	/* says by planned() what it will take, before it takes it: `kungfu plan` and --max-gas work */
	bool plans;
	bool ranks;                    /* may be run by several processes under mpirun (cmd/ranks_start.h) */
	int order;                     /* place in the overview: the order of a person's work */
	const struct opt *opts;
	/* of the struct that opts fill; it begins with struct common, the rest is zero */
	size_t options_size;
	size_t least, most;            /* words that are no options */
	const char *wanted;            /* when there are others: "one model was wanted"; NULL: none is taken */
	void (*about)(void);           /* --help says it after the summary; NULL: nothing more */
	/* For plan alone: which command is to run with these words, or an exit status when none is. */
	int (*instead)(struct app *app, const struct command **c);
	/* the exit status, or −1 and a sentence in e */
	int (*run)(struct app *app, void *options, struct opt_parse *p, struct err *e);
};

int command_main(int argc, char **argv);
/* whose name the words at argv begin with, or NULL; *words: of its name */
const struct command *command_find(int argc, char **argv, int *words);

extern const struct command *const command_table[]; /* generated, NULL-terminated */

/* prints "kungfu: sentence" and returns EXIT_FAILED; EXIT_DONE after a plan that was all that was wanted */
int app_fail(const struct err *e);
/* a plan was wanted and shown: from now on app_fail says nothing and is EXIT_DONE */
void app_plan_shown(void);
/* sentence and a hint; EXIT_USAGE */
int app_usage(const struct command *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void app_json(const json_t *j);                 /* one line on stdout; j stays the caller's */
/* the command's last word: what it took is added, the ledger keeps it, --json shows it; freed */
void app_summary(const struct app *app, json_t *j);
/* Text of a model or a file, to where app_print writes: as it is, zero bytes too; on a terminal nothing in it speaks to
 * the terminal (term_write). */
void app_text(const char *text, size_t n);
/* stdout, the result itself; under --json stderr */
void app_print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* SIGINT and SIGTERM set a flag that long work looks at. */
void app_catch_signals(void);
/* The same, but what is being computed is not given up: the command looks at app_interrupted itself. */
void app_note_signals(void);
bool app_interrupted(void);
/* SIGHUP ends nothing from now on; did one come since this was last asked? */
void app_catch_hangup(void);
bool app_hung_up(void);
bool app_signalled(void);                       /* by a signal: --max-gas left aside */

#endif
