/* gas bench: methods beside each other. `methods` is gas_bench_methods.c; lora-vs-full asks: does LoRA train faster
 * than all weights, on this machine, with this model? Both train on the same rows in turns (lora, full, lora …),
 * so that what the machine does beside shows in both; the ratio is that of each pair, its interval Student's in the
 * logarithm. Tokens a second say nothing about how many of them a method needs: that is gas compare. */
#include <string.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "train/bench_passes.h"
#include "cmd/metering.h"
#include "cmd/gas/gas_bench_methods.h"
#include "cmd/gas/gas_numbers.h"
#include "cmd/model_common.h"
#include "cmd/text_table.h"
#include "train/method.h"

extern const struct command cmd_gas_bench;

/* of the largest micro-batch that is looked for */
enum { PAIRS_MAX = 100, TURN_STEPS = 2, DOCUMENTS_MOST = 512, TOKENS_MOST = 1 << 20 };

struct gas_bench {
	struct common common;
	int64_t max_length, repetitions;
	const char *compute;
};

static const struct opt bench_opts[] = { { OPT_TYPE_INT, "max-length", NULL, offsetof(struct gas_bench, max_length),
	                                   "512", 2, 1 << 20, NULL, "N",
	                                   "tokens of a document; a micro-batch has two" },
	                                 OPT_INT("repetitions", struct gas_bench, repetitions, "5", 3, PAIRS_MAX,
	                                         "pairs of turns; a turn is a step to warm up and two that count. Of "
	                                         "methods: steps, prompts and answers of each"),
	                                 COMPUTE_OPT(struct gas_bench, compute, "auto"),
	                                 COMMON_OPTS(struct gas_bench, common),
	                                 OPT_END };

/* What others found, tokens a second of LoRA over those of all weights at a context of 512. */
static const struct { double ratio; const char *model, *where; } published[] = {
	{ 1.30, "7B", "8 A100 with offload, as published" },
	{ 0.48, "135M", "PEFT on one H100, 16 rows, bf16" },
	{ 0.60, "1.1B", "PEFT on one H100, 8 rows, bf16" },
	{ 1.06, "6.7B", "PEFT on one H100, 8 rows, bf16, full recomputing" },
};

enum { LORA, FULL, METHODS };

struct measured {
	struct bench_training what;
	struct trainer_plan plan;
	double rate[PAIRS_MAX];                /* tokens a second, of each turn */
	double joules, joules_low, joules_high, tokens;
	enum energy_method energy;
	size_t used_bytes;
	int largest;                           /* documents of a micro-batch */
};

struct contest {
	struct app *app;
	const struct gas_bench *o;
	const char *model;
	int length, n;                         /* tokens of a document; pairs */
	bool asked;                            /* for just this length */
	int most;                              /* documents of a micro-batch that are looked for */
	size_t memory;                         /* that this process may have */
	struct measured m[METHODS];
};

/* The trainer's own words about its data would come again and again. */
static void hush(const struct contest *c, bool on) { log_set(on || c->app->quiet ? LOG_QUIET : LOG_NORMAL); }

/* --- measuring --- */

static void add_turn(struct measured *m, const struct bench_result *r, int pair)
{
	double seconds = 0, tokens = (double)r->tokens * r->n;

	for (int i = 0; i < r->n; i++)
		seconds += r->seconds[i];
	m->rate[pair] = tokens / seconds;
	m->tokens += tokens;
	m->joules += r->gas.energy.joules;
	m->joules_low += r->gas.energy.low;
	m->joules_high += r->gas.energy.high;
	m->energy = r->gas.energy.method;
	m->used_bytes = MAX(m->used_bytes, r->used_bytes);
}

static int take_turns(struct contest *c, struct err *e)
{
	static struct bench_result r;
	double begin = clock_seconds();

	for (int turn = 0; turn < METHODS * c->n; turn++) {
		struct measured *m = &c->m[turn % METHODS];
		double left = turn >= METHODS ? (clock_seconds() - begin) / turn * (METHODS * c->n - turn) : 0;
		if (left > 0)
			log_live("pair %d of %d: %s, about %.0f s left", turn / METHODS + 1, c->n, m->what.method,
			         left);
		else
			log_live("pair %d of %d: %s", turn / METHODS + 1, c->n, m->what.method);
		hush(c, true);
		int status = bench_train(c->app->device, metering_watch(), &m->what, TURN_STEPS, &r, e);
		hush(c, false);
		if (status < 0)
			return -1;
		add_turn(m, &r, turn / METHODS);
		metering_tick();
	}
	log_live_end();
	return 0;
}

