/* plan: what `tune` with the same arguments would need: the dry run of the engine itself, nothing else. */
#include "cmd/tune_common.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/jsonx.h"
#include "gas/meter.h"

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

/* Energy and money of the planned time, by the model of this machine's power and the prices. */
static int add_gas(const struct app *app, const struct tune *tune, json_t *j, double seconds, struct err *e)
{
	struct prices prices;
	struct gas g;

	if (prices_load(&prices, tune->common.prices, e) < 0)
		return -1;
	struct energy *energy = energy_open(NULL);
	gas_none(&g);
	gas_predict(energy, &prices, seconds, seconds * pool_threads(app->pool), &g);
	json_object_set_new(j, "planned_joules", jsonx_number(g.energy.joules));
	json_object_set_new(j, "planned_joules_low", jsonx_number(g.energy.low));
	json_object_set_new(j, "planned_joules_high", jsonx_number(g.energy.high));
	json_object_set_new(j, "planned_money", jsonx_number(g.money.total));
	json_object_set_new(j, "planned_money_low", jsonx_number(g.money.low));
	json_object_set_new(j, "planned_money_high", jsonx_number(g.money.high));
	json_object_set_new(j, "currency", json_string(g.money.currency));
	if (!app->json) {
		char text[200];
		gas_text(&g, text);
		app_print("  %s\n", text);
	}
	energy_close(energy);
	prices_release(&prices);
	return 0;
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
		if (!app->json)
			plan_show(trainer_plan(t), print_line);
		if (add_gas(app, &tune, j, trainer_plan(t)->planned_seconds, &e) < 0)
			status = app_fail(&e);
		else if (app->json)
			app_json(j);
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
