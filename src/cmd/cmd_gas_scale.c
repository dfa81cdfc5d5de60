/* gas scale: what a token costs when more of them are made at once. Several streams are decoded beside each other, one token of each in a step, so the
 * weights are read once for all of them; the elasticity d ln C / d ln q of a step's cost C in the streams q says how much of that is won: 1 is nothing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/bench_passes.h"
#include "cmd/books.h"
#include "cmd/gas_numbers.h"
#include "cmd/model_common.h"
#include "cmd/table.h"

extern const struct command cmd_gas_scale;

enum { SCALES = 16, KILO = 1000 };      /* different numbers of streams; costs are of so many tokens */

struct scale {
	struct common common;
	const char *streams, *compute, *out;
	int64_t decode, repetitions;
	struct cache_options cache;
};

static const struct opt scale_opts[] = {
	OPT_STRING("streams", struct scale, streams, "1,2,4,8,16", "LIST", "how many sequences are decoded beside each other: these, one after the other"),
	OPT_INT("decode", struct scale, decode, "32", 1, 1 << 20, "tokens of each sequence"),
	OPT_INT("repetitions", struct scale, repetitions, "3", 3, REPETITIONS_MAX, "of each, after one to warm up"),
	COMPUTE_OPT(struct scale, compute, "auto"),
	CACHE_OPTS(struct scale, cache),
	OPT_STRING("out", struct scale, out, NULL, "FILE", "seconds per 1,000 tokens against streams as SVG"),
	COMMON_OPTS(struct scale, common),
	OPT_END
};

/* Costs of KILO tokens; NAN: not known. */
struct point {
	int streams;
	struct span seconds, joules, rate;     /* rate: tokens a second */
	double opex, capex;
};

struct scaling {
	struct app *app;
	const struct scale *o;
	struct point p[SCALES];
	size_t n;
	struct span in_seconds, in_joules;     /* elasticities */
	char currency[4];
	enum energy_method energy;
};

static int read_streams(struct scaling *s, const char *text, struct err *e)
{
	const char *at = text;
	char *end;

	for (s->n = 0; ; at = end + 1) {
		long q = strtol(at, &end, 10);
		if (end == at || q < 1 || q >= SESSION_ROWS || (*end && *end != ','))
			return err_set(e, "--streams %s: numbers from 1 to %d with commas between them were wanted", text, SESSION_ROWS - 1);
		if (s->n == SCALES || (s->n && q <= s->p[s->n - 1].streams))
			return err_set(e, "--streams %s: at most %d rising numbers were wanted", text, SCALES);
		s->p[s->n++].streams = (int)q;
		if (!*end)
			return 0;
	}
}

/* --- measuring --- */

/* OPEX of what is known; NAN when nothing is. */
static double opex_of(const struct money *m)
{
	const double parts[] = { m->electricity, m->rent, m->people };
	double sum = NAN;

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (!isnan(parts[i]))
			sum = (isnan(sum) ? 0 : sum) + parts[i];
	return sum;
}

static void take_point(struct scaling *s, struct point *p, const struct pass_result *r)
{
	double by = KILO / ((double)r->tokens * r->n);
	struct span pass = span_geometric(r->seconds, (size_t)r->n);

	p->seconds = span_scale(pass, KILO / (double)r->tokens);
	p->rate = (struct span){ KILO / p->seconds.mid, KILO / p->seconds.high, KILO / p->seconds.low };
	p->joules = span_scale((struct span){ r->gas.energy.joules, r->gas.energy.low, r->gas.energy.high }, by);
	p->opex = opex_of(&r->gas.money) * by;
	p->capex = r->gas.money.capex * by;
	s->energy = r->gas.energy.method;
	memcpy(s->currency, r->gas.money.currency, sizeof(s->currency));
}

/* Of a step: its q tokens together. */
static struct span elasticity(const struct scaling *s, bool joules)
{
	double q[SCALES], cost[SCALES];

	for (size_t i = 0; i < s->n; i++) {
		q[i] = s->p[i].streams;
		cost[i] = q[i] * (joules ? s->p[i].joules.mid : s->p[i].seconds.mid);
		if (!(cost[i] > 0))
			return span_exact(NAN);
	}
	return scale_elasticity(q, cost, s->n);
}

