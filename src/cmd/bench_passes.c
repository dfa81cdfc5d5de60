/* bench_passes: see bench_passes.h. What a pass costs is what its tape says, counted on the first, untimed pass. */
#include "cmd/bench_passes.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/env.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "infer/session.h"
#include "learn/trainer.h"
#include "op/trace.h"

enum { TRAIN_LENGTH = 512, TRAIN_DOCUMENTS = 2, TEXT_WORDS = 4096 };

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static void finish(struct pass_result *r)
{
	qsort(r->seconds, (size_t)r->n, sizeof(*r->seconds), by_value);
}

void pass_rates(const struct pass_result *r, double *median, double *low, double *high)
{
	double middle = (r->seconds[(r->n - 1) / 2] + r->seconds[r->n / 2]) / 2;

	*median = (double)r->tokens / middle;
	*low = (double)r->tokens / r->seconds[r->n - 1];
	*high = (double)r->tokens / r->seconds[0];
}

/* --- inference --- */

struct infer {
	struct session *s;
	int32_t *ids;
	size_t n, chunk;                   /* tokens of a sequence; how many are fed at once */
	int streams;                       /* more than 1: sequences, one token of each in a step */
	struct session_part parts[SESSION_ROWS];
};

/* Sequence 0 stays empty: the others branch from it. */
static int feed_streams(struct infer *x, struct err *e)
{
	int status = 0;

	for (int k = 0; k < x->streams; k++)
		session_branch(x->s, k + 1);
	for (size_t i = 0; i < x->n && status == 0; i++) {
		for (int k = 0; k < x->streams; k++)
			x->parts[k] = (struct session_part){ .sequence = k + 1, .ids = x->ids + i, .n = 1, .wanted = true };
		status = session_step(x->s, x->parts, x->streams, e);
	}
	for (int k = 0; k < x->streams; k++)
		session_drop(x->s, k + 1);
	return status;
}

static int feed(struct infer *x, struct err *e)
{
	const float *logits;

	if (x->streams > 1)
		return feed_streams(x, e);
	session_truncate(x->s, 0);
	for (size_t i = 0; i < x->n; i += x->chunk)
		if (session_feed(x->s, x->ids + i, MIN(x->chunk, x->n - i), &logits, e) < 0)
			return -1;
	return 0;
}

static int count_cost(struct app *app, struct infer *x, struct pass_result *out, struct err *e)
{
	struct trace trace;
	size_t n;

	if (trace_init(&trace, app->pool, e) < 0)
		return -1;
	session_trace(x->s, &trace);
	int status = feed(x, e);
	struct trace_row *rows = trace_rows(&trace, &n);
	for (size_t i = 0; i < n; i++) {
		*(rows[i].int8 ? &out->int_ops : &out->flops) += rows[i].flops;
		out->bytes += rows[i].bytes;
	}
	mem_free(rows);
	session_trace(x->s, NULL);
	trace_release(&trace);
	return status;
}

static int time_feeds(struct app *app, struct infer *x, int repetitions, struct pass_result *out, struct err *e)
{
	int status = count_cost(app, x, out, e);

	for (out->n = 0; status == 0 && out->n < repetitions && !app_interrupted(); out->n++) {
		double begin = clock_seconds();
		status = feed(x, e);
		out->seconds[out->n] = clock_seconds() - begin;
	}
	if (status == 0 && out->n == 0)
		status = err_set(e, "interrupted");
	finish(out);
	return status;
}

static int infer_pass(struct app *app, struct model *m, int n, size_t chunk, int streams, struct cache_types cache, int repetitions,
                      struct pass_result *out, struct err *e)
{
	struct infer x = { .n = (size_t)n, .chunk = chunk, .streams = streams };
	int sequences = streams > 1 ? streams + 1 : 1;

