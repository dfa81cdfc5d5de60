/* test_adapters: what must hold for every row of the adapters' table, as test_ops has it for ops: with its own
 * defaults, on the tiny models.
 *
 * A new one changes nothing; worked into weights it gives what it gives over them; saved and loaded it has the same
 * bits; its gradient is that of finite differences; threads, ranks, recomputing and a stop change no bit; a session
 * beside the trainer gives what the saved result gives. */
#include "fixture_bench.h"
#include "fixture_ranks.h"
#include "fixture_training.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "adapt/adapter.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "infer/session.h"
#include "model/weights.h"
#include "train/method.h"

#define SMALL "per-device-train-batch-size=6 micro-batch-tokens=150 max-length=100 max-steps=4 learning-rate=3e-3"

/* What a type needs said, and where it has nothing to do with the first of the models another of its shape. */
static const struct type_need {
	const char *type, *options[7], *models[3];
} needs[] = {
	{ "trainable_tokens", { "token-indices", "40,9,77" }, { "llama", "gpt2", "llama.gguf" } },
	{ "shira", { "lora-r", "2" }, { "llama", "gpt2", "llama.gguf" } },
	{ "bitfit", { NULL }, { "qwen2", "gpt2", "qwen2.gguf" } },
};

/* Rows of the table once more, otherwise than by their defaults. */
static const struct type_need variants[] = {
	{ "lora", { "use-dora", "true", "target-modules", "all-linear" }, { "llama", "gpt2", "llama.gguf" } },
	{ "lora", { "use-dora", "true", "target-modules", "q_proj,embed_tokens" }, { "llama-untied" } },
	{ "lora", { "lora-bias", "true", "bias", "all" }, { "gpt2", "gpt2.gguf" } },
	{ "lora", { "bias", "lora_only", "target-modules", "q_proj,o_proj" }, { "qwen2", "qwen2.gguf" } },
};
static const struct type_need *variant; /* that is tested now, or NULL */

static const struct type_need *need_of(const char *type)
{
	static const struct type_need plain = { NULL, { NULL }, { "llama", "gpt2", "llama.gguf" } };

	if (variant && !strcmp(variant->type, type))
		return variant;
	for (size_t i = 0; i < ARRAY_LEN(needs); i++)
		if (!strcmp(needs[i].type, type))
			return &needs[i];
	return &plain;
}

static bool make(struct bench *b, const struct adapter_type *type, struct adapter *a)
{
	struct err e = ERR_INIT;
	const char *const *options = need_of(type->name)->options;

	return bench_fine(b, adapter_new_named(a, type->name, &b->model, options, 3, &e), &e);
}

/* A run's options: SMALL, the method's own and `more`. */
static void write_options(char *out, size_t size, const char *method, const char *more)
{
	const char *const *own = need_of(method)->options;
	int at = snprintf(out, size, SMALL " %s method=%s", more, method);

	for (; own[0]; own += 2)
		at += snprintf(out + at, size - (size_t)at, " %s=%s", own[0], own[1]);
}

static void shake(struct bench *b, struct adapter *a)
{
	struct params *p = &a->overlay.params;
	struct rng_key key = { 11, RNG_TEST };

	for (size_t i = 0; i < p->n_items; i++)
		for (size_t j = 0; j < p->items[i].n; j++)
			p->w[p->items[i].offset + j] += 0.1F * rng_normal(key, i, (uint32_t)j, 0);
	adapter_follow(a, &b->model, b->kernels, b->pool);
}

/* --- what it computes --- */

static void test_start(struct bench *b, const struct adapter_type *type)
{
	struct adapter a;
	size_t n = (size_t)DOCS * LENGTH;

	test_case(b->t, "%s, %s: a new one changes nothing", type->name, b->model.config.arch->name);
	if (!make(b, type, &a))
		return;
	const float *plain = bench_logprobs(b, NULL), *with = bench_logprobs(b, &a.overlay);
	if (!a.overlay.virtual_tokens) /* which are seen from the start */
		CHECK(b->t, bench_difference(plain, with, n) <= 1e-6 * bench_largest(plain, n));
	shake(b, &a);
	CHECK(b->t, bench_difference(plain, bench_logprobs(b, &a.overlay), n) > 1e-3);
	adapter_release(&a);
}

