/* test_api: kungfu.h as a program sees it: mistakes of every kind are error returns, handles are independent, a run
 * steered by its caller is the run of the recipe where it does not steer, and the calling thread is left as it was. */
#include "fixture_api.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/pool.h"

static struct kf_model *open_model(struct test *t, const char *name)
{
	char *path = golden(name);
	struct kf_model *m;
	GOOD(kf_model_open(&m, path, &error));
	mem_free(path);
	return m;
}

static struct kf_trainer *open_trainer(struct test *t, const char *method, const char *more, const char *value)
{
	char *model = golden("llama"), *data = golden("rows.jsonl");
	const struct kf_option options[] = { { "model", model },          { "data", data },     { "eval-data", data },
		                             { "method", method },        { "max-steps", "6" }, { "batch-size", "2" },
		                             { "learning-rate", "0.01" }, { more, value },      { NULL, NULL } };
	struct kf_trainer *tr;
	GOOD(kf_trainer_open(&tr, options, &one_thread, &error));
	mem_free(model);
	mem_free(data);
	return tr;
}

/* --- mistakes --- */

static void null_handles(struct test *t)
{
	struct kf_estimate unused;
	void *none = &unused;
	size_t n;

	test_case(t, "NULL for a handle: every function refuses it");
	BAD(KF_MISUSE, kf_model_open(NULL, "x", &error));
	BAD(KF_MISUSE, kf_model_describe(NULL, none, &error));
	BAD(KF_MISUSE, kf_encode(NULL, "x", 1, 0, none, &n, &error));
	BAD(KF_MISUSE, kf_decode(NULL, none, 1, 0, none, &n, &error));
	BAD(KF_MISUSE, kf_chat(NULL, none, 1, none, &n, &error));
	BAD(KF_MISUSE, kf_adapter_open(none, NULL, "x", &error));
	BAD(KF_MISUSE, kf_adapter_merge(NULL, "x", "f32", &error));
	BAD(KF_MISUSE, kf_session_new(none, NULL, NULL, 0, NULL, &error));
	BAD(KF_MISUSE, kf_session_feed(NULL, none, 1, none, &error));
	BAD(KF_MISUSE, kf_session_truncate(NULL, 0, &error));
	BAD(KF_MISUSE, kf_session_generate(NULL, none, 1, NULL, &(struct kf_generation){ 0 }, &error));
	BAD(KF_MISUSE, kf_data_open(none, NULL, "x", NULL, &error));
	BAD(KF_MISUSE, kf_data_document(NULL, 0, none, &error));
	BAD(KF_MISUSE, kf_data_lint(NULL, none, &error));
	BAD(KF_MISUSE, kf_data_finding(NULL, 0, none, &error));
	BAD(KF_MISUSE, kf_evaluator_new(none, NULL, NULL, NULL, NULL, &error));
	BAD(KF_MISUSE, kf_evaluator_score(NULL, none, 1, none, NULL, &error));
	BAD(KF_MISUSE, kf_evaluator_rows(NULL, "x", &(struct kf_evaluation){ 0 }, &error));
	BAD(KF_MISUSE, kf_embed(NULL, none, 1, NULL, none, &n, &error));
	BAD(KF_MISUSE, kf_labeller_open(NULL, "x", NULL, &error));
	BAD(KF_MISUSE, kf_labeller_say(NULL, "x", 1, none, NULL, &error));
	BAD(KF_MISUSE, kf_trainer_open(NULL, &(struct kf_option){ 0 }, NULL, &error));
	BAD(KF_MISUSE, kf_trainer_plan(NULL, none, &error));
	BAD(KF_MISUSE, kf_trainer_start(NULL, &error));
	BAD(KF_MISUSE, kf_trainer_step(NULL, &(struct kf_step){ 0 }, &error));
	BAD(KF_MISUSE, kf_trainer_set_learning_rate(NULL, 1, &error));
	BAD(KF_MISUSE, kf_trainer_document(NULL, 0, none, &error));
	BAD(KF_MISUSE, kf_trainer_set_weight(NULL, 0, 1, &error));
	BAD(KF_MISUSE, kf_trainer_next(NULL, NULL, 0, &n, &error));
	BAD(KF_MISUSE, kf_trainer_evaluate(NULL, none, &error));
	BAD(KF_MISUSE, kf_trainer_save(NULL, "x", NULL, &error));
	BAD(KF_MISUSE, kf_trainer_load(NULL, "x", NULL, &error));
	BAD(KF_MISUSE, kf_trainer_result(NULL, "x", &error));
	CHECK(t, kf_session_length(NULL) == KF_MISUSE && kf_session_context(NULL) == KF_MISUSE);
	CHECK(t, kf_labeller_count(NULL) == 0 && !kf_labeller_name(NULL, 0));
	CHECK(t, kf_data_count(NULL) == 0 && kf_trainer_count(NULL) == 0 && kf_trainer_steps_done(NULL) == 0);
	kf_model_free(NULL);
	kf_adapter_free(NULL);
	kf_session_free(NULL);
	kf_data_free(NULL);
	kf_evaluator_free(NULL);
	kf_labeller_free(NULL);
	kf_trainer_free(NULL);
	kf_free(NULL);
	CHECK(t, kf_abi() == KF_ABI && kf_version()[0]);
}