/* Of single pairs, so that a slow minute is in both sides of one. */
static struct span ratio_of(const struct contest *c)
{
	double ratio[PAIRS_MAX];

	for (int i = 0; i < c->n; i++)
		ratio[i] = c->m[LORA].rate[i] / c->m[FULL].rate[i];
	return span_geometric(ratio, (size_t)c->n);
}

static struct span joules_of(const struct measured *m)
{
	double by = 1000 / m->tokens;
	return (struct span){ m->joules * by, m->joules_low * by, m->joules_high * by };
}

/* --- before it --- */

static int plan_contest(struct contest *c, struct err *e)
{
	struct predicted p;
	size_t bytes = 0;

	predict_begin(&p, "gas bench %s", c->o->compute);
	for (int i = 0; i < METHODS; i++) {
		struct trainer_plan *plan = &c->m[i].plan;
		hush(c, true);
		int status = bench_train_plan(c->app->device, &c->m[i].what, plan, e);
		hush(c, false);
		if (status < 0)
			return -1;
		double turn = plan->open_seconds + plan->start_seconds + (TURN_STEPS + 1) * plan->step_seconds;
		predict_phase(&p, c->m[i].what.method, c->n * turn);
		p.loose_seconds += c->n * plan->start_seconds;
		bytes = MAX(bytes, plan->planned_bytes);
	}
	predict_part(&p, "work", (double)bytes, "the larger of the two, the program with it");
	return planned(c->app, &p, NULL, e);
}

static int find_largest(struct contest *c, struct err *e)
{
	for (int i = 0; i < METHODS; i++) {
		struct bench_training what = c->m[i].what;
		what.documents = c->most;
		log_live("the largest micro-batch that fits: %s", what.method);
		hush(c, true);
		int status = bench_train_largest(c->app->device, &what, c->memory, &c->m[i].largest, e);
		hush(c, false);
		if (status < 0)
			return -1;
	}
	log_live_end();
	return 0;
}

/* --- showing --- */

static void show_table(const struct contest *c)
{
	static const char *const heads[] = {
		"method", "tokens/s", "memory", "planned", "joules per 1,000 tokens", "largest micro-batch"
	};
	struct table t = { .columns = ARRAY_LEN(heads), .right = 0x3e };
	struct buf text = BUF_INIT;
	char bytes[32];

	for (size_t i = 0; i < ARRAY_LEN(heads); i++)
		table_cell(&t, "%s", heads[i]);
	for (int i = 0; i < METHODS; i++) {
		const struct measured *m = &c->m[i];
		table_cell(&t, "%s", m->what.method);
		span_cell(&t, span_geometric(m->rate, (size_t)c->n));
		table_cell(&t, "%s", human_bytes(m->used_bytes, bytes));
		table_cell(&t, "%s", human_bytes(m->plan.planned_bytes, bytes));
		span_cell(&t, joules_of(m));
		table_cell(&t, "%s%d x %d", m->largest >= c->most ? "at least " : "", m->largest, c->length);
	}
	table_write(&text, &t, "");
	app_print("%s", buf_str(&text));
	buf_release(&text);
	table_release(&t);
}

static void show(const struct contest *c)
{
	char text[96], bytes[32];

	app_print("context %d, micro-batches of %d x %d tokens, %d pairs of turns; energy is %s, the largest "
	          "micro-batch that of %s\n",
	          c->length, TRAIN_DOCUMENTS, c->length, c->n, energy_method_name(c->m[LORA].energy),
	          human_bytes(c->memory, bytes));
	show_table(c);
	span_text(text, ratio_of(c));
	app_print("lora trains %s times as many tokens a second as full\n", text);
	app_print("elsewhere, at a context of 512:\n");
	for (size_t i = 0; i < ARRAY_LEN(published); i++)
		app_print("  %.2f  %-5s %s\n", published[i].ratio, published[i].model, published[i].where);
}

