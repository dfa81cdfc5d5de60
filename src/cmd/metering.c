/* metering: one command's meter and its entry in the ledger, `books`, of which there is one a process. The entry is
 * put when the options are known and again when the command ends, with what it came to; one that was given wrong
 * words is taken away again. Phases and requests are spans within the whole. A part has an entry, uses and predictions
 * of its own: they stand in `books` while it runs, and those of the command wait in `outer`. */
#include "cmd/metering.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/env.h"
#include "base/human.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "train/bench_passes.h"

enum { TELL_SECONDS = 2 };
/* Requests are written again and again while a run goes on; more than this only at its end. */
enum { REQUESTS_BYTES = 1 << 16 };
enum { PAST = 4 * FORECAST_LAST };     /* runs of a command, of all its kinds, that predictions learn from */
static const double tick_seconds = 5, look_seconds = 0.1;

static struct {
	bool on, recorded;             /* metered; wanted in a ledger */
	struct meter *meter;
	struct prices prices;
	struct ledger *ledger;         /* NULL: cannot be written */
	struct entry entry;
	struct arena mem;
	struct gas_limit limit, whole; /* as it is now; as --max-gas has it */
	double last_tick, last_look;
	bool over;
	double began;
	bool in_part, fits;
	struct meter_span part;        /* what the part took */
	struct artefact_use *uses;
	size_t n_uses;
	struct ledger_past *past;      /* of the command, read before a plan counts what memory is taken */
	size_t n_past;
	bool predicted;
	struct predicted_spans spans;
	bool wants_requests;
	struct buf requests;           /* their JSON, with commas */
} books, outer;

static struct {
	int processes;                 /* 0: this one alone */
	json_t *gas;                   /* as gas_keep has it, of each of the others */
} ranks;

/* What the other ranks told last. Their seconds are this one's, their memory is not. */
static void add_ranks(struct gas *g)
{
	double seconds = g->seconds, money = g->money.total;
	int64_t peak = g->peak_rss_bytes;
	const json_t *one;
	size_t i;

	json_array_foreach(ranks.gas, i, one)
		gas_add_kept(g, one);
	g->seconds = seconds;
	g->peak_rss_bytes = peak;
	if (money > 0) {
		g->money.low *= g->money.total / money;
		g->money.high *= g->money.total / money;
	}
}

/* What the whole command has taken so far. */
static void read_whole(struct gas *g)
{
	meter_read(books.meter, g);
	add_ranks(g);
}

/* What the command, or the part of it that runs, has taken so far. A part's entry is of this rank alone. */
static void read_meter(struct gas *g)
{
	if (books.in_part)
		meter_read_span(books.meter, &books.part, g);
	else
		read_whole(g);
}

/* --- the beginning --- */

char *metering_ledger_path(const struct common *o)
{
	return o->ledger ? mem_strdup(o->ledger) : ledger_default_path();
}

static char *user_prices(const struct common *o)
{
	const char *config = env_get("XDG_CONFIG_HOME"), *home = env_get("HOME");
	char *path;

	if (o->prices)
		return mem_strdup(o->prices);
	if (!config && !home)
		return NULL;
	path = config ? mem_printf("%s/kungfu/prices.yaml", config) : mem_printf("%s/.config/kungfu/prices.yaml", home);
	if (io_exists(path))
		return path;
	mem_free(path);
	return NULL;
}

static int read_limit(struct gas_limit *l, const struct prices *p, const char *text, struct err *e)
{
	*l = (struct gas_limit){ .seconds = NAN, .joules = NAN, .money = NAN };
	if (!text)
		return 0;
	if (gas_limit_parse(l, text, e) < 0)
		return err_prefix(e, "--max-gas");
	if (!isnan(l->money) && prices_convert(p, l->money, l->currency, &l->money, e) < 0)
		return err_prefix(e, "--max-gas");
	if (!isnan(l->money))
		snprintf(l->currency, sizeof(l->currency), "%s", p->currency);
	return 0;
}