/* A folder of facts and weights alone is run by ids. */
static void without_tokenizer(struct test *t)
{
	static const char *const files[] = { "config.json", "model.safetensors" };
	char *dir = io_join(test_tmp(), "bare");
	struct kf_model *m;
	struct kf_model_facts facts;
	struct kf_session *s;
	struct kf_data *d;
	struct kf_generation g;
	const float *logits;
	int32_t ids[] = { 3, 5 }, *out;
	char *text, *rows = golden("rows.jsonl");
	size_t n;

	test_case(t, "a model without a tokenizer: ids yes, text no");
	io_mkdirs(dir, NULL);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char *from = mem_printf("%s/llama/%s", test_golden(), files[i]), *to = io_join(dir, files[i]);
		struct buf b = BUF_INIT;
		CHECK(t, io_read(&b, from, NULL) == 0 && io_write(to, b.data, b.len, NULL) == 0);
		buf_release(&b);
		mem_free(from);
		mem_free(to);
	}
	GOOD(kf_model_open(&m, dir, &error));
	GOOD(kf_model_describe(m, &facts, &error));
	CHECK(t, facts.bos == -1 && facts.eos == -1 && !facts.has_template && facts.vocabulary == 301);
	BAD(KF_FAILED, kf_encode(m, "x", 1, 0, &out, &n, &error));
	BAD(KF_FAILED, kf_decode(m, ids, 2, 0, &text, NULL, &error));
	BAD(KF_FAILED, kf_chat(m, &(struct kf_message){ "user", "x" }, 1, &out, &n, &error));
	BAD(KF_FAILED, kf_data_open(&d, m, rows, NULL, &error));
	GOOD(kf_session_new(&s, m, NULL, 0, &one_thread, &error));
	GOOD(kf_session_feed(s, ids, 2, &logits, &error));
	CHECK(t, isfinite(logits[0]));
	BAD(KF_FAILED, kf_session_generate(s, ids, 2, NULL, &g, &error));
	kf_session_free(s);
	kf_model_free(m);
	mem_free(rows);
	mem_free(dir);
}

static void model_mistakes(struct test *t, struct kf_model *m, const int32_t *ids)
{
	struct kf_message no_role = { NULL, "x" }, bytes = { "user", "a\377" };
	struct kf_settings many = { .threads = 5000 }, reserved = { .reserved = { 1 } };
	struct kf_adapter *a;
	struct kf_session *s;
	int32_t *out, far = 1 << 20;
	char *text;
	size_t n;

	test_case(t, "mistakes with a model, its text, its adapter");
	BAD(KF_MISUSE, kf_model_open(&m, NULL, &error));
	CHECK(t, m == NULL);
	BAD(KF_MISUSE, kf_model_open(&m, "-", &error));
	BAD(KF_FAILED, kf_model_open(&m, "/nonexistent", &error));
	m = open_model(t, "llama");
	BAD(KF_MISUSE, kf_model_describe(m, NULL, &error));
	BAD(KF_MISUSE, kf_encode(m, NULL, 1, 0, &out, &n, &error));
	BAD(KF_MISUSE, kf_encode(m, "x", 1, 0, NULL, &n, &error));
	BAD(KF_MISUSE, kf_encode(m, "x", 1, 0, &out, NULL, &error));
	BAD(KF_MISUSE, kf_encode(m, "x", 1, 64, &out, &n, &error));
	BAD(KF_FAILED, kf_encode(m, "a\377", KF_WHOLE, 0, &out, &n, &error));
	BAD(KF_MISUSE, kf_decode(m, NULL, 1, 0, &text, NULL, &error));
	BAD(KF_MISUSE, kf_decode(m, ids, 1, 0, NULL, NULL, &error));
	BAD(KF_MISUSE, kf_decode(m, &far, 1, 0, &text, NULL, &error));
	BAD(KF_MISUSE, kf_chat(m, NULL, 1, &out, &n, &error));
	BAD(KF_MISUSE, kf_chat(m, &bytes, 0, &out, &n, &error));
	BAD(KF_MISUSE, kf_chat(m, &no_role, 1, &out, &n, &error));
	BAD(KF_FAILED, kf_chat(m, &bytes, 1, &out, &n, &error));
	BAD(KF_MISUSE, kf_adapter_open(NULL, m, "x", &error));
	BAD(KF_MISUSE, kf_adapter_open(&a, m, NULL, &error));
	BAD(KF_FAILED, kf_adapter_open(&a, m, "/nonexistent", &error));
	BAD(KF_MISUSE, kf_adapter_open(&a, (struct kf_model *)&n, "x", &error));
	BAD(KF_MISUSE, kf_session_new(NULL, m, NULL, 0, NULL, &error));
	BAD(KF_MISUSE, kf_session_new(&s, m, NULL, -1, NULL, &error));
	BAD(KF_MISUSE, kf_session_new(&s, m, NULL, 1 << 20, NULL, &error));
	BAD(KF_MISUSE, kf_session_new(&s, m, NULL, 0, &many, &error));
	BAD(KF_MISUSE, kf_session_new(&s, m, NULL, 0, &reserved, &error));
	BAD(KF_MISUSE, kf_session_new(&s, m, NULL, 0, &(struct kf_settings){ .cache_type_v = 3 }, &error));
	/* heads of 8 */
	BAD(KF_FAILED, kf_session_new(&s, m, NULL, 0, &(struct kf_settings){ .cache_type_k = KF_CACHE_Q8_0 }, &error));
	BAD(KF_MISUSE, kf_session_new(&s, m, (struct kf_adapter *)m, 0, NULL, &error));
	CHECK(t, kf_model_describe(m, NULL, NULL) == KF_MISUSE); /* who wants no sentence gets none */
	kf_model_free(m);
}

