/* test_rollouts: an objective that makes its documents itself, with parameters of its own, through the contract of
 * train/objective.h: the plan is made before a document is there and holds; threads, accumulation and being stopped
 * change no bit; its parameters learn and are saved.
 *
 * Made up: of a prompt two answers, whose tokens depend on the step, the prompt and the weights of this moment; a value
 * head of one row over the hidden states that predict them learns ±1, the answer's advantage. */
#include "fixture_training.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "format/safetensors.h"
#include "train/checkpoint.h"

enum { ANSWERS = 2, MOST_TOKENS = 40, MOST_LABELS = 8, MOST_DOCUMENTS = 64 };

#define SMALL "per-device-train-batch-size=6 micro-batch-tokens=150 max-length=60 max-steps=4 learning-rate=1e-2"

struct made {
	struct document docs[MOST_DOCUMENTS];
	int32_t ids[MOST_DOCUMENTS][MOST_TOKENS];
	uint8_t learn[MOST_DOCUMENTS][MOST_TOKENS];
	int calls;
};

static int made_open(struct objective_run *o, struct err *e)
{
	(void)e;
	o->state = mem_alloc(sizeof(struct made));
	return 0;
}

static void made_close(struct objective_run *o)
{
	mem_free(o->state);
}

static int made_params(const struct objective_run *o, struct params *p, struct err *e)
{
	(void)e;
	params_add(p, "value.weight", 2, (size_t[]){ 1, (size_t)o->model->config.C }, -1);
	return 0;
}

static void made_maxima(const struct objective_run *o, struct objective_maxima *m)
{
	(void)o;
	*m = (struct objective_maxima){ .documents = ANSWERS, .tokens = MOST_TOKENS, .labels = MOST_LABELS };
}

/* All weights count in what is made. */
static uint64_t sum_weights(const struct objective_run *o)
{
	uint64_t sum = 0;

	for (const struct overlay *x = o->overlay; x; x = x->under)
		for (size_t i = 0; i < x->params.n; i++) {
			uint32_t bits;
			memcpy(&bits, &x->params.w[i], sizeof(bits));
			sum = sum * 31 + bits;
		}
	return sum;
}

static void answer(struct made *made, size_t at, const struct document *prompt, uint64_t seed, int32_t V)
{
	struct rng_stream r = { seed };
	struct document *d = &made->docs[at];
	int32_t labels = 1 + (int32_t)rng_below(&r, MOST_LABELS), n = MIN(prompt->n, MOST_TOKENS - MOST_LABELS);

	memcpy(made->ids[at], prompt->ids, (size_t)n * sizeof(int32_t));
	memset(made->learn[at], 0, sizeof(made->learn[at]));
	for (int32_t i = n; i < n + labels; i++) {
		made->ids[at][i] = (int32_t)rng_below(&r, (uint32_t)V);
		made->learn[at][i] = 1;
	}
	*d = (struct document){ .ids = made->ids[at], .learn = made->learn[at], .n = n + labels, .n_learn = labels,
		                .choice = -1, .adapter = -1, .role = (int32_t)(at % ANSWERS),
		                .joined = at % ANSWERS != 0 };
}

static int made_documents(const struct objective_run *o, long step, const struct document *const *docs, size_t n,
                          const struct document **out, size_t *n_made, struct err *e)
{
	struct made *made = o->state;
	uint64_t sum = sum_weights(o);
	(void)e;

	made->calls++;
	*n_made = ANSWERS * n;
	for (size_t i = 0; i < *n_made; i++) {
		answer(made, i, docs[i / ANSWERS], sum + (uint64_t)step * 1000 + i, o->model->config.V);
		out[i] = &made->docs[i];
	}
	return 0;
}

static uint32_t made_record(const struct objective_run *o, struct graph *g, uint32_t hidden)
{
	struct linear l = { .x = op_gather(g->tape, hidden), .w = nn_param(g, &o->own, 0) };

	return objective_loss(o, g, op_linear(g->tape, &l));
}