int metering_limit(struct gas_limit *l, const struct common *o, struct err *e)
{
	struct prices p;
	char *path = user_prices(o);
	int status = prices_load(&p, path, e);

	mem_free(path);
	if (status)
		return -1;
	status = read_limit(l, &p, o->max_gas, e);
	prices_release(&p);
	return status;
}

static void stop_recording(const struct err *e)
{
	log_warn("this run is not recorded any more: %s", e->msg);
	ledger_close(books.ledger);
	books.ledger = NULL;
}

static void put(void)
{
	struct err e = ERR_INIT;

	if (!books.ledger)
		return;
	books.entry.uses = books.uses;
	books.entry.n_uses = books.n_uses;
	if (ledger_put(books.ledger, &books.entry, &e) == 0)
		return;
	stop_recording(&e);
}

static void open_ledger(const struct common *o)
{
	struct err e = ERR_INIT;
	char *path = metering_ledger_path(o);

	if (!path)
		err_set(&e, "neither XDG_STATE_HOME nor HOME is set; --ledger FILE names a ledger");
	else
		ledger_open(&books.ledger, path, LEDGER_WRITE, &e);
	if (!books.ledger)
		log_warn("this run is not recorded: %s", e.msg);
	mem_free(path);
}

static const char *words(const struct app *app, const struct command *c)
{
	json_t *list = json_array();

	if (app->plans)
		json_array_append_new(list, json_string(c->name));
	for (int i = 0; i < app->argc; i++)
		json_array_append_new(list, jsonx_path(app->argv[i]));
	char *line = jsonx_line(list);
	const char *kept = arena_strdup(&books.mem, line);
	mem_free(line);
	json_decref(list);
	return kept;
}

static void describe(const struct app *app, const struct command *c)
{
	entry_init(&books.entry);
	entry_identify(&books.entry, &books.mem);
	books.entry.command = app->plans ? "plan" : c->name;
	books.entry.argv = words(app, c);
	books.entry.version = KUNGFU_VERSION;
	books.entry.threads = pool_threads(app->pool);
	books.entry.kernels = app->kernels->name;
}

static void read_past(const char *name)
{
	books.past = arena_array(&books.mem, PAST, sizeof(*books.past));
	books.n_past = ledger_past(books.ledger, &books.entry, name, &books.mem, books.past, PAST);
}

int metering_begin(const struct app *app, const struct command *c, const struct common *o, struct err *e)
{
	books.began = clock_seconds();
	if (c->looks || !strcmp(o->gas, "off"))
		return o->max_gas && !c->looks ? err_set(e, "--max-gas wants the meter, which --gas off turns off") : 0;
	char *path = user_prices(o);
	int status = prices_load(&books.prices, path, e);
	mem_free(path);
	if (status || read_limit(&books.limit, &books.prices, o->max_gas, e) < 0)
		return -1;
	books.whole = books.limit;
	describe(app, c);
	books.on = true;
	books.wants_requests = !strcmp(o->gas, "requests");
	books.recorded = !o->ledger || strcmp(o->ledger, "off") != 0;
	if (books.recorded)
		open_ledger(o);
	struct meter_options m = {
		.place = { .root = env_get("KUNGFU_COUNTERS"),
		           .power_file = o->power_file,
		           .idle_watts = books.ledger ? ledger_idle_watts(books.ledger) : NAN },
		.prices = &books.prices,
		.phases = !strcmp(o->gas, "phases") || !strcmp(o->gas, "requests"),
	};
	books.meter = meter_begin(&m);
	books.entry.processor = energy_processor(meter_energy(books.meter));
	books.began = books.last_tick = books.last_look = clock_seconds();
	put();
	put(); /* takes the memory that later ones want, before a plan counts what is taken */
	if (c->plans && books.ledger)
		read_past(c->name);
	return 0;
}

/* --- what a command tells --- */

