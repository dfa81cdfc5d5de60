/* gas scale: what a token costs when more of something share what a step takes: sequences decoded beside each other or
 * adapters of one model (the weights are read once for all), rows of a training step (gas_scale_ways.c). The elasticity
 * d ln C / d ln q of a step's cost C in their number q says how much of that is won: 1 is nothing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/human.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "cmd/gas/gas_numbers.h"
#include "cmd/gas/gas_scale.h"
#include "cmd/text_table.h"

extern const struct command cmd_gas_scale;

enum { SCALES = 16, KILO = 1000 };      /* different numbers; costs are of so many tokens */

static const struct opt scale_opts[] = {
	OPT_CHOICE("over", struct scale_options, over, "streams", SCALE_WAYS,
	           "what there is more of: sequences decoded beside each other; rows of a training step (LoRA); "
	           "adapters of one model, each with a sequence. "
	           "Over uses: kungfu gas show and gas compare --uses"),
	OPT_STRING("at", struct scale_options, at, NULL, "LIST",
	           "these many, one after the other (default: 1,2,4,8,16; of rows 128,256,512,1024,2048)"),
	OPT_INT("repetitions", struct scale_options, repetitions, "3", 3, REPETITIONS_MAX,
	        "of each, after one to warm up"),
	COMPUTE_OPT(struct scale_options, compute, "auto"),
	OPT_STRING("out", struct scale_options, out, NULL, "FILE.svg",
	           "seconds per 1,000 tokens against their number as SVG"),
	OPT_GROUP("Decoding: streams, adapters"),
	OPT_INT("decode", struct scale_options, decode, "32", 1, 1 << 20, "tokens of each sequence"),
	OPT_INT("lora-r", struct scale_options, lora_r, "8", 1, 4096, "rank of each adapter, which is on all linears"),
	CACHE_OPTS(struct scale_options, cache),
	OPT_GROUP("Training: batch"),
	OPT_INT("max-length", struct scale_options, max_length, "128", 2, 1 << 20,
	        "tokens of a document; rows are multiples of it"),
	COMMON_OPTS(struct scale_options, common),
	OPT_END
};

/* Costs of KILO tokens; NAN: not known. */
struct point {
	int q;
	struct span seconds, joules, rate;     /* rate: tokens a second */
	double opex, capex;
	size_t bytes;                          /* of the process, everything open */
};

struct scaling {
	struct scale_work work;
	struct point p[SCALES];
	size_t n;
	struct span in_seconds, in_joules;     /* elasticities */
	char currency[4];
	enum energy_method energy;
};