static int free_it(void *ctx, const char *text, size_t n)
{
	(void)text;
	(void)n;
	kf_session_free(ctx);
	return 0;
}

static int stop_at_once(void *ctx, const char *text, size_t n)
{
	struct kf_session *s = *(struct kf_session **)ctx;
	(void)text;
	(void)n;
	*(struct kf_session **)ctx = NULL;
	return kf_session_truncate(s, 0, &error) == KF_MISUSE; /* in use: by the call that this is a callback of */
}

static void session_mistakes(struct test *t, struct kf_model *m, const int32_t *ids, size_t n)
{
	struct kf_session *s, *inner;
	struct kf_generation g;
	const char *stop[] = { "x", "" };
	int32_t wrong[] = { ids[0], -1 };

	test_case(t, "mistakes with a session");
	GOOD(kf_session_new(&s, m, NULL, 8, &one_thread, &error));
	BAD(KF_MISUSE, kf_session_feed(s, NULL, 1, NULL, &error));
	BAD(KF_MISUSE, kf_session_feed(s, ids, 0, NULL, &error));
	BAD(KF_MISUSE, kf_session_feed(s, wrong, 2, NULL, &error));
	BAD(KF_FAILED, kf_session_feed(s, (int32_t[9]){ 0 }, 9, NULL, &error));
	CHECK(t, kf_session_length(s) == 0 && kf_session_context(s) == 8);
	BAD(KF_MISUSE, kf_session_truncate(s, 1, &error));
	BAD(KF_MISUSE, kf_session_truncate(s, -1, &error));
	BAD(KF_MISUSE, kf_session_generate(s, ids, 1, NULL, NULL, &error));
	BAD(KF_MISUSE, kf_session_generate(s, NULL, 1, NULL, &g, &error));
	BAD(KF_MISUSE,
	    kf_session_generate(s, ids, 1, &(struct kf_generate_options){ .stop = stop, .n_stop = 2 }, &g, &error));
	BAD(KF_MISUSE, kf_session_generate(s, ids, 1, &(struct kf_generate_options){ .n_stop = 2 }, &g, &error));
	BAD(KF_MISUSE,
	    kf_session_generate(s, ids, 1, &(struct kf_generate_options){ .sampling.temperature = NAN }, &g, &error));
	BAD(KF_MISUSE,
	    kf_session_generate(s, ids, 1, &(struct kf_generate_options){ .sampling.top_p = 1.5 }, &g, &error));
	BAD(KF_MISUSE,
	    kf_session_generate(s, ids, 1, &(struct kf_generate_options){ .sampling.top_k = -1 }, &g, &error));
	BAD(KF_MISUSE, kf_session_generate(s, ids, 1, &(struct kf_generate_options){ .reserved = { 1 } }, &g, &error));
	CHECK(t, kf_session_length(s) == 0);
	BAD(KF_MISUSE, kf_model_describe((struct kf_model *)s, &(struct kf_model_facts){ 0 }, &error));
	kf_session_free(s);

	test_case(t, "a call in a call's callback is refused, and a callback ends an answer");
	GOOD(kf_session_new(&s, m, NULL, 0, &one_thread, &error));
	inner = s;
	GOOD(kf_session_generate(s, ids, n,
	                         &(struct kf_generate_options){
					 .on_text = stop_at_once, .ctx = &inner, .max_new_tokens = 40 },
	                         &g, &error));
	CHECK(t, g.finish == KF_FINISH_CANCELLED && !inner);
	kf_session_free(s);

	test_case(t, "a session that is freed in its own callback goes when the call ends");
	GOOD(kf_session_new(&s, m, NULL, 0, &one_thread, &error));
	GOOD(kf_session_generate(s, ids, n,
	                         &(struct kf_generate_options){ .on_text = free_it, .ctx = s, .max_new_tokens = 4 }, &g,
	                         &error));
}

static void embed_mistakes(struct test *t, struct kf_evaluator *v)
{
	const char *const text[] = { "a", NULL, "\xff" };
	float *x;
	size_t width;

	BAD(KF_MISUSE, kf_embed(v, NULL, 1, NULL, &x, &width, &error));
	BAD(KF_MISUSE, kf_embed(v, text, 1, NULL, NULL, &width, &error));
	BAD(KF_MISUSE, kf_embed(v, text, 1, NULL, &x, NULL, &error));
	BAD(KF_MISUSE, kf_embed(v, text, 2, NULL, &x, &width, &error));
	BAD(KF_MISUSE, kf_embed(v, text + 2, 1, NULL, &x, &width, &error));
	BAD(KF_MISUSE, kf_embed(v, text, 1, &(struct kf_embed_options){ .pooling = "sum" }, &x, &width, &error));
	BAD(KF_MISUSE, kf_embed(v, text, 1, &(struct kf_embed_options){ .normalize = 2 }, &x, &width, &error));
	BAD(KF_MISUSE, kf_embed(v, text, 1, &(struct kf_embed_options){ .max_length = 1 << 20 }, &x, &width, &error));
	BAD(KF_MISUSE, kf_embed(v, text, 1, &(struct kf_embed_options){ .reserved = { 1 } }, &x, &width, &error));
	CHECK(t, x == NULL);
	GOOD(kf_embed(v, NULL, 0, NULL, &x, &width, &error));
	CHECK(t, x == NULL && width > 0);
}

