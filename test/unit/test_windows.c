/* Windows of token shards as what a run learns from: every token once a pass, no piece sees another, and the promises
 * of a run (threads, stops) hold. */
#include "../test.h"

#include "fixture_training.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "train/windows.h"

enum { DOCUMENTS = 48, LENGTH = 16 /* of each where all are alike */, END = 2 };

/* Shards of a golden model's tokenizer, or of one that nobody has: random tokens, documents of
 * LENGTH tokens with their end or of many lengths. */
static char *write_shards(struct test *t, const char *model, const char *name, bool alike)
{
	char *dir = io_join(test_tmp(), name), *path = io_join(test_golden(), model), hash[33];
	struct err e = ERR_INIT;
	struct tokenizer *tokenizer = tokenizer_open(path, &e);
	struct shards_facts f = { hash, (uint32_t)tokenizer_size(tokenizer), END, 0 };
	struct rng_stream r = { 5 };
	struct shards_writer *w;
	int32_t ids[3 * LENGTH];

	shards_tokenizer_hash(tokenizer, hash);
	if (!strcmp(name, "others"))
		hash[0] = hash[0] == '0' ? '1' : '0';
	int status = shards_writer_open(&w, dir, &f, &e);
	for (int s = 0; s < 2 && !status; s++)
		status = shards_writer_source(w, s ? "b" : "a", NAN, NAN, &e);
	for (int i = 0; i < DOCUMENTS && !status; i++) {
		size_t n = alike ? LENGTH - 1 : 1 + rng_below(&r, 3 * LENGTH - 1);
		for (size_t k = 0; k < n; k++)
			ids[k] = 3 + (int32_t)rng_below(&r, f.vocabulary - 3);
		status = shards_writer_add(w, (size_t)(i & 1), i % 6 > 3 ? SHARDS_VALID : SHARDS_TRAIN, ids, n, 4 * n,
		                           &e);
	}
	CHECK_MSG(t, !status && shards_writer_place(w, NULL, &e) == 0, "%s", e.msg);
	tokenizer_free(tokenizer);
	mem_free(path);
	return dir;
}

static void test_documents(struct test *t, const char *dir)
{
	char *path = io_join(test_golden(), "llama");
	struct err e = ERR_INIT;
	struct windows_options o = { .length = 10, .seed = 1, .tokenizer = tokenizer_open(path, &e) };
	struct windows w;
	bool whole = true, seen[2][100] = { 0 };
	size_t n, taken = 0;

	test_case(t, "a pass has every window once; pieces end where documents do, all but the first token is learnt");
	CHECK_MSG(t, windows_open(&w, dir, &o, &e) == 0, "%s", e.msg);
	const struct document **docs = mem_array((size_t)w.most_pieces, sizeof(*docs));
	for (uint64_t at = 0; at < w.mixture.n_positions; at++) {
		struct mixture_pick pick = mixture_at(&w.mixture, at);
		int32_t ids[10], tokens = 0;
		CHECK(t, windows_take(&w, at, 1, docs, &n, &e) == 0);
		CHECK(t, shards_read(&w.shards, pick.source, SHARDS_TRAIN, pick.window * 10, 10, ids, &e) == 0);
		for (size_t i = 0; i < n; i++) {
			const struct document *d = docs[i];
			whole &= !memcmp(d->ids, ids + tokens, (size_t)d->n * sizeof(*ids)) && d->joined == (i > 0) &&
			         d->n_learn == d->n - 1 && !d->learn[0];
			for (int32_t k = 0; k < d->n; k++)
				whole &= (d->ids[k] == END) <= (k == d->n - 1) && (k == 0 || d->learn[k]);
			whole &= i + 1 == n || d->ids[d->n - 1] == END;
			tokens += d->n;
		}
		CHECK(t, tokens == 10 && !seen[pick.source][pick.window]);
		seen[pick.source][pick.window] = true;
		taken++;
	}
	CHECK(t, whole && taken == w.mixture.n_positions && w.mixture.windows[0] + w.mixture.windows[1] == taken);
	CHECK_MSG(t, w.live.rows == 10 && w.live.labels > 8 && w.live.labels < 10, "%g", w.live.labels);
	mem_free(docs);
	windows_close(&w);
	tokenizer_free((struct tokenizer *)o.tokenizer);
	mem_free(path);
}

