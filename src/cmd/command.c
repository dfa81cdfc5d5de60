/* command: finds the command by its one or two words, and what every command needs before and after its own work.
 *
 * Standard output carries results alone: text, or with --json one object a line. Everything else goes to stderr. */
#include "cmd/command.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"

enum { COLUMNS = 80, NAME_COLUMNS = 11 };

static bool json_only; /* --json: text must not reach stdout */
static volatile sig_atomic_t interrupted;

/* --- output --- */

void app_json(const json_t *j)
{
	char *line = jsonx_line(j);
	fputs(line, stdout);
	fputc('\n', stdout);
	fflush(stdout);
	mem_free(line);
}

void app_print(const char *fmt, ...)
{
	FILE *to = json_only ? stderr : stdout;
	va_list ap;
	va_start(ap, fmt);
	vfprintf(to, fmt, ap);
	va_end(ap);
	fflush(to);
}

int app_fail(const struct err *e)
{
	log_live_end();
	fflush(stdout);
	fprintf(stderr, "kungfu: %s\n", e->msg);
	return EXIT_FAILED;
}

int app_usage(const struct command *c, const char *fmt, ...)
{
	va_list ap;
	fputs("kungfu: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (kungfu %s%s--help says what there is)\n", c ? c->name : "", c ? " " : "");
	return EXIT_USAGE;
}

/* Prints text after `before`, wrapped at spaces, later lines indented as far as the first. */
static void print_wrapped(const char *before, const char *text)
{
	int indent = (int)strlen(before);
	printf("%s", before);
	for (;;) {
		size_t room = (size_t)(COLUMNS - indent), n = strlen(text);
		if (n > room)
			for (n = room; n > 0 && text[n] != ' '; n--)
				;
		if (n == 0)
			n = strlen(text);
		printf("%.*s\n", (int)n, text);
		text += n;
		text += strspn(text, " ");
		if (!*text)
			return;
		printf("%*s", indent, "");
	}
}

static void print_line(void *ctx, const char *line)
{
	(void)ctx;
	printf("%s\n", line);
}

static void print_help(const struct command *c)
{
	char *usage = mem_printf("kungfu %s %s", c->name, c->usage);
	print_wrapped("usage: ", usage);
	mem_free(usage);
	printf("\n");
	print_wrapped("", c->summary);
	printf("\n");
	if (c->opts->type != OPT_TYPE_GROUP)
		printf("Options:\n");
	opt_help(c->opts, print_line, NULL);
	printf("\nExample:\n  %s\n", c->example);
}

/* --- one command --- */

int app_begin(struct app *app, const struct command *c, void *target, struct opt_parse *p)
{
	struct common *common = target;
	struct err e = ERR_INIT;
	int status = -1;
	opt_begin(p, c->opts, target, &e);
	if (opt_args(p, app->argc, app->argv, &e)) {
		status = app_usage(c, "%s", e.msg);
	} else if (common->help) {
		print_help(c);
		status = EXIT_DONE;
	} else if (!(app->kernels = kernels_get(NULL, &e))) {
		status = app_fail(&e);
	}
	if (status >= 0) {
		opt_release(p);
		return status + 1;
	}
	app->json = json_only = common->json;
	app->quiet = common->quiet;
	log_set(common->quiet ? LOG_QUIET : LOG_NORMAL);
	app->pool = pool_new((int)common->threads);
	return 0;
}

static void note_signal(int number)
{
	(void)number;
	interrupted = 1;
}

void app_catch_signals(void)
{
	/* The handler serves once: a second Ctrl-C ends the process at once. */
	struct sigaction a = { .sa_handler = note_signal, .sa_flags = (int)(SA_RESTART | SA_RESETHAND) };
	sigemptyset(&a.sa_mask);
	sigaction(SIGINT, &a, NULL);
	sigaction(SIGTERM, &a, NULL);
}

bool app_interrupted(void) { return interrupted; }

