/* command: finds the command by its one or two words, and what every command needs before and after its own work.
 *
 * Standard output carries results alone: text, or with --json one object a line. Everything else goes to stderr. */
#include "cmd/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/opt_others.h"
#include "base/sentence.h"
#include "base/stop.h"
#include "base/term.h"
#include "cmd/metering.h"
#include "cmd/option_needs.h"
#include "cmd/output_check.h"
#include "cmd/overview.h"
#include "cmd/ranks_start.h"
#include "cmd/trial.h"
#include "op/device.h"

static const struct log_sink nobody = { 0 };
static bool json_only; /* --json: text must not reach stdout */
static bool plan_shown;
static int output_errno; /* of the first write to stdout that failed */
static volatile sig_atomic_t interrupted;
static volatile sig_atomic_t hung_up;
static int this_rank; /* above 0: another speaks */
static bool several; /* ranks: a step is never given up */

/* --- output --- */

/* The reason counts that the first failure has. */
static void note_output(bool failed)
{
	if (failed && !output_errno)
		output_errno = errno;
}

void app_json(const json_t *j)
{
	char *line = jsonx_line(j);
	note_output(fputs(line, stdout) < 0 || fputc('\n', stdout) < 0 || fflush(stdout));
	mem_free(line);
}

void app_summary(const struct app *app, json_t *j)
{
	if (app->compute)
		json_object_set_new(j, "compute", json_string(app->compute));
	metering_summary(j);
	if (app->json)
		app_json(j);
	json_decref(j);
}

static void write_out(const char *text, size_t n, bool styles)
{
	note_output(term_write(json_only ? stderr : stdout, text, n, styles));
}

void app_print(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	char *text = sentence_vprintf(fmt, ap);
	va_end(ap);
	write_out(text, strlen(text), true);
	mem_free(text);
}

void app_text(const char *text, size_t n) { write_out(text, n, false); }

/* Whether a command failed because the limit stopped it; one that the limit refused beforehand says so itself. */
static bool was_limit(const struct err *e) { return metering_over() && strncmp(e->msg, "--max-gas", 9) != 0; }

int app_fail(const struct err *e)
{
	if (plan_shown)
		return EXIT_DONE;
	if (this_rank) {
		ranks_keep(e->msg);
		return EXIT_FAILED;
	}
	log_live_end();
	fflush(stdout);
	char *text = mem_printf("kungfu: %s%s\n", e->msg, was_limit(e) ? " (--max-gas is used up)" : "");
	term_write(stderr, text, strlen(text), false);
	mem_free(text);
	metering_error(e->msg);
	return EXIT_FAILED;
}

void app_plan_shown(void) { plan_shown = true; }

int app_usage(const struct command *c, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	char *text = mem_vprintf(fmt, ap);
	va_end(ap);
	if (this_rank) {
		ranks_keep(text);
		mem_free(text);
		return EXIT_USAGE;
	}
	fputs("kungfu: ", stderr);
	term_write(stderr, text, strlen(text), false);
	mem_free(text);
	fprintf(stderr, " (kungfu %s%s--help says what there is)\n", c ? c->name : "", c ? " " : "");
	return EXIT_USAGE;
}

/* --- one command --- */

/* `kungfu tune help`; a file of that name is a file. */
static bool asks_by_word(const struct app *app)
{
	return app->argc == 1 && !strcmp(app->argv[0], "help") && !io_exists("help");
}

/* Who follows prints nothing and has no entry in the ledger. */
static int begin_ranks(struct app *app, const struct command *c, struct common *common, struct err *e)
{
	int rank, size = ranks_launched(&rank);

	if (size < 2)
		return 0;
	if (!c->ranks || app->plans)
		return err_set(e, "%s%s is for one process, and mpirun has started %d: several train together with "
		                  "tune, pretrain and resume", app->plans ? "plan " : "", c->name, size);
	if (this_rank) {
		common->json = false;
		common->quiet = true;
		common->ledger = "off";
	}
	return ranks_start(app, RANK_TIMEOUT, &common->threads, e);
}

/* What another command takes is told with its name. */
static int wrong_option(const struct command *c, const struct err *e)
{
	const char *stray = opt_stray(e);
	char *having = stray ? overview_having(stray) : NULL;
	int status = having ? app_usage(c, "%s: it is an option of %s", e->msg, having) : app_usage(c, "%s", e->msg);

	mem_free(having);
	return status;
}

