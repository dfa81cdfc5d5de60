/* test_ranks: several ranks train what one does, bit for bit: weights, losses, checkpoints that any number of ranks
 * goes on from; what cannot be shared is refused; a rank that is lost ends the step with its name. Ranks are threads
 * here (fixture_ranks); test/cases/ranks.test has processes under mpirun. */
#include "../test.h"

#include "fixture_ranks.h"
#include "fixture_training.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"
#include "train/trainer.h"

#define SMALL "per-device-train-batch-size=12 micro-batch-tokens=150 max-length=100 max-steps=4 learning-rate=3e-3"

struct team {
	struct crew crew;
	const char *load, *save;       /* folders of checkpoints, or NULL */
	const char *result;            /* the folder of what comes out, or NULL */
	int steps, lose_at;            /* lose_at: before this step a rank is lost; 0: never */
	int told;                      /* how often another rank told rank 0 what it took */
	struct step_metrics last;      /* of rank 0 */
	struct trainer_plan plan;      /* of rank 0 */
};

static void tells(char out[RANKS_TEXT]) { snprintf(out, RANKS_TEXT, "so much"); }

/* Between two steps, as the books do. */
static int ask(struct team *m, struct err *e)
{
	char said[RANKS_MOST][RANKS_TEXT];
	int status = m->crew.hub.size > 1 ? ranks_ask(&m->crew.hub.ranks[0], said, e) : 0;

	for (int k = 1; k < m->crew.hub.size && !status; k++)
		m->told += !strcmp(said[k], "so much");
	return status;
}

static int lead(void *ctx, struct trainer *t, struct err *e)
{
	struct team *m = ctx;
	json_t *back = NULL, *mine = json_pack("{s:i}", "answer", 42);
	int status = m->load ? trainer_load(t, m->load, &back, e) : 0;

	for (int i = 0; i < m->steps && !status; i++) {
		if (m->lose_at == i + 1)
			hub_lose(&m->crew.hub, 1);
		status = trainer_step(t, &m->last, e) < 0 ? -1 : ask(m, e);
	}
	if (!status && m->save)
		status = trainer_save(t, m->save, mine, e);
	if (!status && m->result)
		status = trainer_result(t, m->result, e);
	m->plan = *trainer_plan(t);
	json_decref(back);
	json_decref(mine);
	return status;
}

static void team_run(struct team *m, const struct job *j, int size)
{
	m->crew.job = j;
	m->crew.lead = lead;
	m->crew.tells = tells;
	m->crew.ctx = m;
	crew_run(&m->crew, size);
}

static void test_bits(struct test *t, const char *data, const char *model, const char *more, bool uneven)
{
	char alone[33], options[300];
	struct job j;

	snprintf(options, sizeof(options), SMALL " %s", more);
	test_case(t, "%s, %s: 1, 2, 3, 4, 5 ranks give the same bits, and tell what they took", model, more);
	training_run(t, model, data, options, 2, alone, NULL);
	job_init(t, &j, model, data, options);
	double loss = 0;
	for (int size = 1; size <= RANKS_MOST; size += uneven ? 1 : 3) {
		struct team m = { .steps = 4 };
		team_run(&m, &j, size);
		for (int k = 0; k < size; k++)
			CHECK_MSG(t, !strcmp(alone, m.crew.hex[k]), "rank %d of %d: %s %s", k, size,
			          m.crew.hex[k], m.crew.err[k].msg);
		loss = size == 1 ? m.last.loss : loss;
		CHECK_MSG(t, m.last.loss == loss, "%d ranks: a loss of %.17g, %.17g of one", size, m.last.loss, loss);
		CHECK(t, (size > 1) == (m.last.sent > 0));
		CHECK_MSG(t, m.told == 4 * (size - 1), "%d answers of %d ranks", m.told, size);
	}
	job_release(&j);
}