static void evaluator_mistakes(struct test *t, struct kf_model *m, const int32_t *ids)
{
	struct kf_evaluator *v;
	const uint8_t learn[] = { 1, 1 };
	int32_t wrong[] = { ids[0], 1 << 20 };
	struct kf_document d = { .ids = ids, .n = 2 };
	double sum = 7;
	float *each = NULL;

	test_case(t, "mistakes with an evaluator");
	BAD(KF_MISUSE, kf_evaluator_new(NULL, m, NULL, NULL, NULL, &error));
	BAD(KF_MISUSE, kf_evaluator_new(&v, m, NULL, &(struct kf_evaluator_options){ .max_length = 1 }, NULL, &error));
	BAD(KF_MISUSE, kf_evaluator_new(&v, m, NULL, &(struct kf_evaluator_options){ .stride = -1 }, NULL, &error));
	BAD(KF_MISUSE,
	    kf_evaluator_new(&v, m, NULL, &(struct kf_evaluator_options){ .micro_batch_tokens = -4 }, NULL, &error));
	GOOD(kf_evaluator_new(&v, m, NULL, NULL, &one_thread, &error));
	BAD(KF_MISUSE, kf_evaluator_score(v, NULL, 1, &sum, NULL, &error));
	BAD(KF_MISUSE, kf_evaluator_score(v, &d, 1, NULL, NULL, &error));
	BAD(KF_MISUSE, kf_evaluator_score(v, &d, 1, &sum, &each, &error));
	BAD(KF_MISUSE, kf_evaluator_score(v, &(struct kf_document){ .ids = ids }, 1, &sum, NULL, &error));
	BAD(KF_MISUSE, kf_evaluator_score(v, &(struct kf_document){ .ids = wrong, .n = 2 }, 1, &sum, NULL, &error));
	BAD(KF_MISUSE,
	    kf_evaluator_score(v, &(struct kf_document){ .ids = ids, .n = 2, .learn = learn }, 1, &sum, NULL, &error));
	BAD(KF_MISUSE, kf_evaluator_score(v, &(struct kf_document){ .ids = ids, .n = 1 << 20 }, 1, &sum, NULL, &error));
	CHECK(t, sum == 7);
	GOOD(kf_evaluator_score(v, NULL, 0, NULL, NULL, &error));
	GOOD(kf_evaluator_score(v, &(struct kf_document){ .ids = ids, .n = 1 }, 1, &sum, NULL, &error));
	CHECK(t, sum == 0); /* of one token nothing is predicted */
	BAD(KF_MISUSE, kf_evaluator_rows(v, NULL, &(struct kf_evaluation){ 0 }, &error));
	BAD(KF_MISUSE, kf_evaluator_rows(v, "x", NULL, &error));
	BAD(KF_FAILED, kf_evaluator_rows(v, "/nonexistent", &(struct kf_evaluation){ 0 }, &error));
	embed_mistakes(t, v);
	kf_evaluator_free(v);
}