/* Options, --help, log, kernels, pool and books. 0 to go on, else the exit status + 1. */
static int begin(struct app *app, const struct command *c, struct common *common, struct opt_parse *p, struct err *e)
{
	opt_begin(p, c->opts, common, e);
	if (opt_args(p, app->argc, app->argv, e))
		return wrong_option(c, e) + 1;
	if (common->help || asks_by_word(app)) {
		overview_print_help(c);
		return EXIT_DONE + 1;
	}
	if (!(app->kernels = kernels_get(NULL, e)))
		return app_fail(e) + 1;
	if (begin_ranks(app, c, common, e) < 0)
		return app_fail(e) + 1;
	app->json = json_only = common->json;
	app->quiet = common->quiet;
	log_set(common->quiet ? LOG_QUIET : LOG_NORMAL);
	if (this_rank)
		log_lend(&nobody);
	app->pool = pool_new((int)common->threads);
	*app->device = device_cpu(app->kernels, app->pool);
	if (metering_begin(app, c, common, e) < 0)
		return app_usage(c, "%s", e->msg) + 1;
	return 0;
}

static int wrong_words(const struct command *c, const struct opt_parse *p)
{
	const char *wanted = c->wanted ? c->wanted : "options alone were wanted";

	if (p->n_positional > c->most)
		return app_usage(c, "%s, %s is too many", wanted, p->positional[c->most]);
	return app_usage(c, "%s", wanted);
}

static int run_with_options(struct app *app, const struct command *c)
{
	struct common *options = mem_array(1, c->options_size);
	struct opt_parse p;
	struct err e = ERR_INIT;
	int status = begin(app, c, options, &p, &e);

	if (status)
		status--;
	else if (p.n_positional < c->least || p.n_positional > c->most)
		status = wrong_words(c, &p);
	else if (ranks_follows(app->ranks))
		status = trial_follow(app, &e) < 0 ? app_fail(&e) : EXIT_DONE;
	else if (option_needs(&p, &e) < 0 || output_check(&p, &e) < 0)
		status = app_usage(c, "%s", e.msg);
	else if (output_places(&p, !app->plans, &e) < 0 || (status = c->run(app, options, &p, &e)) < 0)
		status = app_fail(&e);
	opt_release(&p);
	mem_free(options);
	return status;
}

static void note_signal(int number)
{
	(void)number;
	interrupted = 1;
	stop_ask();
}

static void only_note(int signal)
{
	(void)signal;
	interrupted = 1;
}

static void say(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		_exit(EXIT_FAILED);
}

/* A file got shorter than it was when it was opened. What is not that is a fault of ours, and ends as one. */
static void note_bus(int number, siginfo_t *info, void *context)
{
	static atomic_flag said = ATOMIC_FLAG_INIT;
	const char *path = io_mapped_at(info->si_addr);

	(void)context;
	if (!path) {
		signal(number, SIG_DFL);
		return;
	}
	while (atomic_flag_test_and_set(&said)) /* another thread says it, and ends us all */
		pause();
	say("kungfu: ");
	say(path);
	say(": cannot be read any more: it was shortened while it was in use, or its disk fails\n");
	_exit(EXIT_FAILED);
}

static void catch_bus(void)
{
	struct sigaction a = { .sa_sigaction = note_bus, .sa_flags = SA_SIGINFO };
	sigemptyset(&a.sa_mask);
	sigaction(SIGBUS, &a, NULL);
}

/* A shell without job control ignores SIGINT for what it starts beside itself. Who sends it means it all the same, so
 * until a command hears it, it ends the process, as SIGTERM does. */
static void hear_interrupt(void)
{
	struct sigaction a;

	if (sigaction(SIGINT, NULL, &a) == 0 && a.sa_handler == SIG_IGN)
		signal(SIGINT, SIG_DFL);
}

/* The handler serves once: a second Ctrl-C ends the process at once. */
static void handle_signals(void (*handler)(int))
{
	struct sigaction a = { .sa_handler = handler, .sa_flags = (int)(SA_RESTART | SA_RESETHAND) };

	sigemptyset(&a.sa_mask);
	sigaction(SIGINT, &a, NULL);
	sigaction(SIGTERM, &a, NULL);
}

/* One of several ends its steps, never gives one up; who follows waits for rank 0. */
void app_catch_signals(void) { handle_signals(this_rank ? SIG_IGN : several ? only_note : note_signal); }

