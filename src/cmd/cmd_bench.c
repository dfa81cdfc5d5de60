/* bench: what this machine can do, and how much of that a model gets: training, prompt processing, generation, each as
 * a share of the roofline: the slower of its operations at the speeds of the best products (f32, int8) and its bytes at
 * the speed of reading memory. No peer is needed; beside peers it is measured by `make bench`. */
#include <math.h>
#include <string.h>

#include "base/human.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "train/bench_passes.h"
#include "cmd/machine_profile.h"
#include "cmd/model_common.h"
#include "infer/session.h"
#include "train/method.h"
#include "train/model_memory.h"

extern const struct command cmd_bench;

#define MACHINE_SECONDS 1.8            /* of measuring the machine: gas/profile_measure.c, op/roofline.c */
#define MACHINE_BYTES 537e6
#define USUAL_FLOPS 1e11               /* of a machine that was never measured */

struct options {
	struct common common;
	int64_t prefill, decode, streams, depth, repetitions;
	const char *train, *compute;
	struct cache_options cache;
};

static const struct opt bench_opts[] = {
	OPT_GROUP("What to time (all three when none is given)"),
	OPT_INT("prefill", struct options, prefill, "512", 1, 1 << 20,
	        "one prompt of N tokens into an empty context, the head for the last"),
	OPT_INT("decode", struct options, decode, "64", 1, 1 << 20, "N single tokens from an empty context"),
	OPT_PICK("train", struct options, train, method_rows, "training steps of two documents of 512 tokens"),
	OPT_GROUP("How"),
	OPT_INT("streams", struct options, streams, "1", 1, SESSION_ROWS - 1,
	        "sequences that are decoded beside each other"),
	OPT_INT("depth", struct options, depth, "0", 0, 1 << 20,
	        "tokens that the context holds before what is timed of prompts and single tokens"),
	OPT_INT("repetitions", struct options, repetitions, "5", 3, REPETITIONS_MAX,
	        "of each, after one to warm up; the median counts"),
	COMPUTE_OPT(struct options, compute, "auto"),
	CACHE_OPTS(struct options, cache),
	COMMON_OPTS(struct options, common),
	OPT_END
};

/* --- the machine --- */

static void show_machine(const struct profile *p)
{
	app_print("%s, %s, %d threads\n", p->processor, p->isa, p->threads);
	app_print("  f32 products  %8.1f GFLOP/s\n", p->sgemm_flops / 1e9);
	if (p->int8_ops > 0)
		app_print("  int8 products %8.1f GOP/s\n", p->int8_ops / 1e9);
	app_print("  reading       %8.1f GB/s\n  copying       %8.1f GB/s\n", p->read_bytes / 1e9, p->copy_bytes / 1e9);
	app_print("  barrier       %8.2f µs\n", p->barrier_seconds * 1e6);
	for (int i = 0; i < p->n_ops; i++)
		app_print("%s%s %.0f %%%s", i ? i % 6 ? ", " : "                " : "  ops, of these ", p->op[i].op,
		          100 * p->op[i].share,
		          i + 1 == p->n_ops ? "\n" :
		          i % 6 == 5        ? ",\n" :
		                              "");
}

static void put_machine(json_t *j, const struct profile *p)
{
	json_t *machine = profile_json(p);
	json_object_update(j, machine);
	json_decref(machine);
}

/* --- the passes --- */

/* Tokens a second at the roofline. */
static double limit_of(const struct bench_result *r, const struct profile *p)
{
	double work = r->flops / p->sgemm_flops + (r->int_ops > 0 ? r->int_ops / p->int8_ops : 0);

	return (double)r->tokens / MAX(work, r->bytes / p->read_bytes);
}

static void report(json_t *j, const struct profile *p, const char *name, const char *what, bool quiet,
                   const struct bench_result *r)
{
	double median, low, high, limit = limit_of(r, p);
	char key[64];

	bench_rates(r, &median, &low, &high);
	if (!quiet)
		app_print("%-24s %8.1f tokens/s (%.1f to %.1f), %3.0f %% of the %.0f that the machine could\n", what,
		          median, low, high, 100 * median / limit, limit);
	snprintf(key, sizeof(key), "%s_tokens_per_second", name);
	json_object_set_new(j, key, jsonx_number(median));
	snprintf(key, sizeof(key), "%s_spread", name);
	json_object_set_new(j, key, json_pack("[f, f]", low, high));
	snprintf(key, sizeof(key), "%s_limit", name);
	json_object_set_new(j, key, jsonx_number(limit));
	json_object_set_new(json_object_get(j, "roofline_share"), name, jsonx_number(median / limit));
}

