/* bench_passes: prompts, single tokens and training steps, made again and again and timed. What a pass costs is
 * what its tape says, counted on the first, untimed pass. */
#include "train/bench_passes.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/env.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "infer/session.h"
#include "op/trace.h"

enum { TEXT_WORDS = 4096 };         /* of a row */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static void finish(struct bench_result *r)
{
	qsort(r->seconds, (size_t)r->n, sizeof(*r->seconds), by_value);
}

void bench_rates(const struct bench_result *r, double *median, double *low, double *high)
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
	/* more than 1: sequences, one token of each in a step; tokens that the context begins with */
	int streams, depth;
	struct session_part parts[SESSION_ROWS];
};

/* Sequence 0 holds what the context begins with, the others branch from it. */
static int feed_streams(struct infer *x, struct err *e)
{
	int status = 0;

	for (int k = 0; k < x->streams; k++) {
		session_branch(x->s, k + 1, 0, x->depth);
		session_use(x->s, k + 1, k);
	}
	for (size_t i = 0; i < x->n && status == 0; i++) {
		for (int k = 0; k < x->streams; k++)
			x->parts[k] =
				(struct session_part){ .sequence = k + 1, .ids = x->ids + i, .n = 1, .wanted = true };
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
	session_truncate(x->s, 0, x->depth);
	for (size_t i = 0; i < x->n; i += x->chunk)
		if (session_feed(x->s, 0, x->ids + i, MIN(x->chunk, x->n - i), &logits, e) < 0)
			return -1;
	return 0;
}

static int count_cost(struct pool *pool, struct infer *x, struct bench_result *out, struct err *e)
{
	struct trace trace;
	size_t n;

	if (trace_init(&trace, pool, e) < 0)
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

static int time_feeds(struct device *d, const struct bench_watch *w, struct infer *x, int repetitions,
                      struct bench_result *out, struct err *e)
{
	int status = count_cost(d->pool, x, out, e);

	w->begin(w->ctx);
	for (out->n = 0; status == 0 && out->n < repetitions && !(w->stop && w->stop()); out->n++) {
		double begin = clock_seconds();
		status = feed(x, e);
		out->seconds[out->n] = clock_seconds() - begin;
	}
	if (status == 0 && out->n == 0)
		status = err_set(e, "interrupted while passes were timed");
	w->end(w->ctx, &out->gas);
	out->used_bytes = mem_rss();
	finish(out);
	return status;
}

static int infer_pass(struct device *d, const struct bench_watch *w, struct model *m,
                      const struct bench_inference *what, size_t chunk, int repetitions, struct bench_result *out,
                      struct err *e)
{
	struct infer x = { .n = (size_t)what->n, .chunk = chunk, .streams = what->streams, .depth = what->depth };
	struct session_size size = { what->n + what->depth, what->streams > 1 ? what->streams + 1 : 1, what->cache };
	size_t all = (size_t)size.n_ctx;
	const float *logits;
	int status = 0;

	*out = (struct bench_result){ .tokens = (int64_t)what->n * what->streams };
	if (session_new(&x.s, m, what->overlay, d, &size, e) < 0)
		return -1;
	int32_t *ids = mem_array(all, sizeof(*ids));
	for (size_t i = 0; i < all; i++)
		ids[i] = (int32_t)((i * 7919 + 13) % (size_t)m->config.V);
	x.ids = ids + x.depth;
	if (x.depth)
		status = session_feed(x.s, 0, ids, (size_t)x.depth, &logits, e);
	if (status == 0)
		status = time_feeds(d, w, &x, repetitions, out, e);
	session_free(x.s);
	mem_free(ids);
	return status;
}

int bench_prefill(struct device *d, const struct bench_watch *w, struct model *m, const struct bench_inference *what,
                  int repetitions, struct bench_result *out, struct err *e)
{
	return infer_pass(d, w, m, what, (size_t)what->n, repetitions, out, e);
}

int bench_decode(struct device *d, const struct bench_watch *w, struct model *m, const struct bench_inference *what,
                 int repetitions, struct bench_result *out, struct err *e)
{
	return infer_pass(d, w, m, what, 1, repetitions, out, e);
}

/* --- training --- */

/* Rows of words of random letters: more than enough tokens, as such a word is two or more. */
static int write_text(const char *path, uint64_t words, struct err *e)
{
	struct rng_key key = { 42, RNG_SHUFFLE };
	struct buf text = BUF_INIT;

	for (uint64_t i = 0; i < words; i++) {
		uint64_t letters = rng_permute(key, 0, (uint64_t)1 << 40, i);
		buf_adds(&text, i % TEXT_WORDS == 0 ? "{\"text\": \"" : "");
		for (int j = 0; j < 6; j++, letters /= 26)
			buf_addc(&text, (char)('a' + letters % 26));
		buf_adds(&text, (i + 1) % TEXT_WORDS == 0 || i + 1 == words ? "\"}\n" : " ");
	}
	int status = io_write(path, text.data, text.len, e);
	buf_release(&text);
	return status;
}

static int make_recipe(struct recipe *r, struct opt_parse *p, const struct bench_training *what, const char *data,
                       int micro_documents, int steps, struct err *e)
{
	json_t *none = json_object();
	int status = recipe_load(r, p, none, e);

	json_decref(none);
	if (status)
		return -1;
	r->model = what->model;
	r->data = data;
	r->out = ".";
	r->method = what->method;
	r->compute = what->compute;
	r->max_length = what->length;
	r->micro_batch_tokens = micro_documents * what->length;
	r->batch_size = what->documents;
	r->packing = true;
	r->max_steps = steps;
	r->save_steps = 0;
	return recipe_resolve(r, e);
}

static int time_steps(struct trainer *t, const struct bench_watch *w, int repetitions, struct bench_result *out,
                      struct err *e)
{
	struct step_metrics m;

	out->planned_bytes = trainer_plan(t)->planned_bytes;
	if (trainer_start(t, e) < 0 || trainer_step(t, &m, e) < 0)
		return -1;
	out->tokens = m.tokens;
	out->flops = m.flops - m.int_ops;
	out->int_ops = m.int_ops;
	w->begin(w->ctx);
	for (out->n = 0; out->n < repetitions && !(w->stop && w->stop()); out->n++) {
		if (trainer_step(t, &m, e) < 0)
			return -1;
		out->seconds[out->n] = m.seconds;
	}
	w->end(w->ctx, &out->gas);
	out->used_bytes = mem_rss();
	finish(out);
	return out->n ? 0 : err_set(e, "interrupted while passes were timed");
}

struct training {
	char *data;
	struct recipe recipe;
	struct opt_parse parse;            /* owns the recipe's strings */
	struct trainer *trainer;
};

static int open_on_text(struct training *x, struct device *d, const struct bench_training *what, int micro_documents,
                        int steps, struct err *e)
{
	uint64_t words = MAX((uint64_t)TEXT_WORDS, (uint64_t)what->length * (uint64_t)what->documents / 2);

	if (write_text(x->data, words, e) < 0 ||
	    make_recipe(&x->recipe, &x->parse, what, x->data, micro_documents, steps, e) < 0)
		return -1;
	return trainer_open(&x->trainer, &x->recipe, d, e);
}

static int training_open(struct training *x, struct device *d, const struct bench_training *what, int micro_documents,
                         int steps, struct err *e)
{
	const char *tmp = env_get("TMPDIR");
	char *place = mem_printf("%s/kungfu-bench-XXXXXX", tmp ? tmp : "/tmp");
	int status = io_temporary_dir(place, e);

	*x = (struct training){ .data = io_join(place, "rows.jsonl") };
	if (status == 0) {
		status = open_on_text(x, d, what, micro_documents, steps, e);
		io_remove_tree(place, NULL);
	}
	mem_free(place);
	return status;
}

static void training_close(struct training *x)
{
	trainer_close(x->trainer);
	opt_release(&x->parse);
	mem_free(x->data);
}

int bench_train(struct device *d, const struct bench_watch *w, const struct bench_training *what, int repetitions,
                struct bench_result *out, struct err *e)
{
	struct training x;

	*out = (struct bench_result){ 0 };
	int status = training_open(&x, d, what, what->documents, repetitions + 1, e);
	if (status == 0)
		status = time_steps(x.trainer, w, repetitions, out, e);
	training_close(&x);
	return status;
}

int bench_train_plan(struct device *d, const struct bench_training *what, struct trainer_plan *out, struct err *e)
{
	struct training x;
	int status = training_open(&x, d, what, what->documents, 1, e);

	if (status == 0)
		*out = *trainer_plan(x.trainer);
	training_close(&x);
	return status;
}

static bool fits(struct trainer *t, int length, int documents, size_t memory)
{
	size_t bytes = trainer_least_bytes(t, documents * length);
	return bytes && bytes <= memory;
}

/* Doubled until it does not fit, then halved between the last two. */
int bench_train_largest(struct device *d, const struct bench_training *what, size_t memory, int *documents,
                        struct err *e)
{
	struct training x;
	int low = 0, high = 1, status = training_open(&x, d, what, 1, 1, e);

	for (; status == 0 && high <= what->documents && fits(x.trainer, what->length, high, memory);
	     high = MIN(2 * high, MAX(what->documents, high + 1)))
		low = high;
	while (status == 0 && high - low > 1) {
		int middle = low + (high - low) / 2;
		*(fits(x.trainer, what->length, middle, memory) ? &low : &high) = middle;
	}
	*documents = low;
	training_close(&x);
	return status;
}