/* Who counts what is learnt by its marks finds as many as are planned. */
static void test_hidden(struct test *t, const char *dir)
{
	char *path = io_join(test_golden(), "bert");
	struct err e = ERR_INIT;
	struct windows_options o = { .length = 24, .seed = 1, .masked = 0.3, .tokenizer = tokenizer_open(path, &e) };
	const struct document *docs[200];
	struct windows w;
	size_t n = 0;

	test_case(t, "a window whose tokens are hidden has as many marked as will be");
	CHECK_MSG(t, windows_open(&w, dir, &o, &e) == 0, "%s", e.msg);
	CHECK(t, w.most_pieces <= 24 && windows_take(&w, 0, 1, docs, &n, &e) == 0 && n > 0);
	for (size_t i = 0; i < n; i++) {
		int32_t marked = 0;
		for (int32_t k = 0; k < docs[i]->n; k++)
			marked += docs[i]->learn[k] != 0;
		CHECK_MSG(t, marked == docs[i]->n_learn, "%d marked of %d", marked, docs[i]->n_learn);
	}
	windows_close(&w);
	tokenizer_free((struct tokenizer *)o.tokenizer);
	mem_free(path);
}

/* Loss of the first step, and its gradient's norm. */
static void first_step(struct test *t, const char *dir, const char *options, double out[2])
{
	struct err e = ERR_INIT;
	struct step_metrics m = { .loss = NAN, .grad_norm = NAN };
	struct training s;
	struct job j;

	job_init(t, &j, "llama", dir, options);
	if (training_begin(t, &s, &j, 2))
		CHECK_MSG(t, trainer_step(s.trainer, &m, &e) == 0, "%s", e.msg);
	out[0] = m.loss;
	out[1] = m.grad_norm;
	training_end(&s);
	job_release(&j);
}

static void test_leaks(struct test *t, const char *alike)
{
	double alone[2], joined[2];

	test_case(t, "documents four to a window have the loss that they have alone, and the gradient");
	first_step(t, alike, "method=full max-length=16 batch-size=32 micro-batch-tokens=64", alone);
	first_step(t, alike, "method=full max-length=64 batch-size=8 micro-batch-tokens=130", joined);
	CHECK_MSG(t, fabs(alone[0] - joined[0]) < 1e-6 * alone[0] && alone[0] > 1, "%.9f, %.9f", alone[0], joined[0]);
	CHECK_MSG(t, fabs(alone[1] - joined[1]) < 2e-6 * alone[1], "the gradient's norm: %.9f, %.9f", alone[1],
	          joined[1]);
}

#define RUN "method=full max-length=24 batch-size=5 micro-batch-tokens=60 max-steps=6 learning-rate=1e-3 "

/* Rows of a prompt and its answer. */
static char *write_pairs(struct test *t)
{
	char *path = io_join(test_tmp(), "pairs.jsonl");
	struct buf text = BUF_INIT;
	struct err e = ERR_INIT;

	for (int i = 0; i < 9; i++)
		buf_addf(&text, "{\"prompt\": \"a%d\", \"completion\": \"b%.*s\"}\n", i, i, "cdefghijk");
	CHECK_MSG(t, io_write(path, text.data, text.len, &e) == 0, "%s", e.msg);
	buf_release(&text);
	return path;
}

/* What steps are made of: the number of documents that are learnt in part is that of rows with prompts. */
static void test_instruction(struct test *t, const char *dir, const char *pairs)
{
	int64_t text = 0, tokens = 0, least = INT64_MAX;
	struct err e = ERR_INIT;
	struct training s;
	struct job j;
	char options[400];

	test_case(t, "questions and answers among windows, from a step on, as many as are asked for");
	snprintf(options, sizeof(options), RUN "instruction-data=%s instruction-ratio=0.3 instruction-start=0.5",
	         pairs);
	job_init(t, &j, "llama", dir, options);
	if (training_begin(t, &s, &j, 1)) {
		const struct trainer_plan *p = trainer_plan(s.trainer);
		for (int i = 0; i < 6; i++) {
			struct step_metrics m;
			CHECK_MSG(t, trainer_step(s.trainer, &m, &e) == 0, "%s", e.msg);
			text += m.tokens == 5 * 24;      /* five windows of 24 */
			tokens += m.tokens;
			least = MIN(least, m.tokens);
			CHECK(t, m.supervised_tokens < m.tokens);
		}
		CHECK_MSG(t, text == 3, "%lld of six steps are of text alone", (long long)text);
		CHECK_MSG(t, least >= 3 * 24 + 2, "a step of %lld tokens", (long long)least);
		CHECK_MSG(t, llabs(tokens - p->tokens) < 24, "%lld tokens, planned about %lld", (long long)tokens,
		          (long long)p->tokens);
	}
	training_end(&s);
	job_release(&j);
}