static void test_merge(struct bench *b, const struct adapter_type *type)
{
	struct err e = ERR_INIT;
	struct adapter a;
	struct overlay merged;
	size_t n = (size_t)DOCS * LENGTH;

	test_case(b->t, "%s, %s: worked into weights it gives what it gives over them", type->name,
	          b->model.source.path);
	if (!type->merge || !make(b, type, &a))
		return;
	shake(b, &a);
	overlay_init(&merged, &b->model);
	overlay_replace_all(&merged, &b->model);
	bench_fine(b, params_seal(&merged.params, &e), &e);
	for (size_t i = 0; i < b->model.n_weights; i++) {
		float *w = merged.params.w + merged.params.items[i].offset;
		adapter_merged(&a, &b->model, (int)i, w);
		weight_convert(&b->model, (int)i, w, false);
	}
	CHECK(b->t, !adapter_unties(&a));
	const float *over = bench_logprobs(b, &a.overlay), *in = bench_logprobs(b, &merged);
	double off = bench_difference(over, in, n);
	CHECK_MSG(b->t, off <= 1e-5 * bench_largest(over, n), "off by %g of %g", off, bench_largest(over, n));
	overlay_release(&merged);
	adapter_release(&a);
}

static void test_saved(struct bench *b, const struct adapter_type *type)
{
	struct err e = ERR_INIT;
	struct adapter a, back;
	size_t n = (size_t)DOCS * LENGTH;
	char *dir = io_join(test_tmp(), "saved-adapter");

	test_case(b->t, "%s, %s: saved and loaded it has the same bits", type->name, b->model.source.path);
	if (type->load && make(b, type, &a)) {
		shake(b, &a);
		if (bench_fine(b, adapter_save(&a, &b->model, dir, &e), &e) &&
		    bench_fine(b, adapter_load(&back, dir, &b->model, &e), &e)) {
			CHECK(b->t, back.type == type && json_equal(a.config, back.config));
			CHECK(b->t, !memcmp(bench_logprobs(b, &a.overlay), bench_logprobs(b, &back.overlay),
			                    n * sizeof(float)));
			adapter_release(&back);
		}
		adapter_release(&a);
	}
	io_remove_tree(dir, NULL);
	mem_free(dir);
}

static double loss(struct bench *b, const struct overlay *o)
{
	const float *x = bench_logprobs(b, o);
	double sum = 0;

	for (size_t i = 0; i < (size_t)DOCS * LENGTH; i++)
		sum -= x[i];
	return sum;
}

/* Along a random direction through all of its numbers. */
static void test_gradient(struct bench *b, const struct adapter_type *type)
{
	struct adapter a;
	struct rng_key key = { 13, RNG_TEST };

	test_case(b->t, "%s, %s: its gradient is that of finite differences", type->name, b->model.config.arch->name);
	if (!make(b, type, &a))
		return;
	shake(b, &a);
	struct params *p = &a.overlay.params;
	const double h = a.type->flatten && a.own ? 1e-4 : 2e-3; /* an encoder's relu has bends */
	const float *g = bench_gradient(b, &a.overlay, p->n, b->pointers, DOCS);
	for (uint32_t way = 0; way < 3; way++) {
		float *at = arena_array(&b->mem, p->n, sizeof(*at));
		double slope = 0, size = 0, side[4];
		memcpy(at, p->w, p->n * sizeof(*at));
		for (size_t i = 0; i < p->n; i++) {
			slope += g[i] * (double)(rng_uniform(key, i, way, 0) < 0.5F ? -1 : 1);
			size += (double)g[i] * g[i];
		}
		size = sqrt(size);
		for (int k = 0; k < 4; k++) {
			double step = (k % 2 ? -h : h) / (k < 2 ? 1 : 4);
			for (size_t i = 0; i < p->n; i++)
				p->w[i] = at[i] + (float)(step * (rng_uniform(key, i, way, 0) < 0.5F ? -1 : 1));
			side[k] = loss(b, &a.overlay);
		}
		memcpy(p->w, at, p->n * sizeof(*at));
		/* the error of each goes with the square of its step, and falls out of both (Richardson) */
		double far = (side[0] - side[1]) / (2 * h), near = (side[2] - side[3]) / (h / 2);
		double found = (16 * near - far) / 15;
		CHECK_MSG(b->t, size > 0 && fabs(found - slope) <= 0.03 * size, "%g, by differences %g; of %g", slope,
		          found, size);
	}
	adapter_release(&a);
}