void app_note_signals(void) { handle_signals(only_note); }

static void note_hangup(int signal)
{
	(void)signal;
	hung_up = 1;
}

void app_catch_hangup(void)
{
	struct sigaction a = { .sa_handler = note_hangup, .sa_flags = SA_RESTART };

	sigemptyset(&a.sa_mask);
	sigaction(SIGHUP, &a, NULL);
}

bool app_hung_up(void)
{
	bool did = hung_up;

	hung_up = 0;
	return did;
}

bool app_signalled(void) { return interrupted; }

bool app_interrupted(void) { return interrupted || metering_over(); }

/* --- all commands --- */

/* How many of the words at argv name this command: 0 for none. */
static int words_matched(const struct command *c, int argc, char **argv)
{
	const char *at = c->name;
	for (int i = 0; i < argc; i++) {
		size_t n = strcspn(at, " ");
		if (strlen(argv[i]) != n || strncmp(at, argv[i], n) != 0)
			return 0;
		if (!at[n])
			return i + 1;
		at += n + 1;
	}
	return 0;
}

const struct command *command_find(int argc, char **argv, int *words)
{
	for (size_t i = 0; command_table[i]; i++)
		if ((*words = words_matched(command_table[i], argc, argv)) > 0)
			return command_table[i];
	return NULL;
}

static int unknown_command(int argc, char **argv)
{
	bool option = argv[0][0] == '-', group = overview_is_group(argv[0]);
	const char *near = option ? NULL : overview_nearest(argc, argv), *space = group && argc > 1 ? " " : "",
		   *second = *space ? argv[1] : "";
	if (!strcmp(argv[0], "download"))
		return app_usage(NULL, "unknown command download, kungfu pull fetches a model or a set of rows");
	if (near)
		return app_usage(NULL, "unknown command %s%s%s, did you mean %s?", argv[0], space, second, near);
	if (*space)
		return app_usage(NULL, "unknown command %s %s, kungfu %s lists its commands", argv[0], second, argv[0]);
	return app_usage(NULL, "unknown %s %s", option ? "option" : "command", argv[0]);
}

/* Results that could not be written are a failure, whatever the command thought. */
static int close_output(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "kungfu: cannot write to standard output: %s\n", strerror(output_errno ? output_errno : errno));
	return status == EXIT_DONE ? EXIT_FAILED : status;
}

static int run_command(const struct command *c, int argc, char **argv)
{
	struct device device;
	struct app app = { .argc = argc, .argv = argv, .device = &device };
	several = ranks_launched(&this_rank) > 1;
	int status = c->instead ? c->instead(&app, &c) : 0;

	if (status == 0)
		status = run_with_options(&app, c);
	log_live_end();
	metering_end(status);
	status = ranks_end(&app, status);
	pool_free(app.pool);
	return status;
}

/* What is asked about the program itself, or no command at all. */
static int answer(int argc, char **argv)
{
	int words;
	bool help = argc > 0 && strcmp(argv[0], "help") == 0;
	const char *word = argc > help ? argv[help] : "--help";
	const struct command *c = help ? command_find(argc - 1, argv + 1, &words) : NULL;
	const char *after = argc > help + 1 ? argv[help + 1] : "--help";
	bool asks = strcmp(after, "--help") == 0 || strcmp(after, "-h") == 0;

	if (c)
		overview_print_help(c);
	else if (strcmp(word, "--version") == 0 || strcmp(word, "version") == 0)
		printf("kungfu " KUNGFU_VERSION "\n");
	else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
		overview_print();
	else if (overview_is_group(word) && asks)
		overview_print_group(word);
	else
		return unknown_command(argc - help, argv + help);
	return EXIT_DONE;
}

/* A standard stream that is closed must not be the next file that is opened, into which messages would go then. Reading
 * or writing it fails as it would. */
static void hold_closed_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
			return;
}

int command_main(int argc, char **argv)
{
	int words, status;
	const struct command *c = command_find(argc - 1, argv + 1, &words);
	hold_closed_streams();
	catch_bus();
	hear_interrupt();
	signal(SIGXFSZ, SIG_IGN); /* a limit of file sizes is a write that fails, told in a sentence */
	if (c)
		status = run_command(c, argc - 1 - words, argv + 1 + words);
	else
		status = answer(argc - 1, argv + 1);
	return close_output(status);
}
