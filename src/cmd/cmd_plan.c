/* plan: what a command would take. It is that command itself, with its own options, up to the moment before its work
 * (cmd/estimate.h). */
#include <string.h>

#include "base/io.h"
#include "cmd/command.h"
#include "cmd/overview.h"

extern const struct command cmd_plan, cmd_tune;

struct plan {
	struct common common;
};

static const struct opt plan_opts[] = {
	COMMON_OPTS(struct plan, common),
	OPT_END
};

/* Options may stand before the command's name, if they are flags. */
static const struct command *planned_command(struct app *app, int *at, int *words)
{
	*at = 0;
	while (*at < app->argc && app->argv[*at][0] == '-')
		++*at;
	return command_find(app->argc - *at, app->argv + *at, words);
}

/* The name's words are taken out, what stood before them comes after. */
static void take_out(struct app *app, int at, int words)
{
	for (int i = at - 1; i >= 0; i--)
		app->argv[i + words] = app->argv[i];
	app->argc -= words;
	app->argv += words;
}

static bool asks_for_help(const struct app *app)
{
	return app->argc == 0 || !strcmp(app->argv[0], "--help") || !strcmp(app->argv[0], "-h");
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	(void)app;
	(void)options;
	(void)p;
	(void)e;
	return app_usage(&cmd_plan, "a command was wanted, with its arguments");
}

static int instead(struct app *app, const struct command **c)
{
	int at, words;

	*c = planned_command(app, &at, &words);
	if (!*c && asks_for_help(app)) {
		*c = &cmd_plan;
		return 0;
	}
	if (*c && !(*c)->plans)
		return app_usage(&cmd_plan, "%s has no plan: it %s", (*c)->name,
		                 *c == &cmd_plan ? "is one" : "takes next to nothing");
	if (!*c && at < app->argc && !io_exists(app->argv[at])) {
		const char *near = overview_nearest(app->argc - at, app->argv + at);
		return near ? app_usage(&cmd_plan, "%s is no command, did you mean plan %s?", app->argv[at], near) :
		              app_usage(&cmd_plan, "%s is no command, and no model either", app->argv[at]);
	}
	if (*c)
		take_out(app, at, words);
	else
		*c = &cmd_tune; /* `plan MODEL …` is tune's */
	app->plans = true;
	return 0;
}

const struct command cmd_plan = {
	.name = "plan",
	.summary = "what a command would take: memory, operations, time, energy, money, without running it",
	.usage = "COMMAND [its arguments and options]",
	.example = "kungfu plan tune recipe.yaml",
	.brief = "time, memory, cost of it",
	.about = overview_print_planned,
	.order = 45,
	.opts = plan_opts,
	.options_size = sizeof(struct plan),
	.instead = instead,
	.run = run,
};