static void trainer_mistakes(struct test *t)
{
	struct kf_trainer *tr;
	struct kf_step step;
	size_t n;

	test_case(t, "mistakes with a trainer: options, order, ranges");
	BAD(KF_MISUSE, kf_trainer_open(&tr, NULL, NULL, &error));
	BAD(KF_MISUSE, kf_trainer_open(&tr, (struct kf_option[]){ { "data", "x" }, { 0 } }, NULL, &error));
	BAD(KF_MISUSE, kf_trainer_open(&tr, (struct kf_option[]){ { "model", NULL }, { 0 } }, NULL, &error));
	BAD(KF_MISUSE, kf_trainer_open(&tr, (struct kf_option[]){ { "lora-rr", "8" }, { 0 } }, NULL, &error));
	const struct kf_option unused[] = { { "model", "x" }, { "data", "x" }, { "method", "full" },
		                            { "lora-r", "8" }, { 0 } };
	CHECK_MSG(t,
	          kf_trainer_open(&tr, unused, NULL, &error) == KF_MISUSE &&
	                  strstr(error.message, "--method full does not use --lora-r"),
	          "%s", error.message);
	BAD(KF_MISUSE,
	    kf_trainer_open(&tr, (struct kf_option[]){ { "model", "x" }, { "data", "-" }, { 0 } }, NULL, &error));
	BAD(KF_MISUSE, kf_trainer_open(&tr, (struct kf_option[]){ { "model", "x" }, { "data", "x" }, { "replay", "-" },
	                                                          { 0 } }, NULL, &error));
	BAD(KF_FAILED, kf_trainer_open(&tr, (struct kf_option[]){ { "model", "/nonexistent" }, { "data", "x" }, { 0 } },
	                               NULL, &error));
	CHECK(t, tr == NULL);
	tr = open_trainer(t, "lora", NULL, NULL);
	BAD(KF_MISUSE, kf_trainer_step(tr, &step, &error));
	BAD(KF_MISUSE, kf_trainer_evaluate(tr, &(struct kf_scores){ 0 }, &error));
	BAD(KF_MISUSE, kf_trainer_save(tr, test_tmp(), NULL, &error));
	BAD(KF_MISUSE, kf_trainer_load(tr, test_tmp(), NULL, &error));
	BAD(KF_MISUSE, kf_trainer_result(tr, test_tmp(), &error));
	BAD(KF_MISUSE, kf_trainer_set_learning_rate(tr, -1, &error));
	BAD(KF_MISUSE, kf_trainer_set_learning_rate(tr, INFINITY, &error));
	BAD(KF_MISUSE, kf_trainer_set_weight(tr, 4, 1, &error));
	BAD(KF_MISUSE, kf_trainer_set_weight(tr, 0, -1, &error));
	BAD(KF_MISUSE, kf_trainer_set_weight(tr, 0, NAN, &error));
	BAD(KF_MISUSE, kf_trainer_next(tr, NULL, 3, &n, &error));
	BAD(KF_MISUSE, kf_trainer_document(tr, 4, &(struct kf_document){ 0 }, &error));
	BAD(KF_MISUSE, kf_trainer_plan(tr, NULL, &error));
	GOOD(kf_trainer_start(tr, &error));
	BAD(KF_MISUSE, kf_trainer_start(tr, &error));
	BAD(KF_MISUSE, kf_trainer_evaluate(tr, NULL, &error));
	BAD(KF_MISUSE, kf_trainer_save(tr, NULL, NULL, &error));
	BAD(KF_MISUSE, kf_trainer_save(tr, "x", "a\377", &error));
	BAD(KF_FAILED, kf_trainer_load(tr, "/nonexistent", NULL, &error));
	GOOD(kf_trainer_step(tr, NULL, &error));
	while (kf_trainer_step(tr, &step, &error) == KF_OK)
		;
	CHECK(t, kf_trainer_step(tr, &step, &error) == KF_DONE && kf_trainer_steps_done(tr) == 6);
	char *out = io_join(test_tmp(), "api-result");
	GOOD(kf_trainer_result(tr, out, &error));
	BAD(KF_MISUSE, kf_trainer_step(tr, &step, &error));
	BAD(KF_MISUSE, kf_trainer_save(tr, out, NULL, &error));
	GOOD(kf_trainer_result(tr, out, &error));
	mem_free(out);
	kf_trainer_free(tr);
}

/* --- what a run steered by its caller does --- */

static void run_steps(struct test *t, struct kf_trainer *tr, int from, int to, const double *rates, double *losses)
{
	struct kf_step s;
	for (int i = from; i < to; i++) {
		if (rates)
			GOOD(kf_trainer_set_learning_rate(tr, rates[i], &error));
		GOOD(kf_trainer_step(tr, &s, &error));
		CHECK(t, s.step == i + 1 && (!rates || s.learning_rate == rates[i]));
		losses[i] = s.loss;
	}
}

static void rates(struct test *t, const char *method)
{
	static const double linear[] = { 0.01 * 6 / 6, 0.01 * 5 / 6, 0.01 * 4 / 6,
		                         0.01 * 3 / 6, 0.01 * 2 / 6, 0.01 * 1 / 6 };
	double scheduled[6], steered[6], continued[6];
	char *place = io_join(test_tmp(), "api-checkpoint"), *note;
	struct kf_trainer *tr = open_trainer(t, method, "warmup-steps", "0");

	test_case(t, "%s: the schedule's rates given by the caller, and a checkpoint in between, are the same bits",
	          method);
	GOOD(kf_trainer_start(tr, &error));
	run_steps(t, tr, 0, 6, NULL, scheduled);
	kf_trainer_free(tr);
	tr = open_trainer(t, method, "warmup-steps", "0");
	GOOD(kf_trainer_start(tr, &error));
	double same[6];
	for (int i = 0; i < 6; i++)
		same[i] = 0.01 * ((double)(6 - i) / 6.0);
	run_steps(t, tr, 0, 3, same, steered);
	GOOD(kf_trainer_save(tr, place, "mine: 3", &error));
	run_steps(t, tr, 3, 6, same, steered);
	kf_trainer_free(tr);
	tr = open_trainer(t, method, "warmup-steps", "0");
	GOOD(kf_trainer_start(tr, &error));
	GOOD(kf_trainer_load(tr, place, &note, &error));
	CHECK(t, note && !strcmp(note, "mine: 3") && kf_trainer_steps_done(tr) == 3);
	kf_free(note);
	run_steps(t, tr, 3, 6, same, continued);
	CHECK(t, !memcmp(scheduled, steered, sizeof(scheduled)) &&
	                 !memcmp(scheduled + 3, continued + 3, 3 * sizeof(*scheduled)));
	CHECK(t, fabs(linear[1] - same[1]) < 1e-15);
	kf_trainer_free(tr);
	mem_free(place);
}

static double first_loss(struct test *t, const double weights[4], struct kf_step *step)
{
	struct kf_trainer *tr = open_trainer(t, "lora", "batch-size", "4");
	for (size_t i = 0; weights && i < 4; i++)
		GOOD(kf_trainer_set_weight(tr, i, weights[i], &error));
	GOOD(kf_trainer_start(tr, &error));
	int status = kf_trainer_step(tr, step, &error);
	kf_trainer_free(tr);
	return status == KF_OK ? step->loss : NAN;
}

