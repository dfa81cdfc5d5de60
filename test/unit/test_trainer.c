/* test_trainer: the promises of a run, on the tiny models of test/golden: threads, accumulation, memory limits and
 * being stopped at any moment change no bit of the result; losses are PyTorch's; a plan is kept. */
#include "../test.h"

#include "../faults.h"
#include "fixture_training.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "format/safetensors.h"
#include "train/checkpoint.h"
#include "train/train_loop.h"

#define SMALL "per-device-train-batch-size=12 micro-batch-tokens=150 max-length=100 max-steps=5 learning-rate=3e-3"

static void test_threads(struct test *t, const char *data, const char *model, const char *method)
{
	char first[33], other[33], options[256];
	static const int threads[] = { 2, 3, 7 };

	snprintf(options, sizeof(options), SMALL " method=%s", method);
	test_case(t, "%s, %s: 1, 2, 3, 7 threads give the same bits", model, method);
	training_run(t, model, data, options, 1, first, NULL);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		training_run(t, model, data, options, threads[i], other, NULL);
		CHECK(t, !strcmp(first, other));
	}
}

static void test_accumulation(struct test *t, const char *data)
{
	static const char *const splits[] = { "4 3", "1 12", "12 1" };
	char first[33] = "", hex[33], options[256];

	test_case(t, "batch size and accumulation: only their product counts");
	for (size_t i = 0; i < ARRAY_LEN(splits); i++) {
		int batch, times;
		sscanf(splits[i], "%d %d", &batch, &times);
		snprintf(options, sizeof(options),
		         SMALL " per-device-train-batch-size=%d gradient-accumulation-steps=%d", batch, times);
		training_run(t, "llama", data, options, 2, i ? hex : first, NULL);
		CHECK(t, i == 0 || !strcmp(first, hex));
	}
}

static void test_memory(struct test *t, const char *data)
{
	char all[33], hex[33];
	struct trainer_plan plan, limited;

	test_case(t, "three memory limits: three plans, the same bits");
	training_run(t, "llama", data, SMALL, 2, all, &plan);
	training_run(t, "llama", data, SMALL " gradient-checkpointing=true", 2, hex, &limited);
	CHECK(t, !strcmp(all, hex));
	CHECK(t, limited.recomputed_nodes > plan.recomputed_nodes && limited.arena_bytes < plan.arena_bytes);
#ifndef KUNGFU_SANITIZE /* what a sanitizer holds back makes the process grow from run to run */
	char options[256];
	size_t least = limited.planned_bytes, between = least + (plan.planned_bytes - least) / 2;
	snprintf(options, sizeof(options), SMALL " memory=%zu", between);
	training_run(t, "llama", data, options, 2, hex, &plan);
	CHECK(t, !strcmp(all, hex));
	CHECK_MSG(t, plan.planned_bytes <= between, "%zu planned, %zu allowed", plan.planned_bytes, between);
	CHECK(t, plan.recomputed_nodes < limited.recomputed_nodes);
#endif
}

static void test_too_little_memory(struct test *t, const char *data)
{
	struct err e = ERR_INIT;
	struct job j;
	struct trainer *trainer;
	struct pool *pool = pool_new(1);
	struct device d = device_cpu(kernels_get(NULL, NULL), pool);

	test_case(t, "too little memory is a sentence that says how much is needed");
	job_init(t, &j, "llama", data, SMALL " memory=1MB");
	CHECK(t, trainer_open(&trainer, &j.recipe, &d, &e) < 0);
	CHECK_MSG(t, strstr(e.msg, "needs at least"), "%s", e.msg);
	job_release(&j);
	pool_free(pool);
}

static void test_resume(struct test *t, const char *data, const char *method)
{
	char whole[33], hex[33], options[256], *dir = io_join(test_tmp(), "checkpoint-3");
	struct err e = ERR_INIT;
	struct training s;
	struct job j;
	json_t *mine = json_pack("{s:i}", "answer", 42), *back = NULL;

	snprintf(options, sizeof(options), SMALL " max-steps=6 lora-dropout=%s method=%s",
	         !strcmp(method, "lora") ? "0.1" : "0", method);
	test_case(t, "%s: 3 + 3 steps with a save between are 6, with other threads too", method);
	training_run(t, "llama", data, options, 2, whole, NULL);
	job_init(t, &j, "llama", data, options);
	if (training_begin(t, &s, &j, 2)) {
		training_steps(t, &s, 3, NULL);
		CHECK_MSG(t, trainer_save(s.trainer, dir, mine, &e) == 0, "%s", e.msg);
	}
	training_end(&s);
	if (training_begin(t, &s, &j, 3)) {
		CHECK_MSG(t, trainer_load(s.trainer, dir, &back, &e) == 0, "%s", e.msg);
		CHECK(t, json_equal(mine, back) && trainer_steps_done(s.trainer) == 3);
		training_steps(t, &s, 3, NULL);
		params_hash(trainer_params(s.trainer), hex);
		CHECK(t, !strcmp(whole, hex));
	}
	training_end(&s);
	json_decref(mine);
	json_decref(back);
	job_release(&j);
	mem_free(dir);
}