static int read_numbers(struct scaling *s, struct err *e)
{
	const struct scale_options *o = s->work.o;
	const char *text = o->at ? o->at : s->work.way->at, *at = text;
	char *end;

	for (s->n = 0; ; at = end + 1) {
		long q = strtol(at, &end, 10);
		if (end == at || q < 1 || q > s->work.way->most || (*end && *end != ','))
			return err_set(e, "--at %s: numbers from 1 to %d with commas between them were wanted", text,
			               s->work.way->most);
		if (s->n == SCALES || (s->n && q <= s->p[s->n - 1].q))
			return err_set(e, "--at %s: at most %d rising numbers were wanted", text, SCALES);
		if (s->work.way->wrong && s->work.way->wrong(o, (int)q))
			return err_set(e, "--at %ld: %s", q, s->work.way->wrong(o, (int)q));
		s->p[s->n++].q = (int)q;
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

static void take_point(struct scaling *s, struct point *p, const struct bench_result *r)
{
	double by = KILO / ((double)r->tokens * r->n);
	struct span pass = span_geometric(r->seconds, (size_t)r->n);

	p->seconds = span_scale(pass, KILO / (double)r->tokens);
	p->rate = (struct span){ KILO / p->seconds.mid, KILO / p->seconds.high, KILO / p->seconds.low };
	p->joules = span_scale((struct span){ r->gas.energy.joules, r->gas.energy.low, r->gas.energy.high }, by);
	p->opex = opex_of(&r->gas.money) * by;
	p->capex = r->gas.money.capex * by;
	p->bytes = r->used_bytes;
	s->energy = r->gas.energy.method;
	memcpy(s->currency, r->gas.money.currency, sizeof(s->currency));
}

/* Of a step: its q sequences or rows together. */
static struct span elasticity(const struct scaling *s, bool joules)
{
	double q[SCALES], cost[SCALES];

	for (size_t i = 0; i < s->n; i++) {
		q[i] = s->p[i].q;
		cost[i] = q[i] * (joules ? s->p[i].joules.mid : s->p[i].seconds.mid);
		if (!(cost[i] > 0))
			return span_exact(NAN);
	}
	return scale_elasticity(q, cost, s->n);
}

static int measure(struct scaling *s, struct err *e)
{
	static struct bench_result r;
	char what[160];

	s->work.way->describe(&s->work, what, sizeof(what));
	for (size_t i = 0; i < s->n; i++) {
		const char *axis = s->work.way->axis;
		log_live("%d %.*s: %s (%zu of %zu)", s->p[i].q, (int)strlen(axis) - (s->p[i].q == 1), axis, what, i + 1,
		         s->n);
		if (s->work.way->pass(&s->work, s->p[i].q, &r, e) < 0)
			return -1;
		take_point(s, &s->p[i], &r);
		metering_tick();
	}
	log_live_end();
	s->in_seconds = elasticity(s, false);
	s->in_joules = elasticity(s, true);
	return 0;
}

/* --- before it --- */

static int plan_scaling(struct scaling *s, struct err *e)
{
	struct scale_work *w = &s->work;
	struct predicted p;
	double seconds = 0, bytes = 0;
	int status = 0;

	predict_begin(&p, "gas scale %s %s", w->way->name, w->way->trains ? w->o->compute : w->app->compute);
	for (size_t i = 0; i < s->n && status == 0; i++) {
		double one = 0, most = 0;
		status = w->way->plan(w, s->p[i].q, &one, &most, e);
		seconds += one;
		bytes = MAX(bytes, most);
	}
	if (w->way->trains) {
		predict_part(&p, "work", bytes, "of the most rows, the program with it");
	} else {
		uint8_t *token = mem_array((size_t)w->l.model.config.V, 1); /* none is known yet */
		struct model_reads reads = { .token = token, .more_tokens = (double)w->o->decode };
		predict_phase(&p, "start",
		              loaded_predict(&w->l, &p, &reads, (size_t)bytes, 0,
		                             "of the most at once: activations, keys and values, adapters"));
		mem_free(token);
	}
	predict_phase(&p, w->way->trains ? "train" : "decode", seconds);
	return status < 0 ? -1 : planned(w->app, &p, NULL, e);
}

/* --- showing --- */

static void show_table(const struct scaling *s)
{
	const char *const heads[] = { s->work.way->axis, "tokens/s", "seconds", "joules", "OPEX", "CAPEX", "memory" };
	static const int narrow[] = { 5, 4, 6, -1 };
	struct table t = { .columns = ARRAY_LEN(heads), .right = 0x7f, .drop = narrow };
	struct buf text = BUF_INIT;
	char bytes[32];

	for (size_t i = 0; i < ARRAY_LEN(heads); i++)
		table_cell(&t, "%s", heads[i]);
	for (size_t i = 0; i < s->n; i++) {
		const struct point *p = &s->p[i];
		table_cell(&t, "%d", p->q);
		span_cell(&t, p->rate);
		span_unit_cell(&t, p->seconds, "seconds");
		span_unit_cell(&t, p->joules, "joules");
		amount_cell(&t, p->opex, s->currency);
		amount_cell(&t, p->capex, s->currency);
		table_cell(&t, "%s", human_bytes(p->bytes, bytes));
	}
	table_write(&text, &t, "");
	app_print("%s", buf_str(&text));
	buf_release(&text);
	table_release(&t);
}

static const char *verdict(struct span s)
{
	if (s.low == s.high)
		return s.mid < 1 ? "economies of scale, of two points without an interval" :
		                   "no economies of scale, of two points without an interval";
	return s.high < 1 ? "economies of scale" :
	       s.low > 1  ? "more at once costs more each" :
	                    "economies of scale cannot be told from none";
}

static void show_elasticity(const char *axis, const char *unit, struct span s)
{
	char text[96], times[32];

	if (isnan(s.mid)) {
		app_print("elasticity in %s: not known\n", unit);
		return;
	}
	span_text(text, s);
	app_print("elasticity in %s: %s, so twice the %s cost %s times as much a step: %s\n", unit, text, axis,
	          digits_text(pow(2, s.mid), times), verdict(s));
}

/* Adapters in processes of their own, each with a model: the memory of one, so often, and the cost of one, as they take
 * turns on this machine. */
static bool apart(const struct scaling *s, const struct point **one, const struct point **most)
{
	*one = &s->p[0];
	*most = &s->p[s->n - 1];
	return s->work.way->has_adapters && s->n > 1 && (*one)->q == 1;
}

static void show_apart(const struct scaling *s)
{
	const struct point *one, *most;
	char all[32], each[32], seconds[2][32];

	if (!apart(s, &one, &most))
		return;
	human_bytes((size_t)most->q * one->bytes, all);
	app_print("%d processes with a model each would take %s instead of %s, and in turns %s s for 1,000 tokens "
	          "instead of %s\n",
	          most->q, all, human_bytes(most->bytes, each), digits_text(one->seconds.mid, seconds[0]),
	          digits_text(most->seconds.mid, seconds[1]));
}

static void show(const struct scaling *s)
{
	const struct scale_way *way = s->work.way;
	char what[160];

	way->describe(&s->work, what, sizeof(what));
	app_print("costs of 1,000 tokens; %s, %s; energy is %s, OPEX and CAPEX in %s\n", what, s->work.app->compute,
	          energy_method_name(s->energy), s->currency[0] ? s->currency : "money, which is not known");
	show_table(s);
	show_elasticity(way->axis, "seconds", s->in_seconds);
	show_elasticity(way->axis, "joules", s->in_joules);
	show_apart(s);
}

static void put_points(const struct scaling *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct point *p = &s->p[i];
		json_t *j = json_pack("{s:i}", s->work.way->axis, p->q);
		if (s->work.way->trains)
			json_object_set_new(j, "max_length", json_integer((json_int_t)s->work.o->max_length));
		else
			json_object_set_new(j, "decode", json_integer((json_int_t)s->work.o->decode));
		span_put(j, "tokens_per_second", p->rate);
		span_put(j, "seconds_per_1000_tokens", p->seconds);
		span_put(j, "joules_per_1000_tokens", p->joules);
		json_object_set_new(j, "energy_method", json_string(energy_method_name(s->energy)));
		json_object_set_new(j, "opex_per_1000_tokens", jsonx_number(p->opex));
		json_object_set_new(j, "capex_per_1000_tokens", jsonx_number(p->capex));
		json_object_set_new(j, "used_bytes", json_integer((json_int_t)p->bytes));
		app_json(j);
		json_decref(j);
	}
}

static void put_summary(const struct scaling *s)
{
	const struct point *one, *most;
	json_t *j = json_pack("{s:o, s:s, s:I}", "model", jsonx_path(s->work.path), "over", s->work.way->name, "points",
	                      (json_int_t)s->n);

	span_put(j, "elasticity_seconds", s->in_seconds);
	span_put(j, "elasticity_joules", s->in_joules);
	if (apart(s, &one, &most)) {
		json_object_set_new(j, "apart_bytes", json_integer((json_int_t)most->q * (json_int_t)one->bytes));
		json_object_set_new(j, "apart_seconds_per_1000_tokens", jsonx_number(one->seconds.mid));
	}
	json_object_set_new(j, "peak_rss_bytes", json_integer((json_int_t)mem_rss_peak()));
	app_summary(s->work.app, j);
}

static int draw(const struct scaling *s, struct err *e)
{
	double x[SCALES], y[3][SCALES];

	for (size_t i = 0; i < s->n; i++) {
		x[i] = s->p[i].q;
		y[0][i] = s->p[i].seconds.mid;
		y[1][i] = s->p[i].seconds.low;
		y[2][i] = s->p[i].seconds.high;
	}
	struct chart_series series = { .name = "measured", .x = x, .y = y[0], .low = y[1], .high = y[2], .n = s->n };
	struct chart c = { .title = "cost of 1,000 tokens",
		           .x_label = s->work.way->axis,
		           .y_label = "seconds",
		           .x_log = true,
		           .y_log = true,
		           .series = &series,
		           .n_series = 1 };
	return chart_write(s->work.o->out, &c, e);
}

/* --- the whole --- */

static int scale_opened(struct scaling *s, struct err *e)
{
	if (plan_scaling(s, e) < 0 || measure(s, e) < 0)
		return -1;
	if (s->work.app->json)
		put_points(s);
	else
		show(s);
	put_summary(s);
	return s->work.o->out ? draw(s, e) : 0;
}

/* A trainer opens its model itself. */
static int scale(struct scaling *s, struct err *e)
{
	struct scale_work *w = &s->work;

	if (read_numbers(s, e) < 0)
		return -1;
	if (w->way->trains)
		return scale_opened(s, e);
	if (loaded_open_alone(&w->l, w->path, e) < 0)
		return -1;
	int status = model_compute(w->app, &w->l.model, w->o->compute, PREPARE_GENERATE, e);
	if (status == 0)
		status = scale_opened(s, e);
	loaded_close(&w->l);
	return status;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct scale_options *o = options;
	struct scaling s = { .work = { .app = app, .o = o, .way = scale_way_of(o->over), .path = p->positional[0] } };

	app_catch_signals();
	return scale(&s, e);
}

const struct command cmd_gas_scale = {
	.name = "gas scale",
	.summary = "what a token costs as more streams, adapters or rows of a batch share a step, measured: economies "
	           "of scale, with OPEX and CAPEX apart",
	.usage = "MODEL [--over streams|batch|adapters] [--at LIST]",
	.example = "kungfu gas scale model.gguf --over adapters --at 1,4,16",
	.brief = "cost per token by batch",
	.plans = true,
	.order = 77,
	.opts = scale_opts,
	.options_size = sizeof(struct scale_options),
	.least = 1,
	.most = 1,
	.wanted = "a model was wanted",
	.run = run,
};
