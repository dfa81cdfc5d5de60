/* gas_scale_ways: what `gas scale` makes larger: streams, a batch, adapters. Streams are sequences decoded beside
 * each other, one token of each in a step. Adapters are the same, each stream with a LoRA of its own over the one
 * model (adapt/multi_adapter.h); they are made here, as what a LoRA costs does not depend on its numbers. A batch
 * is the rows of a micro-batch of LoRA training: a step of documents of one length, so that more rows are more
 * documents, not longer ones; the optimizer's update is in it. */
#include "cmd/gas/gas_scale.h"

#include <stdio.h>
#include <string.h>

#include "adapt/multi_adapter.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sentence.h"
#include "cmd/metering.h"

enum { ROWS_MOST = 1 << 20 };

/* --- decoding --- */

/* With numbers that are none: pages that were never written are not in memory. */
static int new_adapter(const struct scale_work *w, struct adapter *a, struct err *e)
{
	const struct adapter_type *type = adapter_standard();
	char size[24];
	const char *const options[] = { type->size_option, size, NULL };

	snprintf(size, sizeof(size), "%lld", (long long)w->o->lora_r);
	if (adapter_new_named(a, type->name, &w->l.model, options, 0, e) < 0)
		return -1;
	for (size_t i = 0; i < a->overlay.params.n; i++)
		a->overlay.params.w[i] = 1e-3F * (float)(i % 7);
	return 0;
}

/* *o: NULL where the way has none. A single one is what there is without others. */
static int make_adapters(const struct scale_work *w, int q, struct adapter *out, const struct overlay **o,
                         struct err *e)
{
	struct adapter some[ADAPTERS_MOST] = { 0 };
	const char *names[ADAPTERS_MOST];
	int n = w->way->has_adapters ? q : 0, status = 0;

	*o = n ? &out->overlay : NULL;
	if (n == 1)
		return new_adapter(w, out, e);
	for (int i = 0; i < n && status == 0; i++) {
		names[i] = "an adapter";
		status = new_adapter(w, &some[i], e);
	}
	if (n && status == 0)
		status = multi_adapter_make(out, &w->l.model, some, names, (size_t)n, e);
	for (int i = 0; i < n; i++)
		adapter_release(&some[i]);
	return status;
}

static int plan_session(struct scale_work *w, const struct overlay *o, int q, double *seconds, double *bytes,
                        struct err *e)
{
	int n = (int)w->o->decode;
	struct session_size size = { MAX(n, 2), q > 1 ? q + 1 : 1, cache_types(&w->o->cache) };
	struct session *session;
	struct work of_one;
	double one;
	size_t work, cache;

	if (session_new(&session, &w->l.model, o, w->app->device, &size, e) < 0)
		return -1;
	int status = session_time(session, q, 1, n / 2, &one, &of_one, e);
	session_bytes(session, &work, &cache);
	session_free(session);
	*seconds = status ? 0 : one * n * ((double)w->o->repetitions + 1);
	*bytes = (double)(work + cache) + (o ? (double)o->params.n * sizeof(float) : 0);
	return status;
}

static int plan_decoding(struct scale_work *w, int q, double *seconds, double *bytes, struct err *e)
{
	struct adapter own = { 0 };
	const struct overlay *o;
	int status = make_adapters(w, q, &own, &o, e);

	if (status == 0)
		status = plan_session(w, o, q, seconds, bytes, e);
	adapter_release(&own);
	return status;
}

static int decode(struct scale_work *w, int q, struct bench_result *r, struct err *e)
{
	struct adapter own = { 0 };
	const struct overlay *o;
	int status = make_adapters(w, q, &own, &o, e);

	struct bench_inference what = {
		.n = (int)w->o->decode, .streams = q, .cache = cache_types(&w->o->cache), .overlay = o
	};
	if (status == 0)
		status = bench_decode(w->app->device, metering_watch(), &w->l.model, &what, (int)w->o->repetitions, r,
		                      e);
	adapter_release(&own);
	return status;
}

static void describe_streams(const struct scale_work *w, char *out, size_t size)
{
	sentence_format(out, size, "%lld tokens in each stream", (long long)w->o->decode);
}

static void describe_adapters(const struct scale_work *w, char *out, size_t size)
{
	sentence_format(out, size, "%lld tokens in a stream for each adapter, LoRA of rank %lld on all linears",
	                (long long)w->o->decode, (long long)w->o->lora_r);
}

/* --- training --- */

static struct bench_training training(const struct scale_work *w, int q)
{
	return (struct bench_training){ w->path, adapter_standard()->name, w->o->compute, (int)w->o->max_length,
		                       q / (int)w->o->max_length };
}

static const char *wrong_rows(const struct scale_options *o, int q)
{
	return q % o->max_length ? "of rows, multiples of --max-length were wanted" : NULL;
}

/* The trainer's own words about its data would come again and again. */
static void hush(const struct scale_work *w, bool on) { log_set(on || w->app->quiet ? LOG_QUIET : LOG_NORMAL); }

static int plan_training(struct scale_work *w, int q, double *seconds, double *bytes, struct err *e)
{
	struct bench_training what = training(w, q);
	struct trainer_plan plan;

	hush(w, true);
	int status = bench_train_plan(w->app->device, &what, &plan, e);
	hush(w, false);
	if (status == 0) {
		*seconds = plan.open_seconds + plan.start_seconds + ((double)w->o->repetitions + 1) * plan.step_seconds;
		*bytes = (double)plan.planned_bytes;
	}
	return status;
}

static int train(struct scale_work *w, int q, struct bench_result *r, struct err *e)
{
	struct bench_training what = training(w, q);

	hush(w, true);
	int status = bench_train(w->app->device, metering_watch(), &what, (int)w->o->repetitions, r, e);
	hush(w, false);
	w->app->compute = r->int_ops > 0 ? "int8" : "f32";
	return status;
}

static void describe_batch(const struct scale_work *w, char *out, size_t size)
{
	sentence_format(out, size, "steps of LoRA on one micro-batch, documents of %lld tokens",
	                (long long)w->o->max_length);
}

/* --- the table --- */

static const struct scale_way ways[] = {
	{ .name = "streams",
	  .axis = "streams",
	  .at = "1,2,4,8,16",
	  .most = SESSION_ROWS - 1,
	  .plan = plan_decoding,
	  .pass = decode,
	  .describe = describe_streams },
	{ .name = "batch",
	  .axis = "rows",
	  .at = "128,256,512,1024,2048",
	  .most = ROWS_MOST,
	  .trains = true,
	  .wrong = wrong_rows,
	  .plan = plan_training,
	  .pass = train,
	  .describe = describe_batch },
	{ .name = "adapters",
	  .axis = "adapters",
	  .at = "1,2,4,8,16",
	  .most = ADAPTERS_MOST,
	  .has_adapters = true,
	  .plan = plan_decoding,
	  .pass = decode,
	  .describe = describe_adapters },
};

const struct scale_way *scale_way_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(ways); i++)
		if (!strcmp(ways[i].name, name))
			return &ways[i];
	BUG("gas scale --over %s", name);
}