/* A checkpoint of some ranks is gone on from by others, and what it ends with are the bits of one in one piece. */
static void test_going_on(struct test *t, const char *data, const char *method)
{
	static const int sizes[][2] = { { 4, 1 }, { 3, 2 }, { 1, 3 } };
	char whole[33], options[300], *dir = io_join(test_tmp(), "checkpoint-2");
	struct job j;

	snprintf(options, sizeof(options), SMALL " method=%s", method);
	test_case(t, "%s: a checkpoint of 4 ranks goes on with 1, of 3 with 2, of 1 with 3", method);
	training_run(t, "llama", data, options, 1, whole, NULL);
	job_init(t, &j, "llama", data, options);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct team first = { .steps = 2, .save = dir }, second = { .steps = 2, .load = dir };
		team_run(&first, &j, sizes[i][0]);
		CHECK_MSG(t, !first.crew.err[0].msg[0], "%s", first.crew.err[0].msg);
		team_run(&second, &j, sizes[i][1]);
		CHECK_MSG(t, !strcmp(whole, second.crew.hex[0]), "%d to %d ranks: %s", sizes[i][0], sizes[i][1],
		          second.crew.err[0].msg);
		CHECK_MSG(t, !strcmp(whole, second.crew.hex[sizes[i][1] - 1]), "%d to %d ranks: %s", sizes[i][0],
		          sizes[i][1], second.crew.err[sizes[i][1] - 1].msg);
	}
	job_release(&j);
	mem_free(dir);
}

/* What a run writes, by one rank of several that have a part of the weights each. */
static void result_of(struct test *t, const struct job *j, struct team m, int size, char hex[33])
{
	char *dir = io_join(test_tmp(), "result"), *path = io_join(dir, "model.safetensors");
	struct buf file = BUF_INIT;
	struct err e = ERR_INIT;

	m.result = dir;
	CHECK_MSG(t, io_mkdirs(dir, &e) == 0, "%s", e.msg);
	team_run(&m, j, size);
	for (int k = 0; k < size; k++)
		CHECK_MSG(t, !m.crew.err[k].msg[0], "rank %d of %d: %s", k, size, m.crew.err[k].msg);
	CHECK_MSG(t, io_read(&file, path, &e) == 0, "%s", e.msg);
	hash_hex(file.data, file.len, hex);
	buf_release(&file);
	io_remove_tree(dir, &e);
	mem_free(path);
	mem_free(dir);
}

static void test_sharded(struct test *t, const char *data, const char *model, const char *more, bool all)
{
	static const int sizes[][2] = { { 3, 2 }, { 4, 1 }, { 1, 3 } };
	char alone[33], many[33], options[300], *dir = io_join(test_tmp(), "checkpoint-2");
	struct job j;

	snprintf(options, sizeof(options), SMALL " method=full zero-stage=3 %s", more);
	test_case(t, "%s, %s: with the weights dealt out 1 to 5 ranks and any that go on write the same", model, more);
	job_init(t, &j, model, data, options);
	result_of(t, &j, (struct team){ .steps = 4 }, 1, alone);
	for (int size = all ? 2 : 3; size <= RANKS_MOST; size += all ? 1 : RANKS_MOST) {
		result_of(t, &j, (struct team){ .steps = 4 }, size, many);
		CHECK_MSG(t, !strcmp(alone, many), "%d ranks: %s, %s of one", size, many, alone);
	}
	for (size_t i = 0; i < (all ? ARRAY_LEN(sizes) : 1); i++) {
		struct team first = { .steps = 2, .save = dir };
		team_run(&first, &j, sizes[i][0]);
		CHECK_MSG(t, !first.crew.err[0].msg[0], "%s", first.crew.err[0].msg);
		result_of(t, &j, (struct team){ .steps = 2, .load = dir }, sizes[i][1], many);
		CHECK_MSG(t, !strcmp(alone, many), "%d to %d ranks: %s", sizes[i][0], sizes[i][1], many);
	}
	job_release(&j);
	mem_free(dir);
}