	*out = (struct pass_result){ .tokens = (int64_t)n * streams };
	if (session_new(&x.s, m, NULL, app->pool, app->kernels, &(struct session_size){ n, sequences, cache }, e) < 0)
		return -1;
	x.ids = mem_array(x.n, sizeof(*x.ids));
	for (size_t i = 0; i < x.n; i++)
		x.ids[i] = (int32_t)((i * 7919 + 13) % (size_t)m->config.V);
	int status = time_feeds(app, &x, repetitions, out, e);
	session_free(x.s);
	mem_free(x.ids);
	return status;
}

int pass_prefill(struct app *app, struct model *m, int n, struct cache_types cache, int repetitions, struct pass_result *out, struct err *e)
{
	return infer_pass(app, m, n, (size_t)n, 1, cache, repetitions, out, e);
}

int pass_decode(struct app *app, struct model *m, int n, int streams, struct cache_types cache, int repetitions, struct pass_result *out, struct err *e)
{
	return infer_pass(app, m, n, 1, streams, cache, repetitions, out, e);
}

/* --- training --- */

/* Words of random letters: more than enough tokens for two documents. */
static int write_text(const char *path, struct err *e)
{
	struct rng_key key = { 42, RNG_SHUFFLE };
	struct buf text = BUF_INIT;

	buf_adds(&text, "{\"text\": \"");
	for (uint64_t i = 0; i < TEXT_WORDS; i++) {
		uint64_t letters = rng_permute(key, 0, (uint64_t)1 << 40, i);
		for (int j = 0; j < 6; j++, letters /= 26)
			buf_addc(&text, (char)('a' + letters % 26));
		buf_addc(&text, ' ');
	}
	buf_adds(&text, "\"}\n");
	int status = io_write(path, text.data, text.len, e);
	buf_release(&text);
	return status;
}

static int make_recipe(struct recipe *r, struct opt_parse *p, const char *model, const char *data, int length, const char *method, const char *compute,
                       int steps, struct err *e)
{
	json_t *none = json_object();
	int status = recipe_load(r, p, none, e);

	json_decref(none);
	if (status)
		return -1;
	r->model = model;
	r->data = data;
	r->out = ".";
	r->method = method;
	r->compute = compute;
	r->max_length = length;
	r->micro_batch_tokens = TRAIN_DOCUMENTS * length;
	r->batch_size = TRAIN_DOCUMENTS;
	r->packing = true;
	r->max_steps = steps;
	r->save_steps = 0;
	return recipe_resolve(r, e);
}

static int time_steps(struct trainer *t, int repetitions, struct pass_result *out, struct err *e)
{
	struct step_metrics m;

	if (trainer_start(t, e) < 0 || trainer_step(t, &m, e) < 0)
		return -1;
	out->tokens = m.tokens;
	out->flops = m.flops - m.int_ops;
	out->int_ops = m.int_ops;
	for (out->n = 0; out->n < repetitions && !app_interrupted(); out->n++) {
		if (trainer_step(t, &m, e) < 0)
			return -1;
		out->seconds[out->n] = m.seconds;
	}
	finish(out);
	return out->n ? 0 : err_set(e, "interrupted");
}

int pass_train(struct app *app, const char *model, int n_ctx, const char *method, const char *compute, int repetitions, struct pass_result *out, struct err *e)
{
	const char *tmp = env_get("TMPDIR");
	char *data = mem_printf("%s/kungfu-bench-%ld.jsonl", tmp ? tmp : "/tmp", (long)getpid());
	struct recipe r;
	struct opt_parse p = { 0 };
	struct trainer *t = NULL;
	struct err ignored = ERR_INIT;

	*out = (struct pass_result){ 0 };
	int status = write_text(data, e);
	if (status == 0)
		status = make_recipe(&r, &p, model, data, MIN(TRAIN_LENGTH, n_ctx), method, compute, repetitions + 1, e);
	if (status == 0)
		status = trainer_open(&t, &r, app->pool, app->kernels, e);
	io_remove_tree(data, &ignored);
	if (status == 0)
		status = time_steps(t, repetitions, out, e);
	trainer_close(t);
	opt_release(&p);
	mem_free(data);
	return status;
}
