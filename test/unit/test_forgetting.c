/* test_forgetting: KL(base ‖ tuned) is PyTorch's (test/golden/values/divergence.safetensors) and 0 where nothing has
 * changed; the texts that it is measured on are the same however many are drawn, kept or not; a run measures what one
 * that was stopped and went on does, and within its plan; --kl-to-base holds every method. */
#include "fixture_training.h"

#include <math.h>
#include <string.h>

#include "base/env.h"
#include "base/io.h"
#include "base/mem.h"
#include "format/safetensors.h"
#include "infer/divergence.h"
#include "infer/own_texts.h"
#include "train/method.h"

enum { DOCS = 12, TEXTS = 40 };

/* --- the divergence --- */

struct bench {
	struct pool *pool;
	struct device device;
	struct model model;
	struct adapter adapter;
	struct safetensors documents, values;
	struct document docs[DOCS];
	const struct document *list[DOCS];
	uint8_t learn[DOCS][256];
};

static int open_values(struct safetensors *s, const char *name, struct err *e)
{
	char *path = mem_printf("%s/values/%s.safetensors", test_golden(), name);
	int status = st_open(s, path, e);

	mem_free(path);
	return status;
}

static void read_documents(struct bench *b)
{
	const int32_t *ids = st_find(&b->documents, "ids")->data, *learn = st_find(&b->documents, "learn")->data;
	const int32_t *lengths = st_find(&b->documents, "lengths")->data;

	for (int i = 0, at = 0; i < DOCS; at += lengths[i++]) {
		struct document *d = &b->docs[i];
		*d = (struct document){ .ids = (int32_t *)(uintptr_t)(ids + at), .learn = b->learn[i], .n = lengths[i],
			                .file = "documents", .line = (size_t)i + 1, .choice = -1 };
		for (int j = 0; j < d->n; j++)
			d->n_learn += d->learn[j] = learn[at + j] != 0;
		b->list[i] = d;
	}
}

static bool bench_begin(struct test *t, struct bench *b, int threads)
{
	struct err e = ERR_INIT;
	char *model = io_join(test_golden(), "llama"), *adapter = io_join(test_golden(), "llama-lora");

	*b = (struct bench){ .pool = pool_new(threads) };
	b->device = device_cpu(kernels_get(NULL, &e), b->pool);
	bool fine = open_values(&b->documents, "documents", &e) == 0 &&
	            open_values(&b->values, "divergence", &e) == 0 &&
	            model_open(&b->model, model, &e) == 0 && model_tokenizer(&b->model, &e) == 0 &&
	            adapter_load(&b->adapter, adapter, &b->model, &e) == 0;
	CHECK_MSG(t, fine, "%s", e.msg);
	if (fine)
		read_documents(b);
	mem_free(model);
	mem_free(adapter);
	return fine;
}

static void bench_end(struct bench *b)
{
	adapter_release(&b->adapter);
	model_close(&b->model);
	st_close(&b->documents);
	st_close(&b->values);
	pool_free(b->pool);
}

static bool diverge(struct test *t, struct bench *b, const struct overlay *base, const struct overlay *tuned,
                    double *sum)
{
	struct err e = ERR_INIT;
	struct divergence *d = NULL;
	bool fine = divergence_new(&d, &b->model, base, tuned, &b->device, 128, &e) == 0 &&
	            divergence_run(d, b->list, DOCS, sum, NULL, NULL, &e) == 0;

	CHECK_MSG(t, fine, "%s", e.msg);
	divergence_free(d);
	return fine;
}

static void check_divergence(struct test *t)
{
	double sum[DOCS], back[DOCS];
	struct bench b;

	test_case(t, "KL is PyTorch's, and 0 of a model beside itself");
	if (bench_begin(t, &b, 3)) {
		const float *want = st_find(&b.values, "kl")->data;
		diverge(t, &b, NULL, &b.adapter.overlay, sum);
		for (int i = 0; i < DOCS; i++)
			CHECK_MSG(t, fabs(sum[i] - (double)want[i]) <= 1e-5 * (double)want[i],
			          "document %d: %.8g, not %.8g", i, sum[i], (double)want[i]);
		diverge(t, &b, &b.adapter.overlay, &b.adapter.overlay, back);
		for (int i = 0; i < DOCS; i++)
			CHECK(t, back[i] == 0);
	}
	bench_end(&b);
}

