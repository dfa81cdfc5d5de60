/* gas declare: what a downloaded model, or a data set, cost before it came here, entered as a run that nobody here saw.
 *
 * Pretraining's arithmetic is 6 N D floating-point operations for N parameters and D tokens (Kaplan et al. 2020: 2
 * forward, 4 backward, attention's own left out). Energy is told only where an efficiency is: --flops-per-joule, with
 * its source; there is no default, because it differs fifty-fold. */
#include "cmd/metering.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"

extern const struct command cmd_gas_declare;

struct declare {
	struct common common;
	double tokens, params, flops, flops_per_joule, joules, human_minutes;
	const char *source;
};

static const struct opt declare_opts[] = {
	OPT_GROUP("What it took"),
	OPT_FLOAT("tokens", struct declare, tokens, NULL, 0, 1e18,
	          "that the model was pretrained on, or that the data has"),
	OPT_FLOAT("params", struct declare, params, NULL, 0, 1e15, "parameters; with --tokens: 6 N D operations"),
	OPT_FLOAT("flops", struct declare, flops, NULL, 0, 1e30, "operations, where the source tells them"),
	OPT_FLOAT("joules", struct declare, joules, NULL, 0, 1e18, "energy, where the source tells it"),
	OPT_FLOAT("flops-per-joule", struct declare, flops_per_joule, NULL, 1e6, 1e15,
	          "efficiency to make energy of operations: an assumption, kept as one"),
	OPT_FLOAT("human-minutes", struct declare, human_minutes, NULL, 0, 1e9, "people's work in it, as labelling"),
	OPT_STRING("source", struct declare, source, NULL, "TEXT", "who says so, of when"),
	COMMON_OPTS(struct declare, common),
	OPT_END
};

static void fill(struct entry *x, const struct declare *o, struct arena *a)
{
	struct gas *g = &x->gas;
	bool from_nd = isnan(o->flops) && !isnan(o->tokens) && !isnan(o->params);

	x->command = "gas declare";
	x->status = "declared";
	x->version = KUNGFU_VERSION;
	x->boot = x->pid_space = NULL;
	x->pid = x->pid_start = -1;
	g->flops = from_nd ? 6 * o->params * o->tokens : o->flops;
	g->human_seconds = o->human_minutes * 60;
	g->energy.joules = !isnan(o->joules) ? o->joules : g->flops / o->flops_per_joule;
	g->energy.low = g->energy.high = g->energy.joules;
	if (!isnan(g->energy.joules))
		g->energy.method = ENERGY_ESTIMATED;
	snprintf(g->energy.source, sizeof(g->energy.source), "%s",
	         isnan(g->energy.joules) ? "" :
	         !isnan(o->joules)       ? "declared" :
	                                   "declared: operations over an assumed efficiency");
	if (isnan(g->energy.joules))
		snprintf(g->energy.reason, sizeof(g->energy.reason), "no energy was declared, and no efficiency");
	x->note = arena_printf(a, "declared%s; source: %s", from_nd ? ", 6 N D operations" : "", o->source);
}

static void price(struct entry *x, const struct common *o, struct err *e)
{
	struct prices p;
	const char *source;

	if (prices_load(&p, o->prices, e) < 0)
		return;
	prices_cost(&p, x->gas.energy.joules, x->gas.energy.low, x->gas.energy.high, NAN, x->gas.human_seconds,
	            &x->gas.money);
	double grams = prices_carbon(&p, &source) * p.pue / 3.6e6;
	x->gas.grams_co2 = x->gas.grams_co2_low = x->gas.grams_co2_high = x->gas.energy.joules * grams;
	prices_release(&p);
}

static int declare(const struct app *app, const struct declare *o, const char *what, struct err *e)
{
	struct arena mem = ARENA_INIT;
	struct ledger *l = NULL;
	struct artefact_use use = { .role = "result", .out = true };
	struct entry x;
	char *path = metering_ledger_path(&o->common), n[120], joules[32];
	int status = path ? ledger_open(&l, path, LEDGER_WRITE, e) :
	                    err_set(e, "neither XDG_STATE_HOME nor HOME is set; --ledger FILE names a ledger");

	if (!status)
		status = artefact_from_path(&use.artefact, l, what, NULL, &mem, e);
	if (!status) {
		entry_init(&x);
		entry_identify(&x, &mem);
		fill(&x, o, &mem);
		price(&x, &o->common, e);
		use.artefact.source = o->source;
		use.artefact.parameters = isnan(o->params) ? -1 : (int64_t)o->params;
		use.artefact.tokens = isnan(o->tokens) ? -1 : (int64_t)o->tokens;
		x.uses = &use;
		x.n_uses = 1;
		status = e->msg[0] ? -1 : ledger_put(l, &x, e);
	}
	if (!status && app->json) {
		json_t *j = entry_json(&x, false);
		app_json(j);
		json_decref(j);
	} else if (!status) {
		log_say("%s is declared: %s, energy %s", what,
		        isnan(x.gas.flops) ? "operations not known" : gas_operations(x.gas.flops, NAN, n),
		        isnan(x.gas.energy.joules) ? "not known" : gas_joules(x.gas.energy.joules, joules));
	}
	ledger_close(l);
	arena_release(&mem);
	mem_free(path);
	return status;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct declare *o = options;

	if (!o->source)
		return app_usage(&cmd_gas_declare, "--source TEXT was wanted: who says so, of when");
	if (isnan(o->flops) && isnan(o->joules) && isnan(o->human_minutes) && (isnan(o->tokens) || isnan(o->params)))
		return app_usage(
			&cmd_gas_declare,
			"what it took was wanted: --tokens and --params, --flops, --joules or --human-minutes");
	return declare(app, o, p->positional[0], e);
}

const struct command cmd_gas_declare = {
	.name = "gas declare",
	.summary = "enter into the ledger what a model or data set cost elsewhere",
	.usage = "MODEL|DATA --source TEXT [--tokens D --params N] [options]",
	.example = "kungfu gas declare m.gguf --flops 1e21 --source x",
	.brief = "a model's pretraining",
	.order = 71,
	.looks = true,
	.opts = declare_opts,
	.options_size = sizeof(struct declare),
	.least = 1, .most = 1, .wanted = "one model, adapter or data set was wanted",
	.run = run,
};
