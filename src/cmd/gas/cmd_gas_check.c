/* gas check: what of energy can be measured on this machine, and whether the ledger is whole. */
#include "cmd/metering.h"

#include <math.h>
#include <unistd.h>

#include "base/env.h"
#include "base/io.h"
#include "base/mem.h"
#include "gas/energy.h"

extern const struct command cmd_gas_check;

struct check {
	struct common common;
	double idle_seconds;
};

static const struct opt check_opts[] = {
	OPT_FLOAT("idle-seconds", struct check, idle_seconds, NULL, 0.5, 3600,
	          "measures for so long what this machine takes doing nothing, and remembers it"),
	COMMON_OPTS(struct check, common), OPT_END
};

struct report { const struct app *app; json_t *sources, *findings; };

static void say_source(void *ctx, const char *name, bool used, const char *what)
{
	struct report *r = ctx;
	json_array_append_new(r->sources, json_pack("{s:s, s:b, s:s}", "name", name, "used", used, "what", what));
	if (!r->app->json)
		app_print("  %-4s %s: %s\n", used ? "yes" : "no", name, what);
}

static void say_finding(void *ctx, const char *finding)
{
	struct report *r = ctx;
	json_array_append_new(r->findings, json_string(finding));
	if (!r->app->json)
		app_print("  %s\n", finding);
}

static void check_sources(struct report *r, const struct check *o)
{
	struct energy_place place = { .root = env_get("KUNGFU_COUNTERS"),
		                      .power_file = o->common.power_file,
		                      .idle_watts = NAN };
	struct energy *e = energy_open(&place);

	if (!r->app->json)
		app_print("sources of energy:\n");
	energy_describe(e, say_source, r);
	energy_close(e);
}

/* Idle power by the counters alone: an estimate of it would only repeat the table. */
static int measure_idle(const struct report *r, const struct check *o, struct err *e)
{
	struct meter_options m = { .place = { .power_file = o->common.power_file, .idle_watts = NAN } };
	struct meter *meter = meter_begin(&m);
	struct gas g;
	struct ledger *l = NULL;
	char *path = metering_ledger_path(&o->common);

	gas_none(&g);
	usleep((useconds_t)(1e6 * fmod(o->idle_seconds, 1)));
	sleep((unsigned)o->idle_seconds);
	meter_read(meter, &g);
	double watts = g.energy.machine_joules / g.seconds;
	int status = !energy_counts_processor(meter_energy(meter)) || isnan(watts) ?
	                     err_set(e, "--idle-seconds: no counter of energy can be read here") :
	                     0;
	if (!status)
		status = path ? ledger_open(&l, path, LEDGER_WRITE, e) :
		                err_set(e, "neither XDG_STATE_HOME nor HOME is set; --ledger FILE names a ledger");
	if (!status)
		status = ledger_set_idle_watts(l, watts, g.energy.source, e);
	if (!status && !r->app->json)
		app_print("idle power: %.3g W by %s\n", watts, g.energy.source);
	meter_end(meter);
	ledger_close(l);
	mem_free(path);
	return status;
}

static int check_ledger(struct report *r, const struct check *o, size_t *findings, struct err *e)
{
	struct ledger *l;
	char *path = metering_ledger_path(&o->common);
	int status = 0;

	if (path && io_exists(path)) {
		status = ledger_open(&l, path, LEDGER_READ, e);
		if (!status) {
			if (!r->app->json)
				app_print("ledger %s:\n", path);
			status = ledger_check(l, say_finding, r, findings, e);
			ledger_close(l);
		}
		if (!status && !*findings && !r->app->json)
			app_print("  whole\n");
	}
	mem_free(path);
	return status;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct check *o = options;
	struct report r = { app, json_array(), json_array() };
	size_t findings = 0;
	int status = 0;

	(void)p;
	check_sources(&r, o);
	if (!isnan(o->idle_seconds))
		status = measure_idle(&r, o, e);
	if (status == 0)
		status = check_ledger(&r, o, &findings, e);
	if (status == 0 && findings)
		status = err_set(e, "the ledger has %zu faults", findings);
	if (app->json) {
		json_t *j = json_pack("{s:O, s:O}", "sources", r.sources, "findings", r.findings);
		app_json(j);
		json_decref(j);
	}
	json_decref(r.sources);
	json_decref(r.findings);
	return status;
}

const struct command cmd_gas_check = {
	.name = "gas check",
	.summary = "which energy counters this machine has, and whether the ledger is whole",
	.usage = "[options]",
	.example = "kungfu gas check",
	.order = 74,
	.looks = true,
	.opts = check_opts,
	.options_size = sizeof(struct check),
	.run = run,
};