static void made_fill(const struct objective_run *o, struct batch *b, const struct document *const *docs)
{
	float *advantage = batch_column(b, "advantage");
	(void)o;

	for (int32_t i = 0; i < b->n_docs; i++)
		advantage[i] = docs[i]->role ? -1 : 1;
}

/* Σ over labels of ½(value of its row − advantage of its document)² */
static void made_loss(const struct objective_run *o, const struct batch *b, const float *value, float *d_value,
                      struct objective_sums *s)
{
	const float *advantage = batch_column(b, "advantage");
	(void)o;

	if (d_value)
		memset(d_value, 0, (size_t)b->n_targets * sizeof(*d_value));
	for (int32_t i = 0; i < b->n_labels; i++) {
		float off = value[b->label_target[i]] - advantage[b->label_doc[i]];
		if (d_value)
			d_value[b->label_target[i]] += off;
		if (!s)
			continue;
		s->loss += 0.5 * (double)off * off;
		s->weight++;
		objective_measure(s, 0, value[b->label_target[i]], 1);
	}
}

static const char *const roles[] = { "prompt", NULL };
static const struct batch_column columns[] = { { "advantage", PER_DOCUMENT }, { 0 } };
static const char *const metrics[] = { "value", NULL };
static const struct objective made_up = {
	.name = "made-up", .rate = 1, .roles = roles, .columns = columns, .metrics = metrics, .open = made_open,
	.close = made_close, .params = made_params, .maxima = made_maxima, .documents = made_documents,
	.record = made_record, .fill = made_fill, .loss = made_loss,
};

static char *write_prompts(struct test *t)
{
	struct buf text = BUF_INIT;
	struct err e = ERR_INIT;
	char *path = io_join(test_tmp(), "prompts.jsonl");

	for (int i = 0; i < 15; i++)
		buf_addf(&text, "{\"prompt\": \"Which of these %s number %d?\"}\n", i % 2 ? "games is" : "has", i);
	CHECK_MSG(t, io_write(path, text.data, text.len, &e) == 0, "%s", e.msg);
	buf_release(&text);
	return path;
}

static void run(struct test *t, const char *path, const char *more, int threads, char hex[33])
{
	char options[300];
	struct training s;
	struct job j;

	snprintf(options, sizeof(options), SMALL " %s", more);
	job_init(t, &j, "llama", path, options);
	hex[0] = 0;
	if (training_begin_with(t, &s, &j, &made_up, threads)) {
		training_steps(t, &s, 4, NULL);
		params_hash(trainer_params(s.trainer), hex);
	}
	training_end(&s);
	job_release(&j);
}

static void test_bits(struct test *t, const char *path, const char *method)
{
	static const char *const ways[] = {
		"", "per-device-train-batch-size=1 gradient-accumulation-steps=6", "gradient-checkpointing=true",
		"", "",
	};
	char first[33], hex[33], options[120];

	test_case(t, "%s: threads, accumulation and recomputation change no bit", method);
	for (int i = 0; i < 5; i++) {
		snprintf(options, sizeof(options), "method=%s %s", method, ways[i]);
		run(t, path, options, (int[]){ 1, 2, 2, 3, 7 }[i], i ? hex : first);
		CHECK_MSG(t, i == 0 || !strcmp(first, hex), "way %d", i);
	}
}

static void test_resume(struct test *t, const char *path, const char *method)
{
	char whole[33], hex[33], options[300], *dir = io_join(test_tmp(), "checkpoint-2");
	struct err e = ERR_INIT;
	struct training s;
	struct job j;
	json_t *mine = json_object(), *back = NULL;

	test_case(t, "%s: 2 + 2 steps with a save between are 4", method);
	snprintf(options, sizeof(options), "method=%s", method);
	run(t, path, options, 2, whole);
	snprintf(options, sizeof(options), SMALL " method=%s", method);
	job_init(t, &j, "llama", path, options);
	if (training_begin_with(t, &s, &j, &made_up, 2)) {
		training_steps(t, &s, 2, NULL);
		CHECK_MSG(t, trainer_save(s.trainer, dir, mine, &e) == 0, "%s", e.msg);
	}
	training_end(&s);
	if (training_begin_with(t, &s, &j, &made_up, 3)) {
		CHECK_MSG(t, trainer_load(s.trainer, dir, &back, &e) == 0, "%s", e.msg);
		training_steps(t, &s, 2, NULL);
		params_hash(trainer_params(s.trainer), hex);
		CHECK(t, !strcmp(whole, hex));
	}
	training_end(&s);
	json_decref(mine);
	json_decref(back);
	job_release(&j);
	mem_free(dir);
}