static int measure(struct scaling *s, struct model *m, struct err *e)
{
	static struct pass_result r;

	for (size_t i = 0; i < s->n; i++) {
		log_live("decoding %lld tokens in each of %d streams (%zu of %zu)", (long long)s->o->decode, s->p[i].streams, i + 1, s->n);
		if (pass_decode(s->app, m, (int)s->o->decode, s->p[i].streams, cache_types(&s->o->cache), (int)s->o->repetitions, &r, e) < 0)
			return -1;
		take_point(s, &s->p[i], &r);
		books_tick();
	}
	log_live_end();
	s->in_seconds = elasticity(s, false);
	s->in_joules = elasticity(s, true);
	return 0;
}

/* --- before it --- */

static int plan_point(struct scaling *s, struct model *m, int streams, double *seconds, double *bytes, struct err *e)
{
	int n = (int)s->o->decode;
	struct session_size size = { MAX(n, 2), streams > 1 ? streams + 1 : 1, cache_types(&s->o->cache) };
	struct session *session;
	double one, flops;
	size_t work, cache;

	if (session_new(&session, m, NULL, s->app->pool, s->app->kernels, &size, e) < 0)
		return -1;
	int status = session_time(session, streams > 1, streams, 1, n / 2, &one, &flops, e);
	session_bytes(session, &work, &cache);
	session_free(session);
	*seconds += status ? 0 : one * n * ((double)s->o->repetitions + 1);
	*bytes = MAX(*bytes, (double)(work + cache));
	return status;
}

static int plan_scaling(struct scaling *s, struct loaded *l, struct err *e)
{
	struct predicted p;
	double seconds = 0, bytes = 0;
	uint8_t *token = mem_array((size_t)l->model.config.V, 1); /* none is known yet */
	struct model_reads reads = { .token = token, .more_tokens = (double)s->o->decode };

	predict_begin(&p, "gas scale %s", s->app->compute);
	int status = 0;
	for (size_t i = 0; i < s->n && status == 0; i++)
		status = plan_point(s, &l->model, s->p[i].streams, &seconds, &bytes, e);
	predict_phase(&p, "start", loaded_predict(l, &p, &reads, (size_t)bytes, 0, "of the most streams: their activations, keys and values"));
	predict_phase(&p, "decode", seconds);
	mem_free(token);
	return status < 0 ? -1 : planned(s->app, &p, NULL, e);
}

/* --- showing --- */

static void show_table(const struct scaling *s)
{
	static const char *const heads[] = { "streams", "tokens/s", "seconds", "joules", "OPEX", "CAPEX" };
	struct table t = { .columns = ARRAY_LEN(heads), .right = 0x3f };
	struct buf text = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(heads); i++)
		table_cell(&t, "%s", heads[i]);
	for (size_t i = 0; i < s->n; i++) {
		const struct point *p = &s->p[i];
		table_cell(&t, "%d", p->streams);
		span_cell(&t, p->rate);
		span_cell(&t, p->seconds);
		span_cell(&t, p->joules);
		table_cell(&t, isnan(p->opex) ? "-" : "%.3g", p->opex);
		table_cell(&t, isnan(p->capex) ? "-" : "%.3g", p->capex);
	}
	table_write(&text, &t, "");
	app_print("%s", buf_str(&text));
	buf_release(&text);
	table_release(&t);
}

static const char *verdict(struct span s)
{
	if (s.low == s.high)
		return s.mid < 1 ? "economies of scale, of two points without an interval" : "no economies of scale, of two points without an interval";
	return s.high < 1 ? "economies of scale" : s.low > 1 ? "more at once costs more each" : "economies of scale cannot be told from none";
}

static void show_elasticity(const char *unit, struct span s)
{
	char text[64];

	if (isnan(s.mid)) {
		app_print("elasticity in %s: not known\n", unit);
		return;
	}
	span_text(text, s);
	app_print("elasticity in %s: %s, so twice the streams cost %.3g times as much a step: %s\n", unit, text, pow(2, s.mid), verdict(s));
}