/* --- trained --- */

static void test_bits(struct test *t, const struct adapter_type *type, const char *model, const char *data)
{
	char first[33], other[33], options[256];

	write_options(options, sizeof(options), type->name, "");
	test_case(t, "%s, %s: 1 and 3 threads, and recomputing, give the same bits", type->name, model);
	training_run(t, model, data, options, 1, first, NULL);
	training_run(t, model, data, options, 3, other, NULL);
	CHECK(t, !strcmp(first, other));
	test_case(t, "%s, %s: and so do three ranks", type->name, model);
	write_options(options, sizeof(options), type->name, "");
	crew_check(t, model, data, options, 3, first);
	write_options(options, sizeof(options), type->name, "gradient-checkpointing=true");
	training_run(t, model, data, options, 2, other, NULL);
	CHECK(t, !strcmp(first, other));
}

static void test_resume(struct test *t, const struct adapter_type *type, const char *model, const char *data)
{
	char whole[33], hex[33], options[256], *dir = io_join(test_tmp(), "adapter-checkpoint");
	struct err e = ERR_INIT;
	struct training s;
	struct job j;
	json_t *caller = json_object(), *back = NULL;

	write_options(options, sizeof(options), type->name, "");
	test_case(t, "%s, %s: stopped and resumed, the same bits", type->name, model);
	training_run(t, model, data, options, 2, whole, NULL);
	job_init(t, &j, model, data, options);
	if (training_begin(t, &s, &j, 2)) {
		training_steps(t, &s, 2, NULL);
		CHECK_MSG(t, trainer_save(s.trainer, dir, caller, &e) == 0, "%s", e.msg);
	}
	training_end(&s);
	if (training_begin(t, &s, &j, 3)) {
		CHECK_MSG(t, trainer_load(s.trainer, dir, &back, &e) == 0, "%s", e.msg);
		training_steps(t, &s, 2, NULL);
		params_hash(trainer_params(s.trainer), hex);
		CHECK(t, !strcmp(whole, hex));
	}
	training_end(&s);
	json_decref(caller);
	json_decref(back);
	job_release(&j);
	io_remove_tree(dir, NULL);
	mem_free(dir);
}

static void logits_of(struct test *t, struct model *m, const struct overlay *o, struct device *d, float *out)
{
	static const int32_t ids[] = { 5, 9, 40, 77, 3 };
	struct err e = ERR_INIT;
	struct session *s;
	const float *logits = NULL;

	CHECK_MSG(t, session_new(&s, m, o, d, &(struct session_size){ .n_ctx = 32 }, &e) == 0, "%s", e.msg);
	CHECK_MSG(t, session_feed(s, 0, ids, ARRAY_LEN(ids), &logits, &e) == 0, "%s", e.msg);
	if (logits)
		memcpy(out, logits, (size_t)m->config.V * sizeof(*out));
	session_free(s);
}

/* The result, read back: an adapter over the model, or a model. */
static void logits_of_result(struct test *t, const char *model, const char *dir, bool full, struct device *d,
                             float *out)
{
	struct err e = ERR_INIT;
	struct model m;
	struct adapter a;
	char *path = full ? mem_strdup(dir) : io_join(test_golden(), model);
	bool fine = model_open(&m, path, &e) == 0;

	CHECK_MSG(t, fine, "%s", e.msg);
	if (fine && full) {
		logits_of(t, &m, NULL, d, out);
	} else if (fine) {
		CHECK_MSG(t, adapter_load(&a, dir, &m, &e) == 0, "%s", e.msg);
		logits_of(t, &m, &a.overlay, d, out);
		adapter_release(&a);
	}
	if (fine)
		model_close(&m);
	mem_free(path);
}