static void check_steps(struct test *t, struct training *s)
{
	const struct trainer_plan *p = trainer_plan(s->trainer);
	int64_t tokens = 0, computed = 0, supervised = 0;
	struct err e = ERR_INIT;
	double flops = 0;

	for (int i = 0; i < 4; i++) {
		struct step_metrics m;
		CHECK_MSG(t, trainer_step(s->trainer, &m, &e) == 0, "%s", e.msg);
		CHECK(t, isfinite(m.loss) && m.metrics.n == 1 && isfinite(m.metrics.value[0]));
		tokens += m.tokens;
		computed += m.computed_tokens;
		supervised += m.supervised_tokens;
		flops += m.flops;
	}
	CHECK_MSG(t, tokens <= p->tokens && computed <= p->computed_tokens && supervised <= p->supervised_tokens,
	          "%lld tokens, planned %lld", (long long)tokens, (long long)p->tokens);
	CHECK(t, computed < tokens && flops <= p->planned_flops);
#ifndef KUNGFU_SANITIZE
	CHECK_MSG(t, (double)mem_rss() <= 1.02 * (double)p->planned_bytes, "%zu in use, %zu planned", mem_rss(),
	          p->planned_bytes);
#endif
}

/* Its own parameters are in the result, under their name, and have learnt. */
static void check_result(struct test *t, struct training *s)
{
	char *dir = io_join(test_tmp(), "result"), *path = io_join(dir, OBJECTIVE_FILE);
	struct safetensors file;
	struct err e = ERR_INIT;

	CHECK_MSG(t, io_mkdirs(dir, &e) == 0 && trainer_result(s->trainer, dir, &e) == 0, "%s", e.msg);
	if (st_open(&file, path, &e) == 0) {
		const struct st_tensor *x = st_find(&file, "value.weight");
		CHECK(t, x && x->n_dims == 2 && x->dim[0] == 1 && ((const float *)x->data)[0] != 0);
		st_close(&file);
	}
	CHECK_MSG(t, !e.msg[0], "%s", e.msg);
	mem_free(path);
	mem_free(dir);
}

static void test_plan(struct test *t, const char *path, const char *method)
{
	char options[300];
	struct training s;
	struct job j;

	test_case(t, "%s: the plan holds, made before a document was there; its own parameters learn", method);
	snprintf(options, sizeof(options), SMALL " method=%s", method);
	job_init(t, &j, "llama", path, options);
	if (training_begin_with(t, &s, &j, &made_up, 2)) {
		check_steps(t, &s);
		check_result(t, &s);
	}
	training_end(&s);
	job_release(&j);
}

static void test_too_large(struct test *t, const char *path)
{
	struct err e = ERR_INIT;
	struct trainer *trainer;
	struct job j;
	struct pool *pool = pool_new(1);
	struct device d = device_cpu(kernels_get(NULL, NULL), pool);

	test_case(t, "a row's documents that fit into no micro-batch");
	job_init(t, &j, "llama", path, SMALL " micro-batch-tokens=70");
	CHECK(t, trainer_open_objective(&trainer, &j.recipe, &made_up, NULL, 0, &d, &e) < 0);
	CHECK_MSG(t, strstr(e.msg, "up to 2 documents of 40 tokens") && strstr(e.msg, "70"), "%s", e.msg);
	job_release(&j);
	pool_free(pool);
}

void test_rollouts(struct test *t)
{
	char *path = write_prompts(t);

	log_set(LOG_QUIET);
	test_bits(t, path, "lora");
	test_bits(t, path, "full");
	test_resume(t, path, "lora");
	test_resume(t, path, "full");
	test_plan(t, path, "lora");
	test_plan(t, path, "full");
	test_too_large(t, path);
	mem_free(path);
}