static void test_damage(struct test *t, const char *data)
{
	char *dir = io_join(test_tmp(), "checkpoint-d"), *part = io_join(dir, "state-00002-of-00002.safetensors");
	struct team first = { .steps = 1, .save = dir }, torn = { .steps = 1, .load = dir }, gone = torn;
	struct err e = ERR_INIT;
	struct job j;

	test_case(t, "a checkpoint whose second part is torn or gone is refused by the part's name");
	job_init(t, &j, "llama", data, SMALL);
	team_run(&first, &j, 2);
	CHECK_MSG(t, io_write(part, "x", 1, &e) == 0, "%s", e.msg);
	team_run(&torn, &j, 2);
	CHECK_MSG(t, strstr(torn.crew.err[0].msg, "state-00002-of-00002"), "%s", torn.crew.err[0].msg);
	CHECK_MSG(t, io_remove_tree(part, &e) == 0, "%s", e.msg);
	team_run(&gone, &j, 1);
	CHECK_MSG(t, strstr(gone.crew.err[0].msg, "state-00002-of-00002"), "%s", gone.crew.err[0].msg);
	job_release(&j);
	mem_free(part);
	mem_free(dir);
}

static void test_lost(struct test *t, const char *data)
{
	struct team m = { .steps = 3, .lose_at = 2 };
	struct job j;

	test_case(t, "a rank that is lost ends the step of all, with its name");
	job_init(t, &j, "llama", data, SMALL);
	team_run(&m, &j, 3);
	CHECK_MSG(t, strstr(m.crew.err[0].msg, "rank 1"), "%s", m.crew.err[0].msg);
	CHECK_MSG(t, strstr(m.crew.err[2].msg, "rank 1"), "%s", m.crew.err[2].msg);
	job_release(&j);
}

static void test_memory(struct test *t, const char *data)
{
	struct team one = { .steps = 1 }, four = { .steps = 1 };
	struct job j;

	test_case(t, "the optimizer's state of four ranks is dealt out");
	job_init(t, &j, "llama", data, SMALL " method=full");
	team_run(&one, &j, 1);
	team_run(&four, &j, 4);
	CHECK_MSG(t, four.plan.state_bytes < one.plan.state_bytes, "%zu of one of four, %zu of one alone",
	          four.plan.state_bytes, one.plan.state_bytes);
	job_release(&j);

	struct team whole = { .steps = 1 }, parts = { .steps = 1 };
	test_case(t, "of gradients that are sharded too a rank has less");
	job_init(t, &j, "llama", data, SMALL " method=full");
	team_run(&whole, &j, 3);
	job_release(&j);
	job_init(t, &j, "llama", data, SMALL " method=full zero-stage=2");
	team_run(&parts, &j, 3);
	CHECK_MSG(t, parts.plan.gradient_buffers == 1 && parts.plan.state_bytes < whole.plan.state_bytes,
	          "%zu with, %zu without", parts.plan.state_bytes, whole.plan.state_bytes);
	job_release(&j);

	struct team least = { .steps = 1 };
	test_case(t, "of weights that are sharded too less again");
	job_init(t, &j, "llama", data, SMALL " method=full zero-stage=3");
	team_run(&least, &j, 3);
	CHECK_MSG(t, least.plan.state_bytes < parts.plan.state_bytes, "%zu with, %zu without", least.plan.state_bytes,
	          parts.plan.state_bytes);
	job_release(&j);
}

static void test_refused(struct test *t, const char *data)
{
	static const char *const options[][2] = {
		{ "kl-to-base=0.1", "--kl-to-base" }, { "zero-stage=3 method=full l2-sp=0.1", "--l2-sp" },
		{ "zero-stage=3 method=lora", "--zero-stage 3" },
		{ "zero-stage=3 method=full update-ratio-steps=1", "--update-ratio-steps" },
	};
	struct job j;

	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		struct team m = { .steps = 1 };
		char all[300];
		snprintf(all, sizeof(all), SMALL " %s", options[i][0]);
		test_case(t, "%s is refused on two ranks", options[i][0]);
		job_init(t, &j, "llama", data, all);
		team_run(&m, &j, 2);
		CHECK_MSG(t, strstr(m.crew.err[0].msg, options[i][1]), "%s", m.crew.err[0].msg);
		job_release(&j);
	}
}