/* Two steps, a checkpoint, and what follows in another trainer. */
static void run_in_two(struct test *t, const char *model, const char *dir, const char *options, char hex[33])
{
	char *at = io_join(test_tmp(), "checkpoint-2");
	struct err e = ERR_INIT;
	struct job j;
	struct training s;
	json_t *back;

	job_init(t, &j, model, dir, options);
	if (training_begin(t, &s, &j, 1)) {
		training_steps(t, &s, 2, NULL);
		CHECK_MSG(t, trainer_save(s.trainer, at, NULL, &e) == 0, "%s", e.msg);
	}
	training_end(&s);
	if (training_begin(t, &s, &j, 3)) {
		CHECK_MSG(t, trainer_load(s.trainer, at, &back, &e) == 0, "%s", e.msg);
		json_decref(back);
		training_steps(t, &s, 4, NULL);
		params_hash(trainer_params(s.trainer), hex);
	}
	training_end(&s);
	job_release(&j);
	mem_free(at);
}

static void test_run(struct test *t, const char *model, const char *dir, const char *options)
{
	char first[33], other[33] = "";
	struct trainer_plan plan;

	test_case(t, "%s %s: threads and a stop change no bit; the plan has the steps of a pass", model, options);
	training_run(t, model, dir, options, 1, first, &plan);
	run_in_two(t, model, dir, options, other);
	CHECK_MSG(t, *first && !strcmp(first, other), "%s, %s", first, other);
	CHECK(t, plan.steps == 6 && plan.longest == 24 && plan.micro_batches == 6 * 3);
	CHECK(t, strstr(options, "instruction") ? plan.tokens < 6 * 5 * 24 : plan.tokens == 6 * 5 * 24);
	CHECK_MSG(t, plan.bytes_per_token > 3 && plan.bytes_per_token < 4, "%g", plan.bytes_per_token);
}

static void test_evaluation(struct test *t, const char *dir)
{
	struct err e = ERR_INIT;
	struct eval_metrics m = { 0 };
	struct job j;
	struct training s;
	bool stopped;

	test_case(t, "evaluated is what is held out, of it as many tokens as are wanted");
	job_init(t, &j, "llama", dir, RUN "eval-tokens=100");
	if (training_begin(t, &s, &j, 2)) {
		CHECK(t, trainer_has_eval(s.trainer) && trainer_eval(s.trainer, &m, NULL, &stopped, &e) == 0);
		/* four windows, of whose tokens the first of each piece is not learnt */
		CHECK_MSG(t, m.n + m.tokens == 4 * 24 && m.n >= 4 && m.eval_loss > 1, "%d pieces, %d tokens", (int)m.n,
		          (int)m.tokens);
	}
	training_end(&s);
	job_release(&j);
}

static void test_refused(struct test *t, const char *dir, const char *others)
{
	static const struct { const char *options, *says; } refused[] = {
		{ "packing=true", "--packing is of rows, these are token shards" },
		{ "objective=dpo", "token shards are texts, and --objective dpo does not learn from those" },
		{ "max-length=100", "windows of 100 tokens are more than --micro-batch-tokens 60" },
		{ "max-length=60", "tokenizer" },
	};
	struct err e = ERR_INIT;
	struct pool *pool = pool_new(1);
	struct device d = device_cpu(kernels_get(NULL, NULL), pool);

	test_case(t, "what is of rows is refused by its name, and shards of another tokenizer");
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		char all[300];
		struct job j;
		struct trainer *trainer;
		snprintf(all, sizeof(all), "micro-batch-tokens=60 %s", refused[i].options);
		job_init(t, &j, "llama", i == 3 ? others : dir, all);
		CHECK_MSG(t, trainer_open(&trainer, &j.recipe, &d, &e) < 0 && strstr(e.msg, refused[i].says), "%s: %s",
		          all, e.msg);
		job_release(&j);
	}
	pool_free(pool);
}

void test_windows(struct test *t)
{
	log_set(LOG_QUIET);
	char *mixed = write_shards(t, "llama", "windows", false), *alike = write_shards(t, "llama", "alike", true),
	     *bert = write_shards(t, "bert", "hidden", false), *others = write_shards(t, "llama", "others", true),
	     *pairs = write_pairs(t), with_rows[400];

	test_documents(t, mixed);
	test_leaks(t, alike);
	test_run(t, "llama", mixed, RUN);
	test_hidden(t, bert);
	test_run(t, "bert", bert, RUN "objective=mlm");
	snprintf(with_rows, sizeof(with_rows), RUN "instruction-data=%s instruction-ratio=0.3", pairs);
	test_run(t, "llama", mixed, with_rows);
	test_instruction(t, mixed, pairs);
	test_evaluation(t, mixed);
	test_refused(t, mixed, others);
	mem_free(pairs);
	mem_free(mixed);
	mem_free(alike);
	mem_free(bert);
	mem_free(others);
}