struct bench {
	struct app *app;
	const struct options *o;
	const char *path;
	struct profile machine;
	json_t *summary;
	bool train, prefill, decode;
};

static const char *depth_words(const struct options *o, char out[32])
{
	out[0] = 0;
	if (o->depth)
		snprintf(out, 32, " after %lld", (long long)o->depth);
	return out;
}

static int time_inference(struct bench *b, struct model *m, struct err *e)
{
	const struct options *o = b->o;
	struct bench_inference prompt = {
		.n = (int)o->prefill, .streams = 1, .depth = (int)o->depth, .cache = cache_types(&o->cache)
	};
	struct bench_inference single = {
		.n = (int)o->decode, .streams = (int)o->streams, .depth = (int)o->depth, .cache = cache_types(&o->cache)
	};
	struct bench_result r;
	char what[96], after[32];

	if (b->prefill) {
		snprintf(what, sizeof(what), "prefill of %lld%s, %s", (long long)o->prefill, depth_words(o, after),
		         b->app->compute);
		log_live("%s", what);
		if (bench_prefill(b->app->device, metering_watch(), m, &prompt, (int)o->repetitions, &r, e) < 0)
			return -1;
		log_live_end();
		report(b->summary, &b->machine, "prefill", what, b->app->quiet, &r);
	}
	if (b->decode) {
		snprintf(what, sizeof(what), "decoding %lld x %lld%s, %s", (long long)o->decode, (long long)o->streams,
		         depth_words(o, after), b->app->compute);
		log_live("%s", what);
		if (bench_decode(b->app->device, metering_watch(), m, &single, (int)o->repetitions, &r, e) < 0)
			return -1;
		log_live_end();
		report(b->summary, &b->machine, "decode", what, b->app->quiet, &r);
	}
	return 0;
}

static int time_training(struct bench *b, int n_ctx, struct err *e)
{
	struct bench_result r;
	char what[64];

	snprintf(what, sizeof(what), "training (%s), %s", b->o->train,
	         method_adapter(b->o->train) ? b->app->compute : "f32");
	log_live("%s", what);
	log_set(LOG_QUIET); /* the trainer's own words about its data */
	struct bench_training usual = { b->path, b->o->train, b->o->compute, MIN(TRAIN_LENGTH, n_ctx),
	                                                                         TRAIN_DOCUMENTS };
	int status = bench_train(b->app->device, metering_watch(), &usual, (int)b->o->repetitions, &r, e);
	log_set(b->app->quiet ? LOG_QUIET : LOG_NORMAL);
	log_live_end();
	if (status == 0) {
		json_object_set_new(b->summary, "train", json_string(b->o->train));
		report(b->summary, &b->machine, "train", what, b->app->quiet, &r);
	}
	return status;
}

static int time_model(struct bench *b, struct model *m, struct err *e)
{
	int status = 0;

	json_object_set_new(b->summary, "model", jsonx_path(b->path));
	json_object_set_new(b->summary, "roofline_share", json_object());
	if (b->prefill || b->decode)
		status = time_inference(b, m, e);
	if (status == 0 && b->train)
		status = time_training(b, m->config.n_ctx, e);
	return status;
}

static int measure_all(struct bench *b, struct model *m, struct err *e)
{
	if (machine_profile(b->app, &b->machine, e) < 0)
		return -1;
	if (!b->app->quiet)
		show_machine(&b->machine);
	put_machine(b->summary, &b->machine);
	return m ? time_model(b, m, e) : 0;
}

/* --- what it will take --- */

/* Passes of a prompt and of single tokens, the one that warms up and the one that is counted along. */
static int plan_inference(struct bench *b, struct model *m, struct predicted *p, double *bytes, struct err *e)
{
	int prompt = b->prefill ? (int)b->o->prefill : 0, tokens = b->decode ? (int)b->o->decode : 0,
	    streams = (int)b->o->streams, depth = (int)b->o->depth;
	int rows = MIN(MAX(MAX(prompt, depth), 1), SESSION_ROWS);
	struct work work_of;
	double one = 0, read = 0, passes = (double)b->o->repetitions + 2;
	struct session_size size = { MAX(MAX(prompt, tokens) + depth, 2), streams > 1 ? streams + 1 : 1,
		                     cache_types(&b->o->cache) };
	struct session *s;
	size_t work, cache;

	if (session_new(&s, m, NULL, b->app->device, &size, e) < 0)
		return -1;
	rows = MIN(rows, session_rows(s));
	int status = session_time(s, 1, rows, MIN(depth + MAX(prompt - rows, 0) / 2, size.n_ctx - rows), &read,
	                          &work_of, e);
	if (status == 0)
		status = session_time(s, streams, 1, depth + tokens / 2, &one, &work_of, e);
	session_bytes(s, &work, &cache);
	if (depth && streams > 1) /* of which only this becomes real */
		cache = session_fill_bytes(s, streams, depth, depth + MAX(prompt, tokens));
	*bytes = (double)(work + cache);
	session_free(s);
	predict_phase(p, "prefill", read / rows * (passes * prompt + (double)depth * (b->prefill + b->decode)));
	predict_phase(p, "decode", passes * one * tokens);
	return status;
}