static void add_use(const char *role, const char *path, const char *known, bool out)
{
	struct err e = ERR_INIT;
	struct artefact a;

	if (!books.recorded || !path || !strcmp(path, "-"))
		return;
	if (artefact_from_path(&a, books.ledger, path, known, &books.mem, &e) < 0)
		return;
	books.uses = mem_grow(books.uses, books.n_uses + 1, sizeof(*books.uses));
	books.uses[books.n_uses++] = (struct artefact_use){ .role = role, .out = out, .artefact = a };
	put();
}

void metering_in(const char *role, const char *path, const char *known)
{
	add_use(role, path, known && *known ? known : NULL, false);
}
void metering_out(const char *role, const char *path) { add_use(role, path, NULL, true); }

void metering_directory(const char *path)
{
	char whole[PATH_MAX];
	if (books.on && path)
		books.entry.directory = arena_strdup(&books.mem, realpath(path, whole) ? whole : path);
}

void metering_ranks(int processes, json_t *others)
{
	ranks.processes = processes;
	json_decref(ranks.gas);
	ranks.gas = others;
}

void metering_seed(int64_t seed) { books.entry.seed = seed; }

void metering_count(int64_t tokens_in, int64_t tokens_out, int64_t tokens_supervised, double operations, double int_ops)
{
	books.entry.gas.tokens_in = tokens_in;
	books.entry.gas.tokens_out = tokens_out;
	books.entry.gas.tokens_supervised = tokens_supervised;
	books.entry.gas.flops = isnan(int_ops) ? operations : operations - int_ops;
	books.entry.gas.int_ops = int_ops;
}

static const char *kept_json(const json_t *j)
{
	char *line = jsonx_line(j);
	const char *kept = arena_strdup(&books.mem, line);
	mem_free(line);
	return kept;
}

double metering_seconds(void) { return clock_seconds() - books.began; }

static bool is_past(const struct ledger_past *x, const char *kind, bool any_threads)
{
	return !strcmp(x->kind, kind) && (any_threads || x->threads == books.entry.threads);
}

static size_t count_past(const char *kind, bool any_threads)
{
	size_t n = 0;
	for (size_t i = 0; i < books.n_past; i++)
		n += is_past(&books.past[i], kind, any_threads);
	return MIN(n, (size_t)FORECAST_LAST);
}

/* Those of its kind, oldest first; with as many threads, if they are enough to go by, else with any. */
static void past_of(const char *kind, struct predict_past *out)
{
	bool any = count_past(kind, false) < FORECAST_ENOUGH;

	out->n = count_past(kind, any);
	for (size_t i = 0, at = out->n; at > 0; i++) {
		const struct ledger_past *x = &books.past[i];
		if (!is_past(x, kind, any))
			continue;
		at--;
		out->seconds[at] = (struct forecast_past){ x->planned_seconds, x->seconds, x->sigma };
		out->bytes[at] = (struct forecast_past){ x->planned_bytes, x->bytes, 0 };
	}
}

/* Of the newest of its kind whose joules were counted, and of those before it by the same counters: the whole
 * machine's, of which the plan takes its own share. */
static const struct ledger_past *counted_of(const char *kind, bool any, struct predict_past *out)
{
	const struct ledger_past *newest = NULL;
	size_t n = 0;

	for (size_t i = 0; i < books.n_past && n < FORECAST_LAST; i++) {
		const struct ledger_past *x = &books.past[i];
		if (!is_past(x, kind, any) || !(x->joules > 0 && x->planned_seconds > 0) ||
		    (newest && strcmp(x->energy_source, newest->energy_source)))
			continue;
		newest = newest ? newest : x;
		out->joules[n++] = (struct forecast_past){ x->planned_seconds,
			                                   x->joules / (x->share > 0 ? x->share : 1), x->sigma };
	}
	out->n_joules = n;
	return newest;
}

/* The load that is expected beside others who are as busy as they were while it was planned; and where they are half as
 * busy, and half as busy again. */
struct expected { struct energy_load mid, few, many; };