/* What draws its documents, looks at them, or at the whole gradient. */
static void test_whole(struct test *t, const char *data)
{
	static const char *const drawn = "reward=regex reward-regex=[aeiou] num-generations=3 max-completion-length=5";
	char *prompts = io_join(test_tmp(), "prompts.jsonl"), more[300];
	struct buf text = BUF_INIT;
	struct err e = ERR_INIT;

	for (int i = 0; i < 7; i++)
		buf_addf(&text, "{\"prompt\": \"Which of these has number %d?\"}\n", i * i);
	CHECK_MSG(t, io_write(prompts, text.data, text.len, &e) == 0, "%s", e.msg);
	snprintf(more, sizeof(more), "objective=grpo %s beta=0.1 num-iterations=2 sync-ref-model=true "
	         "ref-model-sync-steps=2 zero-stage=2", drawn);
	test_bits(t, prompts, "llama", more, false);
	snprintf(more, sizeof(more), "objective=ppo %s num-iterations=2", drawn);
	test_bits(t, prompts, "llama", more, true);
	test_bits(t, data, "llama", "objective=distill teacher=test/golden/llama-untied lmbda=0.5 seq-kd=true "
	          "num-generations=2 max-completion-length=4", false);
	snprintf(more, sizeof(more), "l2-sp=0.1 ewc=0.5 retain=%s", data);
	test_bits(t, data, "llama", more, false);
	test_bits(t, data, "llama", "method=adalora deltaT=2 max-grad-norm=0.1", true);
	test_going_on(t, data, "adalora");
	buf_release(&text);
	mem_free(prompts);
}

/* --- messages --- */

static void agree(void *ctx, struct ranks *r)
{
	struct team *m = ctx;
	char said[RANKS_MOST][RANKS_TEXT];

	snprintf(said[0], sizeof(said[0]), "text of %d", r->rank);
	int status = r->rank == 2 ? err_set(&m->crew.err[2], "no room") : 0;
	ranks_agree(r, m->steps ? status : 0, said, &m->crew.err[r->rank]);
	snprintf(m->crew.hex[r->rank], sizeof(m->crew.hex[0]), "%.32s", said[r->rank ? 0 : 3]);
}

static void test_agreement(struct test *t)
{
	struct team fine = { 0 }, bad = { .steps = 1 };

	test_case(t, "what all are content with passes, with what each says; one that is not ends it for all");
	hub_init(&fine.crew.hub, 4);
	hub_run(&fine.crew.hub, agree, &fine);
	hub_release(&fine.crew.hub);
	CHECK_MSG(t, !strcmp(fine.crew.hex[0], "text of 3"), "%s", fine.crew.hex[0]);
	hub_init(&bad.crew.hub, 4);
	hub_run(&bad.crew.hub, agree, &bad);
	hub_release(&bad.crew.hub);
	for (int k = 0; k < 4; k++)
		CHECK_MSG(t, !strcmp(bad.crew.err[k].msg, "rank 2: no room"), "%d: %s", k, bad.crew.err[k].msg);
}

void test_ranks(struct test *t)
{
	char *data = write_rows(t, 40);

	test_agreement(t);
	test_bits(t, data, "llama", "method=lora lora-dropout=0.1", true);
	test_bits(t, data, "llama", "method=full zero-stage=2", true);
	test_bits(t, data, "gpt2", "method=full optim=muon", false);
	test_bits(t, data, "llama", "method=full optim=adamw_8bit", false);
	test_going_on(t, data, "full");
	test_going_on(t, data, "lora ema-decay=0.9");
	test_sharded(t, data, "llama", "", true);
	test_sharded(t, data, "gpt2", "optim=muon ema-decay=0.9", false);
	test_whole(t, data);
	test_damage(t, data);
	test_lost(t, data);
	test_memory(t, data);
	test_refused(t, data);
	mem_free(data);
}