/* Of training only memory is known beforehand, by a dry run; its seconds are operations over a usual share of the speed
 * that was measured before, if any was. */
static int plan_training(struct bench *b, struct loaded *l, struct predicted *p, double *bytes, struct err *e)
{
	struct model_memory memory;
	const struct adapter_type *type = method_adapter(b->o->train);
	double tokens = MIN(2 * 512, 2 * l->model.config.n_ctx),
	       flops = (type ? 4.5 : 6.0) * (double)model_count_active(&l->model) * tokens;

	if (model_memory(&memory, &l->model, type ? type : adapter_standard(), b->app->device, e) < 0)
		return -1;
	*bytes = (double)(type ? memory.adapter : memory.full);
	double seconds = ((double)b->o->repetitions + 1) * flops /
	                 (0.7 * (b->machine.sgemm_flops > 0 ? b->machine.sgemm_flops : USUAL_FLOPS));
	predict_phase(p, "train", seconds);
	p->loose_seconds = seconds;
	return 0;
}

static int plan_bench(struct bench *b, struct model *m, struct err *e)
{
	struct predicted p;
	double work = MACHINE_BYTES, bytes = 0;
	struct loaded l = { 0 };

	machine_recall(b->app, &b->machine);
	predict_begin(&p, "bench %s", b->o->compute);
	predict_phase(&p, "machine", MACHINE_SECONDS);
	if (m && (b->prefill || b->decode) && plan_inference(b, m, &p, &bytes, e) < 0)
		return -1;
	work = fmax(work, bytes);
	if (m)
		l.model = *m;
	if (m && b->train && plan_training(b, &l, &p, &bytes, e) < 0)
		return -1;
	work = fmax(work, bytes);
	predict_part(&p, "base", (double)mem_rss(), "program, libraries, the model as it is read");
	predict_part(&p, "work", work, "the largest of what is measured");
	return planned(b->app, &p, NULL, e);
}

static int bench(struct app *app, const struct options *o, const struct opt_parse *p, struct err *e)
{
	struct bench b = {
		.app = app, .o = o, .path = p->n_positional ? p->positional[0] : NULL, .summary = json_object()
	};
	struct model m;

	b.train = opt_given(p, "train");
	b.prefill = opt_given(p, "prefill");
	b.decode = opt_given(p, "decode");
	if (!b.train && !b.prefill && !b.decode)
		b.train = b.prefill = b.decode = true;
	int status = b.path ? model_open(&m, b.path, e) : 0;
	bool opened = b.path && status == 0;
	if (b.path && status == 0)
		status = model_compute(app, &m, o->compute, PREPARE_GENERATE, e);
	if (status == 0 && (status = plan_bench(&b, b.path ? &m : NULL, e)) == 0)
		status = measure_all(&b, b.path ? &m : NULL, e);
	if (opened)
		model_close(&m);
	if (status == 0) {
		json_object_set_new(b.summary, "peak_rss_bytes", json_integer((json_int_t)mem_rss_peak()));
		app_summary(app, json_incref(b.summary));
	}
	json_decref(b.summary);
	return status;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct options *o = options;

	app_catch_signals();
	if (!p->n_positional && (opt_given(p, "train") || opt_given(p, "prefill") || opt_given(p, "decode")))
		return app_usage(&cmd_bench, "a model was wanted to time");
	return bench(app, o, p, e);
}

const struct command cmd_bench = {
	.name = "bench",
	.summary = "what this machine can do, and how much of it a model gets",
	.usage = "[MODEL] [options]",
	.example = "kungfu bench model.gguf --prefill 512 --decode 64",
	.brief = "what this machine can do",
	.plans = true,
	.order = 90,
	.opts = bench_opts,
	.options_size = sizeof(struct options),
	.least = 0, .most = 1, .wanted = "one model was wanted, a GGUF file or a Hugging Face folder",
	.run = run,
};