/* Of its threads those that past runs of its kind kept busy; where there were none all of them, or half. */
static struct span busy_threads(const char *kind)
{
	double threads = (double)books.entry.threads, sum = 0, n = 0;
	struct span s = { threads, fmax(1, threads / 2), threads };

	for (size_t i = 0; i < books.n_past; i++) {
		const struct ledger_past *x = &books.past[i];
		double busy = x->cpu_seconds / x->seconds;
		if (!is_past(x, kind, false) || !(busy > 0))
			continue;
		sum += busy;
		s.low = n++ > 0 ? fmin(s.low, 0.9 * busy) : 0.9 * busy;
	}
	if (n > 0)
		s.mid = sum / n;
	return s;
}

static void expect(const struct predicted *p, double seconds, struct expected *x)
{
	const struct energy *e = meter_energy(books.meter);
	struct span threads = busy_threads(p->kind);
	double others, doubt, open = p->phase[0].amount;

	meter_others(books.meter, &others, &doubt);
	x->mid = energy_expect(e, seconds, open, threads.mid, others);
	x->few = energy_expect(e, seconds, open, threads.high, fmax(0, others / 2 - doubt));
	x->many = energy_expect(e, seconds, open, threads.low, 1.5 * others + doubt);
	if (isnan(others))
		x->few = x->many = x->mid;
}

/* Energy from runs whose joules were counted, with as many threads if there was one; false: there was none, and the
 * model is what there is. */
static bool learn_energy(const struct predicted *p, const struct predicted_spans *s, const struct expected *x,
                         struct energy_total *out)
{
	struct predict_past past = { 0 };
	struct span joules;
	const struct ledger_past *like = counted_of(p->kind, false, &past);

	like = like ? like : counted_of(p->kind, true, &past);
	if (!like || !predict_joules(p, s, &past, &joules))
		return false;
	double share = energy_share(&x->mid);
	*out = (struct energy_total){ joules.mid * share,
		                      joules.low * energy_share(&x->many),
		                      joules.high * energy_share(&x->few),
		                      .idle = NAN,
		                      .marginal = NAN,
		                      .machine_joules = joules.mid,
		                      .share = share };
	out->method = strcmp(like->energy_method, "mixed") ? ENERGY_MEASURED : ENERGY_MIXED;
	snprintf(out->source, sizeof(out->source), "%zu past runs: %.90s", past.n_joules, like->energy_source);
	return true;
}

/* How far an end of both intervals may be off, as a factor: the power's is the model's, or that of what counters
 * covered; the time's comes on top. */
static double both(double power, double time)
{
	return exp(hypot(log(power), log(time)));
}

static void spread_by_others(struct gas *g, const struct expected *x)
{
	struct gas few, many;

	gas_predict(meter_energy(books.meter), &books.prices, &x->few, NULL, &few);
	gas_predict(meter_energy(books.meter), &books.prices, &x->many, NULL, &many);
	g->energy.low = fmin(g->energy.low, many.energy.low);
	g->energy.high = fmax(g->energy.high, few.energy.high);
	g->money.low = fmin(g->money.low, many.money.low);
	g->money.high = fmax(g->money.high, few.money.high);
}

static void spread_by_time(struct gas *g, struct span t)
{
	double j = g->energy.joules, m = g->money.total;

	if (g->energy.method == ENERGY_ESTIMATED) { /* what was learnt has the time's in it */
		g->energy.low = j / both(j / g->energy.low, t.mid / t.low);
		g->energy.high = j * both(g->energy.high / j, t.high / t.mid);
	}
	g->money.low = m / both(m / g->money.low, t.mid / t.low);
	g->money.high = m * both(g->money.high / m, t.high / t.mid);
}