/* --- the texts --- */

static bool texts(struct test *t, struct bench *b, struct own_texts *o, size_t n)
{
	struct err e = ERR_INIT;
	bool fine = own_texts_get(o, &b->model, "tiny", &b->device, n, NULL, &e) == 0;

	CHECK_MSG(t, fine, "%s", e.msg);
	return fine;
}

static void check_texts(struct test *t)
{
	struct own_texts few, many, again;
	struct own_texts_forecast f;
	struct err e = ERR_INIT;
	struct bench b;
	char *path = env_state_file("own-texts/tiny-f32.json");

	test_case(t, "a model's own texts are the same however many are drawn, and once they are kept");
	if (bench_begin(t, &b, 2) && texts(t, &b, &few, 3) && texts(t, &b, &many, TEXTS)) {
		size_t length = (size_t)few.length;
		CHECK(t, few.n == 3 && many.n == TEXTS && !memcmp(few.ids, many.ids, 3 * length * sizeof(*few.ids)));
		CHECK(t, memcmp(many.ids, many.ids + length, length * sizeof(*many.ids)) != 0);
		CHECK(t, own_texts_forecast(&f, &b.model, "tiny", &b.device, TEXTS, &e) == 0 && f.work.flops == 0);
		CHECK(t, own_texts_forecast(&f, &b.model, "tiny", &b.device, TEXTS + 1, &e) == 0 && f.work.flops > 0);
		CHECK(t, io_write(path, "{\"format\": 1, \"texts\": [[1, 999999]]}", 37, &e) == 0);
		if (texts(t, &b, &again, TEXTS)) /* told of, and drawn again */
			CHECK(t, !memcmp(again.ids, many.ids, TEXTS * length * sizeof(*many.ids)));
		own_texts_release(&few);
		own_texts_release(&many);
		own_texts_release(&again);
	}
	mem_free(path);
	bench_end(&b);
}

/* --- of a run --- */

static const char job_text[] = "max-steps=6 learning-rate=1e-2 per-device-train-batch-size=4 forgetting=true ";

static bool measure(struct test *t, const char *model, const char *data, const char *more, int stop_at,
                    struct forgetting_metrics *m)
{
	char *assignments = mem_printf("%s%s", job_text, more), *out = io_join(test_tmp(), "forgetting-run"),
	     *kept = io_join(out, "checkpoint");
	struct err e = ERR_INIT;
	struct training s;
	struct job j;
	json_t *caller = NULL;
	bool stopped = false, fine;

	job_init(t, &j, model, data, assignments);
	fine = training_begin(t, &s, &j, 2) && io_mkdirs(out, &e) == 0;
	if (fine && stop_at) {
		training_steps(t, &s, stop_at, NULL);
		fine = trainer_save(s.trainer, kept, NULL, &e) == 0;
		training_end(&s);
		fine = fine && training_begin(t, &s, &j, 1) && trainer_load(s.trainer, kept, &caller, &e) == 0;
		json_decref(caller);
	}
	if (fine) {
		training_steps(t, &s, 6 - stop_at, NULL);
		fine = trainer_result(s.trainer, out, &e) == 0 &&
		       trainer_forgetting(s.trainer, m, NULL, &stopped, &e) == 0;
		CHECK(t, trainer_plan(s.trainer)->forgetting_tokens == m->tokens);
	}
	CHECK_MSG(t, fine, "%s", e.msg);
	training_end(&s);
	job_release(&j);
	io_remove_tree(out, &e);
	mem_free(out);
	mem_free(kept);
	mem_free(assignments);
	return fine;
}