static void show(const struct scaling *s)
{
	app_print("costs of 1,000 tokens; %lld tokens in each stream, %s; energy is %s, OPEX and CAPEX in %s\n", (long long)s->o->decode, s->app->compute,
	          energy_method_name(s->energy), s->currency[0] ? s->currency : "money, which is not known");
	show_table(s);
	show_elasticity("seconds", s->in_seconds);
	show_elasticity("joules", s->in_joules);
}

static void put_points(const struct scaling *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct point *p = &s->p[i];
		json_t *j = json_pack("{s:i, s:I}", "streams", p->streams, "decode", (json_int_t)s->o->decode);
		span_put(j, "tokens_per_second", p->rate);
		span_put(j, "seconds_per_1000_tokens", p->seconds);
		span_put(j, "joules_per_1000_tokens", p->joules);
		json_object_set_new(j, "energy_method", json_string(energy_method_name(s->energy)));
		json_object_set_new(j, "opex_per_1000_tokens", jsonx_number(p->opex));
		json_object_set_new(j, "capex_per_1000_tokens", jsonx_number(p->capex));
		app_json(j);
		json_decref(j);
	}
}

static void put_summary(const struct scaling *s, const char *model)
{
	json_t *j = json_pack("{s:s, s:I}", "model", model, "points", (json_int_t)s->n);

	span_put(j, "elasticity_seconds", s->in_seconds);
	span_put(j, "elasticity_joules", s->in_joules);
	json_object_set_new(j, "peak_rss_bytes", json_integer((json_int_t)mem_rss_peak()));
	app_summary(s->app, j);
}

static int draw(const struct scaling *s, struct err *e)
{
	double x[SCALES], y[3][SCALES];

	for (size_t i = 0; i < s->n; i++) {
		x[i] = s->p[i].streams;
		y[0][i] = s->p[i].seconds.mid;
		y[1][i] = s->p[i].seconds.low;
		y[2][i] = s->p[i].seconds.high;
	}
	struct chart_series series = { .name = "measured", .x = x, .y = y[0], .low = y[1], .high = y[2], .n = s->n };
	struct chart c = { .title = "cost of 1,000 tokens", .x_label = "streams", .y_label = "seconds", .x_log = true, .y_log = true,
	                   .series = &series, .n_series = 1 };
	return chart_write(s->o->out, &c, e);
}

/* --- the whole --- */

static int scale_model(struct scaling *s, struct loaded *l, const char *path, struct err *e)
{
	if (model_compute(s->app, &l->model, s->o->compute, PREPARE_GENERATE, e) < 0 || plan_scaling(s, l, e) < 0 || measure(s, &l->model, e) < 0)
		return -1;
	if (s->app->json)
		put_points(s);
	else
		show(s);
	put_summary(s, path);
	return s->o->out ? draw(s, e) : 0;
}

static int scale(struct scaling *s, const char *path, struct err *e)
{
	struct loaded l;

	if (read_streams(s, s->o->streams, e) < 0 || loaded_open(&l, path, NULL, e) < 0)
		return -1;
	int status = scale_model(s, &l, path, e);
	loaded_close(&l);
	return status;
}

static int run(struct app *app)
{
	struct scale o;
	struct opt_parse p;
	struct err e = ERR_INIT;
	int status = model_begin(app, &cmd_gas_scale, &o, &p, 1, "a model");

	if (status)
		return status - 1;
	app_catch_signals();
	struct scaling s = { .app = app, .o = &o };
	status = scale(&s, p.positional[0], &e) < 0 ? app_fail(&e) : EXIT_DONE;
	opt_release(&p);
	return status;
}

const struct command cmd_gas_scale = {
	.name = "gas scale",
	.summary = "what a token costs when several streams are decoded beside each other, measured: economies of scale, with OPEX and CAPEX apart",
	.usage = "MODEL [--streams LIST]",
	.example = "kungfu gas scale model.gguf --streams 1,4,16",
	.brief = "cost per token by batch",
	.plans = true,
	.order = 77,
	.opts = scale_opts,
	.run = run,
};