static void put_gas(json_t *plan, const struct gas *g)
{
	json_object_set_new(plan, "planned_joules", jsonx_number(g->energy.joules));
	json_object_set_new(plan, "planned_joules_low", jsonx_number(g->energy.low));
	json_object_set_new(plan, "planned_joules_high", jsonx_number(g->energy.high));
	json_object_set_new(plan, "planned_energy_method", json_string(energy_method_name(g->energy.method)));
	json_object_set_new(plan, "planned_energy_source",
	                    g->energy.source[0] ? json_string(g->energy.source) : json_null());
	json_object_set_new(plan, "planned_money", jsonx_number(g->money.total));
	json_object_set_new(plan, "planned_money_low", jsonx_number(g->money.low));
	json_object_set_new(plan, "planned_money_high", jsonx_number(g->money.high));
	unsigned parts = isnan(g->money.total) ? 0 : money_parts(&g->money);
	char is[120];
	money_parts_text(parts, parts, is);
	json_object_set_new(plan, "planned_money_is", parts ? json_string(is) : json_null());
	json_object_set_new(plan, "currency", json_string(g->money.currency));
}

/* Each of several ranks does as much. */
static void multiply(struct gas *g, double processes)
{
	double *const sums[] = { &g->energy.joules, &g->energy.low, &g->energy.high, &g->money.total, &g->money.low,
		                 &g->money.high, &g->money.electricity, &g->money.rent, &g->money.people,
		                 &g->money.capex, &g->grams_co2, &g->grams_co2_low, &g->grams_co2_high };

	for (size_t i = 0; i < ARRAY_LEN(sums); i++)
		*sums[i] *= processes;
}

/* Is there room for a part beside what the command has taken already? */
static int check_rest(const struct gas *planned, struct err *e)
{
	struct gas both;
	char why[160];

	gas_none(&both);
	read_whole(&both);
	both.seconds += planned->seconds;
	both.energy.joules += planned->energy.joules;
	both.money.total += planned->money.total;
	if (gas_limit_exceeded(&books.limit, &both, why))
		return err_set(e, "--max-gas: with what was used until now it would be %s", why);
	return 0;
}

double metering_slower(const struct predicted *p)
{
	struct predict_past past;
	struct predicted_spans s;

	past_of(p->kind, &past);
	predict_spans(p, &past, &s);
	return books.on && p->seconds > 0 ? s.seconds.mid / p->seconds : 1;
}

int metering_plan(const struct predicted *p, json_t *facts, json_t **plan, struct predicted_spans *s, struct gas *gas,
               struct err *e)
{
	struct predict_past past;
	char why[160];

	past_of(p->kind, &past);
	predict_spans(p, &past, s);
	*plan = json_object();
	predict_json(*plan, p, s);
	json_object_update(*plan, facts);
	json_decref(facts);
	gas_none(gas);
	if (!books.on)
		return 0;
	books.predicted = p->kind[0] != 0;
	books.spans = *s;
	struct energy_total learnt;
	struct expected x;
	expect(p, s->seconds.mid, &x);
	bool knows = learn_energy(p, s, &x, &learnt);
	gas_predict(meter_energy(books.meter), &books.prices, &x.mid, knows ? &learnt : NULL, gas);
	if (!knows)
		spread_by_others(gas, &x);
	spread_by_time(gas, s->seconds);
	if (!knows) /* else it was learnt from as many */
		multiply(gas, MAX(ranks.processes, 1));
	s->joules = books.spans.joules = (struct span){ gas->energy.joules, gas->energy.low, gas->energy.high };
	put_gas(*plan, gas);
	books.entry.prediction = kept_json(*plan);
	put();
	if (gas_limit_exceeded(&books.limit, gas, why))
		return err_set(e, "--max-gas: the plan wants %s; nothing was run", why);
	return books.in_part && books.fits ? check_rest(gas, e) : 0;
}

void metering_phase(const char *name)
{
	if (books.on)
		meter_phase(books.meter, name);
}

void metering_open_span(struct meter_span *s)
{
	if (books.on)
		meter_open_span(books.meter, s);
}

void metering_read_span(const struct meter_span *s, struct gas *g)
{
	gas_none(g);
	if (books.on)
		meter_read_span(books.meter, s, g);
}

static struct meter_span watched;

static void watch_begin(void *ctx)
{
	(void)ctx;
	metering_open_span(&watched);
}

