/* plan: what `tune` with the same arguments would need: the dry run of the engine itself, nothing else. */
#include "cmd/tune_common.h"

#include <stdarg.h>
#include <stdio.h>

extern const struct command cmd_plan;

static void print_line(const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	app_print("%s\n", line);
}

static int run(struct app *app)
{
	struct tune tune;
	struct opt_parse p;
	struct err e = ERR_INIT;
	struct trainer *t;
	int status = tune_parse(app, &cmd_plan, &tune, &p, "tune");

	if (status)
		return status - 1;
	if (trainer_open(&t, &tune.recipe, app->pool, app->kernels, &e) < 0) {
		status = app_fail(&e);
	} else {
		json_t *j = plan_json(trainer_plan(t));
		if (app->json)
			app_json(j);
		else
			plan_show(trainer_plan(t), print_line);
		json_decref(j);
		trainer_close(t);
	}
	tune_release(&tune, &p);
	return status;
}

const struct command cmd_plan = {
	.name = "plan",
	.summary = "what a tuning run needs: memory, operations, time, disk, without running it",
	.usage = "tune MODEL --data FILE [options of tune]",
	.example = "kungfu plan tune model.gguf --data train.jsonl",
	.brief = "memory, time, disk needed",
	.order = 45,
	.opts = tune_opts,
	.run = run,
};