static void weights(struct test *t)
{
	struct kf_step plain, doubled, first, all;
	double sum = 0, n = 0, tokens[4];

	test_case(t,
	          "weights: equal ones are none; a loss is the weighted mean of its documents'; all zero is refused");
	first_loss(t, NULL, &plain);
	first_loss(t, (double[]){ 2, 2, 2, 2 }, &doubled);
	CHECK(t, plain.loss == doubled.loss && plain.grad_norm == doubled.grad_norm);
	struct kf_trainer *tr = open_trainer(t, "lora", NULL, NULL);
	CHECK(t, kf_trainer_count(tr) == 4);
	for (size_t i = 0; i < 4; i++) {
		struct kf_document d;
		double only[4] = { 0 };
		GOOD(kf_trainer_document(tr, i, &d, &error));
		CHECK(t, d.line == i + 1 && d.n > 1 && d.learn[0] == 0 && d.choice == -1);
		tokens[i] = 0;
		for (size_t j = 0; j < d.n; j++)
			tokens[i] += d.learn[j];
		only[i] = 0.5;
		first_loss(t, only, &first);
		sum += (double)(i + 1) * tokens[i] * first.loss;
		n += (double)(i + 1) * tokens[i];
	}
	first_loss(t, (double[]){ 1, 2, 3, 4 }, &all);
	CHECK_MSG(t, fabs(all.loss - sum / n) < 1e-6, "%.9f %.9f", all.loss, sum / n);
	CHECK(t, isnan(first_loss(t, (double[]){ 0, 0, 0, 0 }, &first)) && error.status == KF_FAILED &&
	                 strstr(error.message, "weight 0"));
	kf_trainer_free(tr);
}

static void next_documents(struct test *t)
{
	struct kf_trainer *tr = open_trainer(t, "lora", NULL, NULL);
	size_t some[2], n, seen[4] = { 0 };

	test_case(t, "the documents of the next step are known before it; an epoch takes each once");
	GOOD(kf_trainer_start(tr, &error));
	for (int i = 0; i < 2; i++) {
		GOOD(kf_trainer_next(tr, some, 2, &n, &error));
		CHECK(t, n == 2 && some[0] < 4 && some[1] < 4);
		seen[some[0]]++;
		seen[some[1]]++;
		GOOD(kf_trainer_step(tr, NULL, &error));
	}
	CHECK(t, seen[0] == 1 && seen[1] == 1 && seen[2] == 1 && seen[3] == 1);
	while (kf_trainer_step(tr, NULL, &error) == KF_OK)
		;
	GOOD(kf_trainer_next(tr, NULL, 0, &n, &error));
	CHECK(t, n == 0);
	kf_trainer_free(tr);
}

/* --- results --- */

static double length_of(const float *x, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (double)x[i] * x[i];
	return sqrt(sum);
}

/* Of an encoder and a decoder: each text's vector is its own, whatever stands beside it. */
static void embeddings(struct test *t, const char *name)
{
	const char *const text[] = { "a plan is a promise", "a", "games" };
	char *path = golden(name);
	struct kf_embed_options unit = { .pooling = "mean", .normalize = 1 };
	struct kf_model *m;
	struct kf_evaluator *v;
	float *all, *one;
	size_t width, same;

	test_case(t, "%s: embeddings", name);
	GOOD(kf_model_open(&m, path, &error));
	GOOD(kf_evaluator_new(&v, m, NULL, NULL, &one_thread, &error));
	GOOD(kf_embed(v, text, 3, &unit, &all, &width, &error));
	for (size_t i = 0; i < 3; i++) {
		double off = 0;
		GOOD(kf_embed(v, text + i, 1, &unit, &one, &same, &error));
		for (size_t k = 0; k < width && one; k++)
			off = fmax(off, fabs((double)one[k] - (double)all[i * width + k]));
		CHECK_MSG(t, same == width && off < 1e-5, "text %zu: off by %g", i, off);
		CHECK(t, fabs(length_of(all + i * width, width) - 1) < 1e-5);
		kf_free(one);
	}
	kf_free(all);
	kf_evaluator_free(v);
	kf_model_free(m);
	mem_free(path);
}