static void watch_end(void *ctx, struct gas *gas)
{
	(void)ctx;
	metering_read_span(&watched, gas);
}

const struct bench_watch *metering_watch(void)
{
	static const struct bench_watch watch = { .begin = watch_begin, .end = watch_end, .stop = app_interrupted };
	return &watch;
}

/* --- a part --- */

/* A run that the ledger does not know keeps its entry in its own directory. */
static void keep_beside(void)
{
	struct err e = ERR_INIT;

	if (!books.recorded || books.ledger || !books.entry.directory || !io_is_dir(books.entry.directory))
		return;
	books.entry.uses = books.uses;
	books.entry.n_uses = books.n_uses;
	char *path = io_join(books.entry.directory, "gas.json");
	json_t *j = entry_json(&books.entry, true);
	if (jsonx_write_file(path, j, &e) < 0)
		log_warn("%s", e.msg);
	else
		log_say("its entry is kept: kungfu gas import %s adds it", path);
	json_decref(j);
	mem_free(path);
}

/* How it ended, and what it took. */
static void put_ended(int status)
{
	static const char *const names[] = {
		[EXIT_DONE] = "finished", [EXIT_FAILED] = "failed", [EXIT_USAGE] = "failed", [EXIT_STOPPED] = "stopped"
	};
	char now[32];

	clock_iso(now);
	books.entry.status = names[status];
	books.entry.exit_status = status;
	books.entry.ended = arena_strdup(&books.mem, now);
	read_meter(&books.entry.gas);
}

/* The command's own entry, while a part of it runs. */
static void put_whole(void)
{
	struct entry part = books.entry;
	struct artefact_use *uses = books.uses;
	size_t n = books.n_uses;

	books.entry = outer.entry;
	books.uses = outer.uses;
	books.n_uses = outer.n_uses;
	read_whole(&books.entry.gas);
	put();
	outer.entry.gas = books.entry.gas;
	books.entry = part;
	books.uses = uses;
	books.n_uses = n;
}

static void describe_part(const char *name, const char *argv)
{
	entry_init(&books.entry);
	entry_identify(&books.entry, &books.mem);
	books.entry.parent = outer.entry.id;
	books.entry.command = name;
	books.entry.argv = argv ? arena_strdup(&books.mem, argv) : NULL;
	books.entry.version = outer.entry.version;
	books.entry.threads = outer.entry.threads;
	books.entry.kernels = outer.entry.kernels;
	books.entry.processor = outer.entry.processor;
}

void metering_part_begin(const char *name, const char *argv, bool fits)
{
	if (books.in_part)
		BUG("a part of a part of a run");
	outer = books;
	books.in_part = true;
	books.fits = fits;
	books.began = clock_seconds();
	books.uses = NULL;
	books.n_uses = books.n_past = 0;
	books.predicted = false;
	if (!books.on)
		return;
	meter_open_span(books.meter, &books.part);
	describe_part(name, argv);
	put();
	if (books.ledger)
		read_past(name);
}

void metering_part_gas(struct gas *g)
{
	if (books.on)
		read_meter(g);
	else
		g->seconds = metering_seconds();
}

/* What belongs to the command alone comes back; what both share stays as the part left it. */
static void end_part(void)
{
	books.in_part = false;
	books.entry = outer.entry;
	mem_free(books.uses);
	books.uses = outer.uses;
	books.n_uses = outer.n_uses;
	books.predicted = outer.predicted;
	books.spans = outer.spans;
	books.past = outer.past;
	books.n_past = outer.n_past;
	books.began = outer.began;
}

void metering_part_end(int status)
{
	struct err ignored = ERR_INIT;

	if (books.on && status == EXIT_USAGE && books.ledger) {
		ledger_remove(books.ledger, books.entry.id, &ignored);
	} else if (books.on) {
		put_ended(status);
		put();
		keep_beside();
	}
	end_part();
}

/* --- requests --- */

struct metering_request { struct meter_span span; };