static void check_runs(struct test *t, const char *data)
{
	static const struct { const char *model, *options; bool moves; } runs[] = { /* moves: before a step */
		{ "llama", "method=lora" }, { "gpt2", "method=lora" }, { "llama", "method=full learning-rate=1e-3" },
		{ "llama.gguf", "method=lora compute=int8" }, { "llama", "method=ia3" },
		{ "llama", "method=prompt_tuning", .moves = true },
		{ "rwkv", "method=lora" },
		{ "llama", "method=lora replay=test/golden/retain.jsonl replay-ratio=0.3" },
		{ "llama", "method=lora kl-to-base=3 lora-dropout=0.1" },
		{ "llama", "method=full kl-to-base=3 learning-rate=1e-3" },
		{ "llama.gguf", "method=lora compute=int8 kl-to-base=3" },
		{ "llama", "method=prefix_tuning kl-to-base=3 replay=test/golden/retain.jsonl", .moves = true },
		{ "llama", "method=lora l2-sp=0.1 ewc=3 layer-lr-decay=0.8 retain=test/golden/retain.jsonl" },
	};
	struct forgetting_metrics whole, parts, none;

	for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
		char *still = mem_printf("%s learning-rate=0", runs[i].options);
		test_case(t, "%s %s: as one that was stopped; nothing where nothing was learnt", runs[i].model,
		          runs[i].options);
		if (measure(t, runs[i].model, data, runs[i].options, 0, &whole) &&
		    measure(t, runs[i].model, data, runs[i].options, 3, &parts) &&
		    measure(t, runs[i].model, data, still, 0, &none)) {
			CHECK(t, whole.kl > 0 && whole.kl_stderr > 0);
			CHECK(t, whole.low <= whole.kl && whole.kl <= whole.high);
			CHECK(t, whole.kl == parts.kl && whole.kl_stderr == parts.kl_stderr);
			CHECK(t, whole.tokens >= 512 && whole.tokens == parts.tokens);
			CHECK_MSG(t, runs[i].moves || none.kl < 1e-9, "%g", none.kl);
		}
		mem_free(still);
	}
}

/* --- held to the base --- */

/* The KL that a step tells, of a run of six. */
static bool held(struct test *t, const char *data, const char *method, const char *x, double *first, double *last)
{
	char *options = mem_printf("%sforgetting=false method=%s kl-to-base=%s micro-batch-tokens=200 max-length=100%s",
	                           job_text, method, x, strcmp(method, "shira") ? "" : " lora-r=4");
	double flops = 0;
	struct step_metrics m = { 0 };
	struct err e = ERR_INIT;
	struct training s;
	struct job j;

	job_init(t, &j, "llama", data, options);
	bool fine = training_begin(t, &s, &j, 2);
	for (int i = 0; fine && i < 6; i++) {
		fine = trainer_step(s.trainer, &m, &e) == 0;
		CHECK_MSG(t, fine, "%s", e.msg);
		if (!fine || m.metrics.n < 1)
			continue;
		*(i ? last : first) = m.metrics.value[m.metrics.n - 1];
		flops += m.flops;
	}
	if (fine) {
		const struct trainer_plan *p = trainer_plan(s.trainer);
		CHECK_MSG(t, !flops || fabs(flops / p->planned_flops - 1) < 1e-9, "%g planned, %g done",
		          p->planned_flops, flops);
	}
	training_end(&s);
	job_release(&j);
	mem_free(options);
	return fine;
}

static void check_held(struct test *t, const char *data)
{
	struct opt_row row;

	for (size_t i = 0; method_rows(i, &row); i++) {
		double first[2] = { 0 }, last[2] = { 0 };
		if (!strcmp(row.name, "bitfit") || !strcmp(row.name, "trainable_tokens"))
			continue; /* what the model or the options must have for them is not here */
		test_case(t, "%s: held to the base, whose KL is 0 where nothing has changed", row.name);
		if (!held(t, data, row.name, "1e-6", &first[0], &last[0]) ||
		    !held(t, data, row.name, "30", &first[1], &last[1]))
			continue;
		bool moves = strstr(row.name, "_tuning") && strcmp(row.name, "ln_tuning") != 0;
		CHECK_MSG(t, moves ? first[0] > 0 : first[0] < 1e-9, "%g", first[0]);
		CHECK_MSG(t, last[0] > 0 && last[1] < last[0], "%g, held %g", last[0], last[1]);
	}
}

void test_forgetting(struct test *t)
{
	char *data = write_rows(t, 24);

	check_divergence(t);
	check_texts(t);
	check_runs(t, data);
	check_held(t, data);
	mem_free(data);
}