static void test_other_recipe(struct test *t, const char *data)
{
	char *dir = io_join(test_tmp(), "checkpoint-3");
	struct err e = ERR_INIT;
	struct training s;
	struct job j;
	json_t *back;

	test_case(t, "a checkpoint of another recipe is refused, by the option's name");
	job_init(t, &j, "llama", data, SMALL " max-steps=6 method=full lora-dropout=0 learning-rate=1e-4");
	if (training_begin(t, &s, &j, 1)) {
		CHECK(t, trainer_load(s.trainer, dir, &back, &e) < 0);
		CHECK_MSG(t, strstr(e.msg, "--learning-rate"), "%s", e.msg);
	}
	training_end(&s);
	job_release(&j);
	mem_free(dir);
}

/* A run through fit; stop_after: asked to stop then (−1: never). */
static long stop_after, looked;
static bool stop_now(void) { return stop_after >= 0 && looked++ >= stop_after; }

static enum train_loop_end train_loop_once(struct test *t, const struct job *j, struct run_dir *dir, int threads,
                                           long stop, char hex[33], long *best)
{
	struct err e = ERR_INIT;
	struct training s;
	struct train_loop f;
	enum train_loop_end end = FIT_STOPPED;
	long step;

	stop_after = stop;
	looked = 0;
	if (training_begin(t, &s, j, threads)) {
		train_loop_init(&f, s.trainer, &j->recipe, dir);
		f.interrupted = stop_now;
		bool fine = train_loop_restore(&f, &step, &e) == 0 && train_loop_run(&f, &end, &e) == 0;
		CHECK_MSG(t, fine, "%s", e.msg);
		params_hash(trainer_params(s.trainer), hex);
		if (best)
			*best = f.best_step;
		train_loop_release(&f);
	}
	training_end(&s);
	return end;
}