static void put_method(const struct contest *c, const struct measured *m)
{
	json_t *j = json_pack("{s:s, s:i, s:i}", "method", m->what.method, "max_length", c->length,
	                      "micro_batch_documents", TRAIN_DOCUMENTS);
	json_t *turns = json_array();

	span_put(j, "tokens_per_second", span_geometric(m->rate, (size_t)c->n));
	for (int i = 0; i < c->n; i++)
		json_array_append_new(turns, jsonx_number(m->rate[i]));
	json_object_set_new(j, "turns", turns);
	json_object_set_new(j, "used_bytes", json_integer((json_int_t)m->used_bytes));
	json_object_set_new(j, "planned_bytes", json_integer((json_int_t)m->plan.planned_bytes));
	span_put(j, "joules_per_1000_tokens", joules_of(m));
	json_object_set_new(j, "energy_method", json_string(energy_method_name(m->energy)));
	json_object_set_new(j, "largest_documents", json_integer(m->largest));
	json_object_set_new(j, "largest_is_bound", json_boolean(m->largest >= c->most));
	app_json(j);
	json_decref(j);
}

static void put_summary(const struct contest *c)
{
	json_t *j = json_pack("{s:o, s:i, s:i}", "model", jsonx_path(c->model), "max_length", c->length, "pairs", c->n),
	       *others = json_array();

	span_put(j, "ratio", ratio_of(c));
	for (size_t i = 0; i < ARRAY_LEN(published); i++)
		json_array_append_new(others, json_pack("{s:f, s:s, s:s}", "ratio", published[i].ratio, "model",
		                                        published[i].model, "source", published[i].where));
	json_object_set_new(j, "published", others);
	json_object_set_new(j, "memory_bytes", json_integer((json_int_t)c->memory));
	json_object_set_new(j, "peak_rss_bytes", json_integer((json_int_t)mem_rss_peak()));
	app_summary(c->app, j);
}

/* --- the whole --- */

static int read_length(struct contest *c, struct err *e)
{
	struct model m;

	if (model_open(&m, c->model, e) < 0)
		return -1;
	int n_ctx = m.config.n_ctx;
	model_close(&m);
	if (c->length > n_ctx && c->asked)
		return err_set(e, "--max-length %d: %s has %d positions", c->length, c->model, n_ctx);
	c->length = MIN(c->length, n_ctx);
	return 0;
}

static int contest(struct contest *c, struct err *e)
{
	const char *const names[] = { [LORA] = adapter_standard()->name, [FULL] = method_full };

	if (read_length(c, e) < 0)
		return -1;
	for (int i = 0; i < METHODS; i++)
		c->m[i].what = (struct bench_training){
			c->model, names[i], i == FULL ? "f32" : c->o->compute, c->length, TRAIN_DOCUMENTS
		};
	c->most = MAX(TRAIN_DOCUMENTS, MIN((int)DOCUMENTS_MOST, TOKENS_MOST / c->length));
	c->memory = mem_rss() + mem_available();
	if (plan_contest(c, e) < 0 || find_largest(c, e) < 0 || take_turns(c, e) < 0)
		return -1;
	if (c->app->json)
		for (int i = 0; i < METHODS; i++)
			put_method(c, &c->m[i]);
	else
		show(c);
	put_summary(c);
	return 0;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	static struct contest c;
	struct gas_bench *o = options;

	app_catch_signals();
	if (!strcmp(p->positional[0], "methods")) {
		struct bench_methods all = { p->positional[1], o->compute, (int)o->max_length, (int)o->repetitions,
			                     opt_given(p, "max-length") };
		return bench_methods(app, &all, e);
	}
	if (strcmp(p->positional[0], "lora-vs-full"))
		return app_usage(&cmd_gas_bench, "methods or lora-vs-full, and a model, were wanted");
	c = (struct contest){ .app = app,
		              .o = o,
		              .model = p->positional[1],
		              .length = (int)o->max_length,
		              .n = (int)o->repetitions,
		              .asked = opt_given(p, "max-length") };
	return contest(&c, e);
}

const struct command cmd_gas_bench = {
	.name = "gas bench",
	.summary = "what each method costs here: numbers trained, file, tokens a second and memory of training, what "
	           "an answer waits for; or, lora-vs-full, does LoRA train faster than all weights? Tokens a second, "
	           "memory, joules per 1,000 tokens, the largest micro-batch that fits, in turns, beside published "
	           "figures",
	.usage = "methods|lora-vs-full MODEL [--max-length N]",
	.example = "kungfu gas bench methods model.gguf",
	.brief = "methods beside each other",
	.plans = true,
	.order = 78,
	.opts = bench_opts,
	.options_size = sizeof(struct gas_bench),
	.least = 2,
	.most = 2,
	.wanted = "methods or lora-vs-full, and a model, were wanted",
	.run = run,
};