struct metering_request *metering_request_open(void)
{
	if (!books.wants_requests)
		return NULL;
	struct metering_request *r = mem_alloc(sizeof(*r));
	meter_open_span(books.meter, &r->span);
	return r;
}

static void keep_request(json_t *j, int64_t number)
{
	json_object_set_new(j, "request", json_integer(number));
	char *line = jsonx_line(j);
	buf_addf(&books.requests, "%s%s", books.requests.len ? ", " : "", line);
	mem_free(line);
}

void metering_request_close(struct metering_request *r, const struct request_counts *c, json_t *line)
{
	struct gas g;

	if (!r)
		return;
	gas_none(&g);
	meter_read_span(books.meter, &r->span, &g);
	gas_share(&g, c->share);
	g.tokens_in = c->tokens_in;
	g.tokens_out = c->tokens_out;
	g.flops = c->flops;
	g.int_ops = c->int_ops;
	json_t *j = gas_request_json(&g);
	if (line)
		json_object_set_new(line, "gas", json_copy(j));
	keep_request(j, c->number);
	json_decref(j);
	mem_free(r);
}

static void put_requests(void)
{
	if (books.requests.len)
		books.entry.requests = arena_printf(&books.mem, "[%s]", buf_str(&books.requests));
}

/* --- what a server answered --- */

bool metering_records(void) { return books.ledger; }

bool metering_served(void *ctx, const struct served *rows, size_t n)
{
	struct err e = ERR_INIT;
	(void)ctx;

	if (!books.ledger)
		return false;
	if (ledger_put_served(books.ledger, books.entry.id, rows, n, &e) == 0)
		return true;
	stop_recording(&e);
	return false;
}

int metering_each_served(void (*each)(void *ctx, const struct served *s), void *ctx, struct err *e)
{
	return books.ledger ? ledger_each_served(books.ledger, "", each, ctx, e) : 0;
}

int metering_convert(double amount, const char *currency, double *out, struct err *e)
{
	return prices_convert(&books.prices, amount, currency, out, e);
}

bool metering_knows_energy(void)
{
	struct gas g;

	gas_none(&g);
	if (books.on)
		meter_read(books.meter, &g);
	return isfinite(g.energy.joules);
}

/* --- while it goes on --- */

json_t *metering_so_far(void)
{
	struct gas g;

	gas_none(&g);
	g.seconds = metering_seconds();
	if (!books.on)
		return gas_keep(&g);
	books.last_tick = clock_seconds();
	read_meter(&books.entry.gas);
	if (books.requests.len < REQUESTS_BYTES)
		put_requests();
	put();
	return gas_keep(&books.entry.gas);
}

bool metering_tick(void)
{
	if (!books.on || clock_seconds() - books.last_tick < tick_seconds)
		return false;
	json_decref(metering_so_far());
	if (books.in_part)
		put_whole();
	return true;
}

json_t *metering_whole_so_far(void)
{
	struct gas g;

	gas_none(&g);
	if (books.on)
		read_whole(&g);
	else
		g.seconds = clock_seconds() - (books.in_part ? outer.began : books.began);
	return gas_keep(&g);
}

static double larger(double share, double used, double limit)
{
	double of = used / limit; /* NAN where either is not known */

	return of > share ? of : share;
}

double metering_share_of(const struct gas *g)
{
	const struct gas_limit *l = &books.limit;

	return larger(larger(larger(0, g->seconds, l->seconds), g->energy.joules, l->joules), g->money.total, l->money);
}

double metering_share(const struct gas *before)
{
	static double share, looked = -INFINITY;
	struct gas g;

	if (!books.on || clock_seconds() - looked < look_seconds)
		return books.on ? share : 0;
	looked = clock_seconds();
	gas_none(&g);
	read_whole(&g);
	if (before) {
		g.seconds += isnan(before->seconds) ? 0 : before->seconds;
		g.energy.joules += isnan(before->energy.joules) ? 0 : before->energy.joules;
		g.money.total += isnan(before->money.total) ? 0 : before->money.total;
	}
	return share = metering_share_of(&g);
}