/* metrics.jsonl without its times. */
static char *metrics_text(const struct run_dir *d)
{
	struct buf in = BUF_INIT, out = BUF_INIT;
	struct err e = ERR_INIT;
	char *path = run_dir_file(d, "metrics.jsonl"), *save = NULL;

	io_read(&in, path, &e);
	for (char *line = strtok_r(in.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		json_t *j = json_loads(line, 0, NULL);
		json_object_del(j, "tokens_per_second");
		json_object_del(j, "eval_runtime");
		char *text = json_dumps(j, JSON_COMPACT);
		buf_addf(&out, "%s\n", text);
		free(text);
		json_decref(j);
	}
	buf_release(&in);
	mem_free(path);
	return buf_detach(&out, NULL);
}

static void open_run(struct test *t, struct run_dir *d, const struct job *j)
{
	struct err e = ERR_INIT;
	json_t *record = recipe_record(&j->recipe);
	CHECK_MSG(t, run_dir_create(d, j->out, true, record, &e) == 0, "%s", e.msg);
	json_decref(record);
}

static void damage(struct test *t, const char *dir, const char *file)
{
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;
	char *path = io_join(dir, file);
	CHECK(t, io_read(&b, path, &e) == 0 && b.len > 100);
	b.data[b.len - 5] ^= 1;
	CHECK(t, io_write(path, b.data, b.len, &e) == 0);
	buf_release(&b);
	mem_free(path);
}

static void reopen(struct test *t, struct run_dir *d, const struct job *j)
{
	struct err e = ERR_INIT;
	json_t *record;
	run_dir_release(d);
	CHECK_MSG(t, run_dir_open(d, j->out, &record, &e) == 0, "%s", e.msg);
	json_decref(record);
}

static void test_interrupted(struct test *t, const char *data)
{
	char whole[33], hex[33], options[512], *want, *got;
	struct err e = ERR_INIT;
	struct run_dir d = { 0 };
	struct job j;

	snprintf(options, sizeof(options),
	         SMALL " max-steps=8 save-steps=2 eval-steps=3 logging-steps=3 save-total-limit=2 eval-on-start=false "
	         "eval-data=%s", data);
	job_init(t, &j, "llama", data, options);
	test_case(t, "stopped, damaged, half written: the run ends with the same bits and the same metrics");
	open_run(t, &d, &j);
	CHECK(t, train_loop_once(t, &j, &d, 2, -1, whole, NULL) == FIT_DONE);
	want = metrics_text(&d);
	CHECK(t, strstr(want, "eval_loss") != NULL);
	run_dir_release(&d);

	open_run(t, &d, &j);
	CHECK(t, train_loop_once(t, &j, &d, 3, 5, hex, NULL) == FIT_STOPPED);
	reopen(t, &d, &j);
	/* What a kill inside a checkpoint's write leaves, and a newest checkpoint with a flipped bit. */
	char *half = mem_printf("%s/checkpoint-6.kungfu-tmp-a1b2c3", j.out), *last;
	long *saved = NULL;
	size_t n = 0;
	CHECK(t, io_mkdirs(half, &e) == 0 && checkpoint_list(j.out, &saved, &n, &e) == 0 && n == 2);
	last = checkpoint_path(j.out, n ? saved[n - 1] : 0);
	damage(t, last, "state.safetensors");
	reopen(t, &d, &j);
	CHECK(t, !io_exists(half));
	CHECK(t, train_loop_once(t, &j, &d, 1, -1, hex, NULL) == FIT_DONE);
	got = metrics_text(&d);
	CHECK(t, !strcmp(whole, hex));
	CHECK_MSG(t, !strcmp(want, got), "metrics:\n%s\nwanted:\n%s", got, want);
	mem_free(half);
	mem_free(last);
	mem_free(saved);
	mem_free(want);
	mem_free(got);
	run_dir_release(&d);
	job_release(&j);
}

#ifndef KUNGFU_SANITIZE
/* Fails at each mapping of memory in turn, until the run can begin. */
static void test_no_memory(struct test *t, const char *data, const char *method)
{
	char options[512];
	struct job j;
	struct pool *pool = pool_new(2);
	struct device d = device_cpu(kernels_get(NULL, NULL), pool);
	int status = -1;
	long maps = 0;

	snprintf(options, sizeof(options), SMALL " max-steps=1 method=%s eval-data=%s", method, data);
	job_init(t, &j, "llama.gguf", data, options);
	test_case(t, "%s: memory that runs out anywhere is a sentence before the first step", method);
	for (; status < 0 && maps < 200; maps++) {
		struct err e = ERR_INIT;
		struct trainer *trainer = NULL;
		faults_maps_after(maps);
		status = trainer_open(&trainer, &j.recipe, &d, &e) < 0 || trainer_start(trainer, &e) < 0 ? -1 : 0;
		faults_maps_after(-1);
		trainer_close(trainer);
		CHECK_MSG(t, status == 0 || strstr(e.msg, "memory"), "%ld: '%s'", maps, e.msg);
	}
	CHECK_MSG(t, status == 0 && maps > 4, "%ld mappings", maps);
	pool_free(pool);
	job_release(&j);
}
#endif

/* One run on a disk that is full after `calls` calls; −1 and the sentence in e when it noticed. */
static int run_on_full_disk(struct training *s, const struct job *j, long calls, struct err *e)
{
	struct train_loop f;
	struct run_dir d = { 0 };
	enum train_loop_end end = FIT_STOPPED;
	json_t *record = recipe_record(&j->recipe), *facts = json_pack("{s:s}", "status", "finished");
	long step;

	faults_after(calls);
	int status = run_dir_create(&d, j->out, true, record, e);
	if (status == 0) {
		train_loop_init(&f, s->trainer, &j->recipe, &d);
		status = train_loop_restore(&f, &step, e) < 0 || train_loop_run(&f, &end, e) < 0 ||
		                         run_dir_set_facts(&d, facts, e) < 0 ?
		                 -1 :
		                 0;
		train_loop_release(&f);
		run_dir_release(&d);
	}
	faults_after(-1);
	json_decref(record);
	json_decref(facts);
	return status;
}

/* All checkpoints that the folder names are whole. */
static void check_checkpoints(struct test *t, struct training *s, const struct job *j, long calls)
{
	struct err e = ERR_INIT;
	long *saved = NULL;
	size_t n = 0;

	CHECK_MSG(t, checkpoint_list(j->out, &saved, &n, &e) == 0, "%s", e.msg);
	for (size_t i = 0; i < n; i++) {
		char *path = checkpoint_path(j->out, saved[i]);
		json_t *state = NULL;
		CHECK_MSG(t, trainer_load(s->trainer, path, &state, &e) == 0, "full after %ld calls: %s", calls, e.msg);
		json_decref(state);
		mem_free(path);
	}
	mem_free(saved);
}

/* Fails at every `stride`th call that changes the disk in turn, until the run gets through. */
static void test_full_disk(struct test *t, const char *method, long stride)
{
	char *data = write_rows(t, 4);
	char whole[33], hex[33], options[512];
	struct job j;
	long calls = 0;
	int status = -1;

	snprintf(options, sizeof(options),
	         SMALL " per-device-train-batch-size=2 max-steps=2 save-steps=1 eval-steps=2 logging-steps=1 "
	               "save-total-limit=1 target-modules=o_proj method=%s eval-data=%s",
	         method, data);
	job_init(t, &j, "llama", data, options);
	test_case(t,
	          "%s: a disk that fills at any write is a sentence, and the run goes on with the same bits when there "
	          "is room",
	          method);
	struct run_dir d = { 0 };
	open_run(t, &d, &j);
	CHECK(t, train_loop_once(t, &j, &d, 2, -1, whole, NULL) == FIT_DONE);
	run_dir_release(&d);
	for (; status < 0 && calls < 1000; calls += stride) {
		struct err e = ERR_INIT;
		struct training s;
		if (training_begin(t, &s, &j, 2)) {
			status = run_on_full_disk(&s, &j, calls, &e);
			CHECK_MSG(t,
			          status == 0 || (strstr(e.msg, "No space left on device") && strstr(e.msg, j.out) &&
			                          !strchr(e.msg, '\n')),
			          "%ld: '%s'", calls, e.msg);
			check_checkpoints(t, &s, &j, calls);
		}
		training_end(&s);
		char *recipe = io_join(j.out, "recipe.json");
		if (io_exists(recipe)) {
			reopen(t, &d, &j);
			CHECK(t, train_loop_once(t, &j, &d, 2, -1, hex, NULL) == FIT_DONE);
			CHECK_MSG(t, !strcmp(whole, hex), "full after %ld calls", calls);
			run_dir_release(&d);
		}
		mem_free(recipe);
	}
	CHECK_MSG(t, status == 0 && calls > 50, "%ld calls", calls);
	job_release(&j);
	mem_free(data);
}

static void test_best(struct test *t, const char *data)
{
	char options[512], hex[33], loaded[33] = "", *best_path;
	long best = -1, *saved = NULL;
	struct run_dir d = { 0 };
	struct job j;
	struct training s;
	struct err e = ERR_INIT;
	size_t n = 0;

	/* A rate so high that learning goes up and down. */
	snprintf(options, sizeof(options),
	         SMALL
	         " max-steps=60 learning-rate=0.5 lr-scheduler-type=constant eval-steps=2 early-stopping-patience=1 "
	         "load-best-model-at-end=true save-total-limit=1 save-steps=1 eval-data=%s",
	         data);
	job_init(t, &j, "llama", data, options);
	test_case(t, "early stopping; the best checkpoint is kept and becomes the result");
	open_run(t, &d, &j);
	CHECK(t, train_loop_once(t, &j, &d, 2, -1, hex, &best) == FIT_DONE);
	CHECK(t, checkpoint_list(j.out, &saved, &n, &e) == 0 && n == 2);
	CHECK_MSG(t, n == 2 && saved[0] == best && saved[1] == best + 2 && best < 58,
	          "the best is %ld, %zu checkpoints", best, n);
	best_path = checkpoint_path(j.out, best);
	if (training_begin(t, &s, &j, 1)) {
		CHECK_MSG(t, trainer_load_weights(s.trainer, best_path, &e) == 0, "%s", e.msg);
		params_hash(trainer_params(s.trainer), loaded);
		CHECK(t, !strcmp(hex, loaded));
	}
	training_end(&s);
	mem_free(best_path);
	mem_free(saved);
	run_dir_release(&d);
	job_release(&j);
}

static void test_plan_is_kept(struct test *t, const char *data)
{
	struct job j;
	struct training s;
	double flops = 0;
	int64_t tokens = 0, computed = 0;
	struct err e = ERR_INIT;

	test_case(t, "operations and tokens are as planned");
	job_init(t, &j, "llama", data, SMALL " max-steps=-1 num-train-epochs=1.5");
	if (training_begin(t, &s, &j, 2)) {
		const struct trainer_plan *p = trainer_plan(s.trainer);
		CHECK(t, p->steps == (long)ceil(1.5 * (double)p->steps_per_epoch));
		while (!trainer_done(s.trainer)) {
			struct step_metrics m;
			CHECK(t, trainer_step(s.trainer, &m, &e) == 0);
			flops += m.flops;
			tokens += m.tokens;
			computed += m.computed_tokens;
		}
		CHECK_MSG(t, fabs(flops / p->planned_flops - 1) < 1e-9, "%g planned, %g done", p->planned_flops, flops);
		CHECK(t, tokens == p->tokens && computed == p->computed_tokens && computed < tokens);
		size_t sum = p->weights_bytes + p->state_bytes + p->arena_bytes + p->scratch_bytes + p->batch_bytes +
		             p->eval_bytes + p->kl_bytes + p->made_bytes + p->base_bytes;
		CHECK(t, sum == p->planned_bytes);
	}
	training_end(&s);
	job_release(&j);
}

static void test_golden_losses(struct test *t)
{
	struct safetensors values;
	struct err e = ERR_INIT;
	char *path = io_join(test_golden(), "values/rows.safetensors"), *rows = io_join(test_golden(), "rows.jsonl");
	double losses[10];
	struct training s;
	struct job j;

	test_case(t, "ten losses of full tuning, from rows of text to AdamW, are transformers'");
	job_init(t, &j, "llama", rows, "method=full per-device-train-batch-size=4 max-steps=10 learning-rate=1e-3 "
	         "weight-decay=0.01 warmup-steps=2 micro-batch-tokens=60 max-length=60");
	if (st_open(&values, path, &e) == 0) {
		const struct st_tensor *want = st_find(&values, "full.losses");
		if (want && training_begin(t, &s, &j, 2)) {
			training_steps(t, &s, 10, losses);
			for (int i = 0; i < 10; i++) {
				double w = ((const float *)want->data)[i];
				CHECK_MSG(t, fabs(losses[i] / w - 1) < 1e-5, "step %d: %.7f, transformers %.7f", i + 1,
				          losses[i], w);
			}
			training_end(&s);
		}
		CHECK(t, want != NULL);
		st_close(&values);
	} else {
		CHECK_MSG(t, false, "%s", e.msg);
	}
	job_release(&j);
	mem_free(path);
	mem_free(rows);
}

static void test_not_finite(struct test *t, const char *data)
{
	struct job j;
	struct training s;
	struct step_metrics m;
	struct err e = ERR_INIT;
	char before[33], after[33];

	test_case(t, "a loss that is not finite stops the run and changes nothing");
	job_init(t, &j, "llama", data, SMALL " method=full");
	if (training_begin(t, &s, &j, 2)) {
		const struct params *p = trainer_params(s.trainer);
		p->w[p->items[0].offset + 70] = INFINITY;
		for (size_t i = 0; i < p->items[0].n; i++)
			p->w[p->items[0].offset + i] = INFINITY;
		params_hash(p, before);
		CHECK(t, trainer_step(s.trainer, &m, &e) < 0);
		CHECK_MSG(t, strstr(e.msg, "step 1"), "%s", e.msg);
		params_hash(p, after);
		CHECK(t, !strcmp(before, after) && trainer_steps_done(s.trainer) == 0);
	}
	training_end(&s);
	job_release(&j);
}

void test_trainer(struct test *t)
{
	char *data = write_rows(t, 40);

	log_set(LOG_QUIET);
	test_golden_losses(t);
	test_threads(t, data, "llama", "lora");
	test_threads(t, data, "llama", "full");
	test_threads(t, data, "gpt2", "lora");
	test_threads(t, data, "gpt2", "full");
	test_accumulation(t, data);
	test_memory(t, data);
	test_too_little_memory(t, data);
	test_resume(t, data, "lora");
	test_resume(t, data, "full");
	test_other_recipe(t, data);
	test_interrupted(t, data);
#ifndef KUNGFU_SANITIZE
	test_no_memory(t, data, "lora");
	test_no_memory(t, data, "full");
#endif
	test_best(t, data);
	test_plan_is_kept(t, data);
	test_not_finite(t, data);
	test_full_disk(t, "lora", 3); /* which writes other rows */
	test_full_disk(t, "full", 11);
	mem_free(data);
}