static void test_beside(struct test *t, const char *method, const char *model, const char *data, const char *more)
{
	char options[256], *dir = io_join(test_tmp(), "trained-result");
	struct err e = ERR_INIT;
	struct training s;
	struct job j;

	write_options(options, sizeof(options), method, more);
	test_case(t, "%s %s, %s: a session beside the trainer has its weights of the moment, without a copy", method,
	          more, model);
	job_init(t, &j, model, data, options);
	if (training_begin(t, &s, &j, 2)) {
		struct model *m = trainer_model(s.trainer);
		float *now = mem_array(2 * (size_t)m->config.V, sizeof(*now)), *then = now + m->config.V;
		size_t V = (size_t)m->config.V;
		logits_of(t, m, trainer_overlay(s.trainer), &s.device, now);
		training_steps(t, &s, 4, NULL);
		logits_of(t, m, trainer_overlay(s.trainer), &s.device, then);
		CHECK(t, bench_difference(now, then, V) > 0);
		CHECK_MSG(t, trainer_result(s.trainer, dir, &e) == 0, "%s", e.msg);
		logits_of_result(t, model, dir, !method_adapter(method), &s.device, now);
		CHECK(t, !memcmp(now, then, V * sizeof(*now)));
		mem_free(now);
	}
	training_end(&s);
	job_release(&j);
	io_remove_tree(dir, NULL);
	mem_free(dir);
}

/* llama-shira's masks were drawn by PEFT. */
static void test_drawn(struct test *t)
{
	static const char *const options[] = { "lora-r", "2", "target-modules", "q_proj,k_proj,down_proj", NULL };
	struct err e = ERR_INIT;
	struct bench b;
	struct adapter ours, theirs;
	char *path = io_join(test_golden(), "llama-shira");

	test_case(t, "a mask of the same seed is PEFT's");
	if (bench_open(&b, t, "llama")) {
		bool fine = bench_fine(&b, adapter_new_named(&ours, "shira", &b.model, options, 9, &e), &e) &&
		            bench_fine(&b, adapter_load(&theirs, path, &b.model, &e), &e);
		CHECK(t, fine && ours.overlay.fixed.n == theirs.overlay.fixed.n &&
		                 !memcmp(ours.overlay.fixed.w, theirs.overlay.fixed.w,
		                         ours.overlay.fixed.n * sizeof(float)));
		adapter_release(&ours);
		adapter_release(&theirs);
		bench_close(&b);
	}
	mem_free(path);
}

static void test_type(struct test *t, const struct adapter_type *type, const char *data)
{
	const char *const *models = need_of(type->name)->models;
	struct bench b;

	for (size_t k = 0; k < 3 && models[k]; k++) {
		if (!bench_open(&b, t, models[k]))
			continue;
		test_start(&b, type);
		test_merge(&b, type);
		test_saved(&b, type);
		test_gradient(&b, type);
		bench_close(&b);
	}
	for (size_t k = 0; k < 2 && models[k]; k++) {
		test_bits(t, type, models[k], data);
		test_resume(t, type, models[k], data);
	}
	test_beside(t, type->name, models[0], data, "");
}

static const struct adapter_type *type_named(const char *name)
{
	struct opt_row row;
	size_t i;

	if (!opt_row_find(adapter_rows, name, &row, &i))
		BUG("no type %s", name);
	return adapter_type_table[i];
}

void test_adapters(struct test *t)
{
	char *data = write_rows(t, 12);

	test_drawn(t);
	log_set(LOG_QUIET); /* the trainers' words about their rows */
	for (size_t i = 0; adapter_type_table[i]; i++)
		test_type(t, adapter_type_table[i], data);
	for (size_t i = 0; i < ARRAY_LEN(variants); i++) {
		variant = &variants[i];
		test_type(t, type_named(variant->type), data);
	}
	variant = NULL;
	test_beside(t, method_full, "llama", data, "");
	test_beside(t, method_full, "llama", data, "trainable=norm,layers.1");
	test_beside(t, method_full, "gpt2", data, "trainable-layers=last:1");
	log_set(LOG_NORMAL);
	mem_free(data);
}