static void scores(struct test *t, struct kf_model *m)
{
	char *path = golden("rows.jsonl");
	struct kf_data *data;
	struct kf_evaluator *v;
	struct kf_document d[4];
	struct kf_lint lint;
	struct kf_evaluation e;
	struct kf_trainer *tr = open_trainer(t, "lora", NULL, NULL);
	struct kf_scores s;
	double sum[4], total = 0, tokens = 0;
	float room[4][64], *each[4] = { room[0], room[1], room[2], room[3] };

	test_case(t, "a batch's scores are the evaluation's, the trainer's, and the sum of each token's");
	GOOD(kf_data_open(&data, m, path, NULL, &error));
	GOOD(kf_data_lint(data, &lint, &error));
	CHECK(t, lint.rows == 4 && lint.documents == 4 && lint.refused == 0 && kf_data_count(data) == 4);
	BAD(KF_MISUSE, kf_data_finding(data, 0, &(struct kf_finding){ 0 }, &error));
	BAD(KF_MISUSE, kf_data_document(data, 4, &d[0], &error));
	kf_data_free(data);
	BAD(KF_MISUSE, kf_data_open(&data, m, path, &(struct kf_data_options){ .max_length = 1 }, &error));
	CHECK(t, data == NULL);
	GOOD(kf_data_open(&data, m, path, NULL, &error));
	for (size_t i = 0; i < 4; i++)
		GOOD(kf_data_document(data, i, &d[i], &error));
	GOOD(kf_evaluator_new(&v, m, NULL, NULL, &one_thread, &error));
	GOOD(kf_evaluator_score(v, d, 4, sum, each, &error));
	for (size_t i = 0; i < 4; i++) {
		double own = 0;
		for (size_t j = 0; j < d[i].n; j++) {
			own += d[i].learn[j] ? room[i][j] : 0;
			tokens += d[i].learn[j];
		}
		CHECK_MSG(t, fabs(own - sum[i]) < 1e-4, "%g %g", own, sum[i]);
		total += sum[i];
	}
	GOOD(kf_evaluator_rows(v, path, &e, &error));
	CHECK_MSG(t, e.rows == 4 && e.exact_match.n == 4 && fabs(e.perplexity.mean - exp(-total / tokens)) < 1e-6, "%g",
	          e.perplexity.mean);
	GOOD(kf_trainer_start(tr, &error));
	GOOD(kf_trainer_evaluate(tr, &s, &error));
	CHECK_MSG(t, s.rows == 4 && fabs(s.perplexity - e.perplexity.mean) < 1e-5 && isnan(s.acc), "%g", s.perplexity);
	kf_trainer_free(tr);
	kf_evaluator_free(v);
	kf_data_free(data);
	mem_free(path);
}

static void adapters(struct test *t, struct kf_model *m, const int32_t *ids, size_t n)
{
	char *path = golden("llama-lora"), *merged = io_join(test_tmp(), "api-merged");
	struct kf_adapter *a;
	struct kf_session *with, *whole;
	struct kf_model *other;
	const float *x, *y;
	float worst = 0;

	test_case(t, "an adapter beside a model and worked into it; handles are freed in any order");
	GOOD(kf_adapter_open(&a, m, path, &error));
	BAD(KF_MISUSE, kf_adapter_merge(a, merged, "f8", &error));
	BAD(KF_MISUSE, kf_adapter_merge(a, NULL, "f32", &error));
	GOOD(kf_adapter_merge(a, merged, "f32", &error));
	GOOD(kf_model_open(&other, merged, &error));
	BAD(KF_MISUSE, kf_session_new(&whole, other, a, 0, NULL, &error));
	GOOD(kf_session_new(&with, m, a, 0, &one_thread, &error));
	GOOD(kf_session_new(&whole, other, NULL, 0, &one_thread, &error));
	struct kf_model_facts f;
	GOOD(kf_model_describe(other, &f, &error));
	kf_adapter_free(a);
	kf_model_free(other);
	GOOD(kf_session_feed(with, ids, n, &x, &error));
	GOOD(kf_session_feed(whole, ids, n, &y, &error));
	for (int32_t i = 0; i < f.vocabulary; i++)
		worst = fmaxf(worst, fabsf(x[i] - y[i]));
	CHECK_MSG(t, worst < 1e-3f, "%g", (double)worst);
	kf_session_free(with);
	kf_session_free(whole);
	mem_free(path);
	mem_free(merged);
}

/* A folder as `kungfu adapt` leaves it. */
static void adapted(struct test *t, struct kf_model *m, const int32_t *ids, size_t n)
{
	char *lora = golden("llama-lora"), *base = golden("llama"), *dir = io_join(test_tmp(), "api-adapted"),
	     *link = io_join(dir, "lora"), *file = io_join(dir, "artefact.json");
	char *text = mem_printf("{\"format\": 1, \"rung\": \"lora\", \"base\": \"%s\", \"files\": \".\", \"kind\": "
	                        "\"adapter\", \"adapter\": \"lora\"}", base);
	struct kf_adapter *a, *second;
	struct kf_session *with, *own;
	struct kf_model *left;
	struct kf_model_facts f;
	const float *x, *y;
	struct err e;

	test_case(t, "what adapt left is a model with its adapter, and takes no second one");
	char *whole = realpath(lora, NULL);
	CHECK(t, io_mkdirs(dir, &e) == 0 && symlink(whole, link) == 0 && io_write(file, text, strlen(text), &e) == 0);
	free(whole);
	GOOD(kf_adapter_open(&a, m, lora, &error));
	GOOD(kf_model_open(&left, dir, &error));
	BAD(KF_FAILED, kf_adapter_open(&second, left, lora, &error));
	GOOD(kf_session_new(&with, m, a, 0, &one_thread, &error));
	GOOD(kf_session_new(&own, left, NULL, 0, &one_thread, &error));
	GOOD(kf_model_describe(left, &f, &error));
	kf_model_free(left);
	GOOD(kf_session_feed(with, ids, n, &x, &error));
	GOOD(kf_session_feed(own, ids, n, &y, &error));
	CHECK(t, !memcmp(x, y, (size_t)f.vocabulary * sizeof(*x)));
	kf_session_free(with);
	kf_session_free(own);
	kf_adapter_free(a);
	CHECK(t, io_write(file, "{}", 2, &e) == 0);
	BAD(KF_FAILED, kf_model_open(&left, dir, &error));
	mem_free(text);
	mem_free(file);
	mem_free(link);
	mem_free(dir);
	mem_free(base);
	mem_free(lora);
}