int metering_set_limit(const char *text, struct err *e)
{
	return books.on ? read_limit(&books.limit, &books.prices, text, e) : 0;
}

bool metering_over(void)
{
	double now = clock_seconds();
	struct gas g;
	char why[160];

	bool limited = !isnan(books.limit.seconds) || !isnan(books.limit.joules) || !isnan(books.limit.money);

	if (!books.on || !limited || books.over || now - books.last_look < look_seconds)
		return books.over;
	books.last_look = now;
	gas_none(&g);
	read_whole(&g);
	books.over = gas_limit_exceeded(&books.limit, &g, why);
	if (books.over)
		log_warn("--max-gas is used up: %s", why);
	return books.over;
}

void metering_keep_back(double share)
{
	books.limit.seconds = books.whole.seconds * (1 - share);
	books.limit.joules = books.whole.joules * (1 - share);
	books.limit.money = books.whole.money * (1 - share);
	books.over = false;
}

/* An answer's words are no metrics. */
static void keep_metrics(const json_t *summary)
{
	static const char *const words[] = { "text", "ids", "logprobs" };
	json_t *kept = json_copy((json_t *)summary);

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		json_object_del(kept, words[i]);
	books.entry.metrics = kept_json(kept);
	json_decref(kept);
}

void metering_summary(json_t *summary)
{
	char compared[400];

	if (!books.on)
		return;
	read_meter(&books.entry.gas);
	gas_json(summary, &books.entry.gas);
	if (books.predicted)
		predict_compare(&books.spans, books.entry.gas.seconds, (double)books.entry.gas.peak_rss_bytes,
		                books.entry.gas.energy.joules, compared, summary);
	keep_metrics(summary);
}

void metering_text(char out[400])
{
	out[0] = 0;
	if (!books.on)
		return;
	read_meter(&books.entry.gas);
	gas_text(&books.entry.gas, out);
}

const char *metering_live(void)
{
	static char text[440];
	static double looked = -INFINITY;
	char gas[400], memory[32];
	double now = clock_seconds();

	if (now - looked < 1)
		return text;
	looked = now;
	metering_text(gas);
	gas[strcspn(gas, "(,")] = 0; /* the energy alone, without its interval */
	snprintf(text, sizeof(text), "%s%s%s", human_bytes(mem_rss(), memory), gas[0] ? "  " : "", gas);
	return text;
}

void metering_error(const char *sentence)
{
	if (books.on)
		books.entry.error = arena_strdup(&books.mem, sentence);
}

/* --- the end --- */

/* What was predicted beside what it took, where that is long enough to be of interest. */
static void say_compared(void)
{
	char compared[400];

	if (books.entry.gas.seconds < TELL_SECONDS)
		return;
	predict_compare(&books.spans, books.entry.gas.seconds, (double)books.entry.gas.peak_rss_bytes,
	                books.entry.gas.energy.joules, compared, NULL);
	log_say("%s", compared);
}

static void close_entry(int status)
{
	struct err ignored = ERR_INIT;

	put_ended(status);
	json_t *phases = meter_phases(books.meter);
	if (json_array_size(phases))
		books.entry.phases = kept_json(phases);
	put_requests();
	json_decref(phases);
	if (status == EXIT_DONE && books.predicted && strcmp(books.entry.command, "plan") != 0)
		say_compared();
	if (status == EXIT_USAGE) { /* nothing was run */
		if (books.ledger)
			ledger_remove(books.ledger, books.entry.id, &ignored);
		return;
	}
	put();
	keep_beside();
}

void metering_end(int status)
{
	stop_heard(); /* what an interrupted command took is recorded too */
	if (books.on)
		close_entry(status);
	books.on = false;
	meter_end(books.meter); /* the entry's words of energy were the meter's */
	books.meter = NULL;
	ledger_close(books.ledger);
	prices_release(&books.prices);
	mem_free(books.uses);
	buf_release(&books.requests);
	arena_release(&books.mem);
}