/* --- all commands --- */

static size_t command_count(void)
{
	size_t n = 0;
	while (command_table[n])
		n++;
	return n;
}

static int by_order(const void *a, const void *b)
{
	const struct command *x = *(const struct command *const *)a, *y = *(const struct command *const *)b;
	return x->order != y->order ? x->order - y->order : strcmp(x->name, y->name);
}

static void print_overview(void)
{
	size_t n = command_count();
	const struct command **sorted = mem_array(n + 1, sizeof(*sorted));
	for (size_t i = 0; i < n; i++)
		sorted[i] = command_table[i];
	qsort(sorted, n, sizeof(*sorted), by_order);
	printf("kungfu " KUNGFU_VERSION ": adapts language models to your data, on this machine\n\n");
	for (size_t i = 0; i < n; i++) {
		char *name = mem_printf("  %-*s", NAME_COLUMNS, sorted[i]->name);
		print_wrapped(name, sorted[i]->summary);
		printf("  %*s%s\n", NAME_COLUMNS, "", sorted[i]->example);
		mem_free(name);
	}
	printf("\n\"kungfu COMMAND --help\" lists a command's options.\n");
	mem_free(sorted);
}

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

static const struct command *find_command(int argc, char **argv, int *words)
{
	for (size_t i = 0; command_table[i]; i++)
		if ((*words = words_matched(command_table[i], argc, argv)) > 0)
			return command_table[i];
	return NULL;
}

/* The name that was probably meant: near to the first word or to the first two, or beginning with the first. */
static const char *nearest_command(int argc, char **argv)
{
	size_t n = command_count(), length = strlen(argv[0]);
	const char **names = mem_array(n + 1, sizeof(*names)), *near;
	char *two = mem_printf("%s %s", argv[0], argc > 1 ? argv[1] : "");
	for (size_t i = 0; i < n; i++)
		names[i] = command_table[i]->name;
	near = opt_nearest(two, names, n);
	if (!near)
		near = opt_nearest(argv[0], names, n);
	for (size_t i = 0; i < n && !near; i++)
		if (length > 0 && strncmp(names[i], argv[0], length) == 0)
			near = names[i];
	mem_free(two);
	mem_free(names);
	return near;
}

static int unknown_command(int argc, char **argv)
{
	const char *near = argv[0][0] == '-' ? NULL : nearest_command(argc, argv);
	const char *what = argv[0][0] == '-' ? "option" : "command";
	if (near)
		return app_usage(NULL, "unknown command %s, did you mean %s?", argv[0], near);
	return app_usage(NULL, "unknown %s %s", what, argv[0]);
}

/* Results that could not be written are a failure, whatever the command thought. */
static int close_output(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "kungfu: cannot write to standard output: %s\n", strerror(errno));
	return status == EXIT_DONE ? EXIT_FAILED : status;
}

static int run_command(const struct command *c, int argc, char **argv)
{
	struct app app = { .argc = argc, .argv = argv };
	int status = c->run(&app);
	log_live_end();
	pool_free(app.pool);
	return status;
}

int command_main(int argc, char **argv)
{
	int words, status = EXIT_DONE;
	const char *first = argc > 1 ? argv[1] : "--help";
	const struct command *c = find_command(argc - 1, argv + 1, &words);
	signal(SIGXFSZ, SIG_IGN); /* a limit of file sizes is a write that fails, told in a sentence */
	if (c)
		status = run_command(c, argc - 1 - words, argv + 1 + words);
	else if (strcmp(first, "--version") == 0)
		printf("kungfu " KUNGFU_VERSION "\n");
	else if (strcmp(first, "help") == 0 && (c = find_command(argc - 2, argv + 2, &words)))
		print_help(c);
	else if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0 || strcmp(first, "help") == 0)
		print_overview();
	else
		status = unknown_command(argc - 1, argv + 1);
	return close_output(status);
}