/* --- threads --- */

struct chatter {
	struct kf_model *model;
	const int32_t *ids;
	size_t n;
	char text[4][256];
	atomic_int wrong;
};

static void *chatter_main(void *arg)
{
	struct chatter *c = arg;
	struct kf_session *s;
	struct kf_generation g;
	struct kf_error e;
	char first[256] = "";

	for (int i = 0; i < 3; i++) {
		if (kf_session_new(&s, c->model, NULL, 0, &(struct kf_settings){ .threads = 1 + i }, &e) ||
		    kf_session_generate(s, c->ids, c->n, &(struct kf_generate_options){ .max_new_tokens = 12 }, &g,
		                        &e)) {
			atomic_fetch_add(&c->wrong, 1);
			return NULL;
		}
		if (!first[0])
			snprintf(first, sizeof(first), "%s|", g.text);
		if (strncmp(first, g.text, g.length) != 0 || first[g.length] != '|')
			atomic_fetch_add(&c->wrong, 1);
		kf_session_free(s);
	}
	return NULL;
}

static void threads(struct test *t, struct kf_model *m, const int32_t *ids, size_t n)
{
	struct chatter c = { .model = m, .ids = ids, .n = n };
	struct kf_trainer *tr = open_trainer(t, "lora", NULL, NULL);
	pthread_t id[3];

	test_case(t, "sessions of one model in three threads, beside a training run");
	GOOD(kf_trainer_start(tr, &error));
	for (int i = 0; i < 3; i++)
		CHECK(t, pthread_create(&id[i], NULL, chatter_main, &c) == 0);
	while (kf_trainer_step(tr, NULL, &error) == KF_OK)
		;
	CHECK(t, error.status == KF_DONE);
	for (int i = 0; i < 3; i++)
		pthread_join(id[i], NULL);
	CHECK(t, atomic_load(&c.wrong) == 0);
	kf_trainer_free(tr);
}

/* --- the calling thread --- */

struct heard {
	int lines;
	unsigned long floats;
	bool wrong;
	char decimal;
};

static void hear(void *ctx, int level, const char *text)
{
	struct heard *h = ctx;
	h->lines++;
	h->wrong |= float_state() != h->floats || localeconv()->decimal_point[0] != h->decimal || level < 0 ||
	            !text[0] || strchr(text, '\n');
}

/* What is written to standard error while fn runs. */
static size_t written(struct test *t, void (*fn)(struct test *t, struct heard *h), struct heard *h)
{
	char *path = io_join(test_tmp(), "stderr");
	int kept = dup(STDERR_FILENO);
	size_t size = 1;
	struct err e = ERR_INIT;

	fflush(stderr);
	CHECK(t, freopen(path, "w", stderr) != NULL);
	fn(t, h);
	fflush(stderr);
	dup2(kept, STDERR_FILENO);
	close(kept);
	io_size(path, &size, &e);
	mem_free(path);
	return size;
}

static void open_heard(struct test *t, struct heard *h)
{
	char *model = golden("llama"), *data = golden("rows.jsonl");
	const struct kf_option options[] = {
		{ "model", model }, { "data", data }, { "max-length", "4096" }, { NULL, NULL }
	};
	struct kf_trainer *tr;

	GOOD(kf_trainer_open(&tr, options, &(struct kf_settings){ .log = hear, .log_ctx = h }, &error));
	kf_trainer_free(tr);
	GOOD(kf_trainer_open(&tr, options, NULL, &error)); /* nobody listens: nothing is said */
	kf_trainer_free(tr);
	mem_free(model);
	mem_free(data);
}

static void guest(struct test *t)
{
	locale_t comma = newlocale(LC_ALL_MASK, "de_DE.UTF-8", (locale_t)0),
		 before = uselocale(comma ? comma : LC_GLOBAL_LOCALE);
	struct heard h = { 0 };

	test_case(t,
	          "a guest: nothing on standard error, the log told, floats and locale as they were, in callbacks too");
	unsigned long outer = float_state();
#if defined(__SSE__)
	float_restore(outer & ~0x8040ul);
#endif
	h.floats = float_state();
	h.decimal = localeconv()->decimal_point[0];
	CHECK(t, written(t, open_heard, &h) == 0);
	CHECK_MSG(t, h.lines >= 2 && !h.wrong, "%d lines", h.lines);
	CHECK(t, float_state() == h.floats && localeconv()->decimal_point[0] == h.decimal);
	float_restore(outer);
	uselocale(before);
	if (comma)
		freelocale(comma);
}

void test_api(struct test *t)
{
	struct kf_model *m = open_model(t, "llama");
	int32_t *ids;
	size_t n;

	GOOD(kf_chat(m, &(struct kf_message){ "user", "Is it?" }, 1, &ids, &n, &error));
	without_tokenizer(t);
	null_handles(t);
	model_mistakes(t, m, ids);
	session_mistakes(t, m, ids, n);
	evaluator_mistakes(t, m, ids);
	trainer_mistakes(t);
	rates(t, "lora");
	rates(t, "full");
	weights(t);
	next_documents(t);
	scores(t, m);
	embeddings(t, "bert");
	embeddings(t, "llama.gguf");
	adapters(t, m, ids, n);
	adapted(t, m, ids, n);
	threads(t, m, ids, n);
	guest(t);
	kf_free(ids);
	kf_model_free(m);
}
