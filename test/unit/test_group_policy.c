/* test_group_policy: losses of GRPO and RLOO on log-probabilities and their gradients as TRL's own _compute_loss has
 * them (test/golden/values/group_policy.safetensors); rewards by rules; what a doctor says of a made-up course; how far
 * what was drawn may be from what is trained. */
#include "../test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/forest.h"
#include "format/safetensors.h"
#include "train/group_policy.h"
#include "train/rollout.h"

enum { ANSWERS = 6, MOST = 5, PROMPT = 2 };

static const float *values_of(const struct safetensors *v, const char *name)
{
	for (size_t i = 0; i < v->n_tensors; i++)
		if (!strcmp(v->tensors[i].name, name))
			return (const float *)v->tensors[i].data;
	BUG("%s has no %s", v->path, name);
}

static const char *meta_of(const struct safetensors *v, const char *key)
{
	for (size_t i = 0; i < v->n_meta; i++)
		if (!strcmp(v->meta[i].key, key))
			return v->meta[i].value;
	BUG("%s has no %s", v->path, key);
}

struct answers {
	struct document docs[ANSWERS];
	const struct document *list[ANSWERS];
	int32_t ids[ANSWERS][PROMPT + MOST];
	uint8_t learn[ANSWERS][PROMPT + MOST];
	struct batch batch;
	const float *golden[3];            /* "logp", "old", "reference" [ANSWERS][MOST] */
	float x[ANSWERS * MOST], dx[ANSWERS * MOST];
	double scratch[ANSWERS];
};

static void make_batch(struct answers *a, const char *lengths)
{
	struct forest_options o = { .max_tokens = 200, .share = true };
	struct batch_cap cap;
	struct live live;
	int64_t tokens;

	for (int i = 0; i < ANSWERS; i++) {
		char *end;
		int32_t n = (int32_t)strtol(lengths + strcspn(lengths, "0123456789"), &end, 10);
		lengths = end;
		for (int32_t k = 0; k < PROMPT + n; k++)
			a->ids[i][k] = k < PROMPT ? k : 10 + i * MOST + k;
		memset(a->learn[i] + PROMPT, 1, (size_t)n);
		a->docs[i] = (struct document){ .ids = a->ids[i], .learn = a->learn[i], .n = PROMPT + n, .n_learn = n,
			                        .choice = -1, .adapter = -1 };
		a->list[i] = &a->docs[i];
	}
	forest_take(a->list, ANSWERS, &o, &cap, &live, &tokens);
	cap.columns = group_columns;
	batch_init(&a->batch, &cap);
	forest_fill(&a->batch, a->list, ANSWERS, &o);
}

/* The place in [ANSWERS][MOST] of a label. */
static size_t place(const struct answers *a, int32_t i, int *at)
{
	int32_t d = a->batch.label_doc[i];

	return (size_t)d * MOST + (size_t)at[d]++;
}

static void set_columns(struct test *t, struct answers *a, const struct objective_run *run, const float *advantage,
                        bool fresh)
{
	struct batch *b = &a->batch;
	float *kept = batch_column(b, "kept"), *old = batch_column(b, "old"), *reference = batch_column(b, "reference");
	int at[ANSWERS] = { 0 };

	run->row->fill(run, b, a->list); /* kept and denominators */
	for (int32_t d = 0; d < b->n_docs; d++) {
		CHECK(t, kept[d] == 1);
		batch_column(b, "advantage")[d] = advantage[d];
	}
	for (int32_t i = 0; i < b->n_labels; i++) {
		size_t k = place(a, i, at);
		a->x[i] = a->golden[0][k];
		old[i] = fresh ? NAN : a->golden[1][k];
		reference[i] = a->golden[2][k];
	}
}

static void check_values(struct test *t, struct answers *a, const struct objective_run *run,
                         const struct safetensors *v, int number)
{
	struct objective_sums sums = { 0 }, with = { 0 };
	char name[32];
	int at[ANSWERS] = { 0 };

	snprintf(name, sizeof(name), "%d.loss", number);
	double loss = (double)values_of(v, name)[0];
	snprintf(name, sizeof(name), "%d.grad", number);
	const float *grad = values_of(v, name);
	run->row->loss(run, &a->batch, a->x, NULL, &sums);
	run->row->loss(run, &a->batch, a->x, a->dx, &with);
	CHECK(t, sums.loss == with.loss && sums.weight == with.weight);
	CHECK(t, fabs(sums.weight - objective_weight(run->row, &a->batch)) < 1e-9);
	CHECK_MSG(t, fabs(sums.loss / sums.weight - loss) <= 1e-5, "loss %.7f, TRL's %.7f", sums.loss / sums.weight,
	          loss);
	for (int32_t i = 0; i < a->batch.n_labels; i++) {
		double want = (double)grad[place(a, i, at)], got = (double)a->dx[i] / sums.weight;
		CHECK_MSG(t, fabs(got - want) <= 1e-6, "label %d: gradient %.7f, TRL's %.7f", i, got, want);
	}
}

static void test_loss(struct test *t, struct answers *a, const struct safetensors *v, int number)
{
	struct model model = { .config = { .V = 64 } };
	struct documents documents = { .n = 2 };
	struct err e = ERR_INIT;
	struct opt_parse parse;
	char key[32], *words, *save = NULL;

	snprintf(key, sizeof(key), "%d", number);
	test_case(t, "%s", meta_of(v, key));
	words = mem_strdup(meta_of(v, key));
	const struct objective *row = objective_find(strtok_r(words, " ", &save));
	void *options = mem_alloc(row->options_size);
	struct objective_run run = { .row = row, .options = options, .scratch = a->scratch, .model = &model,
		                     .documents = &documents };
	CHECK(t, opt_begin(&parse, row->opts, options, &e) == 0);
	for (char *word; (word = strtok_r(NULL, " ", &save));) {
		char *is = strchr(word, '=');
		*is = 0;
		CHECK_MSG(t, opt_assign(&parse, word, is + 1, &e) == 0, "%s", e.msg);
	}
	CHECK(t, row->open(&run, &e) == 0);
	snprintf(key, sizeof(key), "%d.fresh", number);
	set_columns(t, a, &run, values_of(v, "advantage"), *meta_of(v, key) == '1');
	check_values(t, a, &run, v, number);
	row->close(&run);
	opt_release(&parse);
	mem_free(options);
	mem_free(words);
}

static void test_losses(struct test *t)
{
	char *path = io_join(test_golden(), "values/group_policy.safetensors");
	struct safetensors v;
	struct answers a = { 0 };
	struct err e = ERR_INIT;

	test_case(t, "golden values are there");
	int status = st_open(&v, path, &e);
	CHECK_MSG(t, status == 0, "%s", e.msg);
	if (status == 0) {
		make_batch(&a, meta_of(&v, "lengths"));
		a.golden[0] = values_of(&v, "logp");
		a.golden[1] = values_of(&v, "old");
		a.golden[2] = values_of(&v, "reference");
		for (int i = 0; i < atoi(meta_of(&v, "cases")); i++)
			test_loss(t, &a, &v, i);
		batch_release(&a.batch);
	}
	st_close(&v);
	mem_free(path);
}

/* --- advantages --- */

/* Two groups of four. Of 1, 0, 0, 1 the mean is 0.5 and the deviation √(1/3); of 2, 2, 2, 2 there is none; of all eight
 * the mean is 1.25, the squares' sum 5.5, the deviation √(5.5/7). */
static const struct { const char *objective, *options; double want[8]; } advantages[] = {
	{ "grpo", "scale-rewards=group", { 0.865875, -0.865875, -0.865875, 0.865875, 0, 0, 0, 0 } },
	{ "grpo", "scale-rewards=batch", { 0.564012, -0.564012, -0.564012, 0.564012, 0, 0, 0, 0 } },
	{ "grpo", "scale-rewards=none", { 0.5, -0.5, -0.5, 0.5, 0, 0, 0, 0 } },
	{ "rloo", "normalize-advantages=false", { 2 / 3.0, -2 / 3.0, -2 / 3.0, 2 / 3.0, 0, 0, 0, 0 } },
	/* the mean is 0, the deviation √((16/9)/7) */
	{ "rloo", "normalize-advantages=true", { 1.322613, -1.322613, -1.322613, 1.322613, 0, 0, 0, 0 } },
};

static void test_advantages(struct test *t)
{
	for (size_t i = 0; i < ARRAY_LEN(advantages); i++) {
		double x[8] = { 1, 0, 0, 1, 2, 2, 2, 2 };
		const struct objective *row = objective_find(advantages[i].objective);
		struct opt_parse parse;
		struct err e = ERR_INIT;
		void *options = mem_alloc(row->options_size);
		char *words = mem_strdup(advantages[i].options), *is = strchr(words, '=');
		test_case(t, "advantages: %s %s", row->name, advantages[i].options);
		*is = 0;
		CHECK(t, opt_begin(&parse, row->opts, options, &e) == 0 && opt_assign(&parse, words, is + 1, &e) == 0);
		(!strcmp(row->name, "grpo") ? grpo_advantages : rloo_advantages)(options, x, 8, 4);
		for (int k = 0; k < 8; k++)
			CHECK_MSG(t, fabs(x[k] - advantages[i].want[k]) < 1e-5, "%d: %.6f, wanted %.6f", k, x[k],
			          advantages[i].want[k]);
		opt_release(&parse);
		mem_free(options);
		mem_free(words);
	}
}

/* --- rewards --- */

static const struct { const char *rule, *row, *answer; double worth; } judged[] = {
	{ "exact", "{\"answer\": \"81\"}", " 81\n", 1 },
	{ "exact", "{\"answer\": 81}", "81", 1 },
	{ "exact", "{\"answer\": \"81\"}", "81.", 0 },
	{ "number", "{\"ground_truth\": \"#### 1,024\"}", "so it is 1024.0", 1 },
	{ "number", "{\"solution\": \"-3\"}", "5 - 8 = -3.", 1 },
	{ "number", "{\"solution\": \"3\"}", "3, no: 4", 0 },
	{ "number", "{\"solution\": \"3\"}", "none", 0 },
	{ "regex", "{}", "the 42nd", 1 },
	{ "regex", "{}", "nothing", 0 },
	{ "json-schema", "{}", "{\"a\": [1, 2.5], \"b\": \"x\"}", 1 },
	{ "json-schema", "{}", "{\"a\": [1, -1]}", 0 },
	{ "json-schema", "{}", "{\"b\": \"x\"}", 0 },
	{ "json-schema", "{}", "{\"a\": [], \"c\": 1}", 0 },
	{ "json-schema", "{}", "{\"a\": [1]} and more", 0 },
};

static void test_rules(struct test *t)
{
	static const char schema[] = "{\"type\": \"object\", \"required\": [\"a\"], "
		"\"additionalProperties\": false, \"properties\": {\"a\": {\"type\": \"array\", "
		"\"items\": {\"minimum\": 0}}, \"b\": {\"maxLength\": 3}}}";
	char *path = io_join(test_tmp(), "schema.json");
	struct reward_options o = { .regex = "[0-9]+(st|nd|th)", .schema = path, .repetition_ngram = 2 };
	int32_t ids[5] = { 5, 5, 5, 5, 5 };
	struct reward_rules *r;
	struct err e = ERR_INIT;

	test_case(t, "rules");
	CHECK(t, io_write(path, schema, strlen(schema), &e) == 0);
	CHECK_MSG(t, reward_rules_open(&r, &o, &e) == 0, "%s", e.msg);
	for (size_t i = 0; i < ARRAY_LEN(judged); i++) {
		struct row row = { .json = json_loads(judged[i].row, 0, NULL) };
		struct reward_case c = { .row = &row, .text = judged[i].answer };
		const struct reward_rule *rule = reward_rule_find(judged[i].rule, strlen(judged[i].rule));
		char room[32];
		double x = rule->of(r, &c, rule->right ? reward_right(row.json, room) : NULL);
		CHECK_MSG(t, x == judged[i].worth, "%s of '%s': %g", judged[i].rule, judged[i].answer, x);
		json_decref(row.json);
	}
	struct reward_case c = { .text = "", .ids = ids, .n = 5, .most = 10, .ended = true };
	CHECK(t, reward_rule_find("repetition", 10)->of(r, &c, NULL) == -0.75);
	c.n = 9;
	CHECK(t, reward_rule_find("length", 6)->of(r, &c, NULL) == -0.5);
	c.ended = false;
	CHECK(t, reward_rule_find("length", 6)->of(r, &c, NULL) == -1);
	reward_rules_close(r);
	mem_free(path);
}

/* --- the doctor --- */

/* Twenty steps, of which the last ten differ from the first. */
static bool is_hopeless(const struct doctor_step *before, const struct doctor_step *after, const char *mode,
                        const char *word)
{
	struct doctor d = { .mode = mode, .most_entropy = 10 };
	struct err e = ERR_INIT;

	for (int i = 0; i < 2 * DOCTOR_WINDOW; i++)
		doctor_see(&d, i < DOCTOR_WINDOW ? before : after);
	return doctor_verdict(&d, &e) < 0 && strstr(e.msg, word);
}

static void test_doctor(struct test *t)
{
	struct doctor_step well = { .reward = 0.4, .reward_stderr = 0.05, .held = 0.4, .held_stderr = 0.05,
		                    .entropy = 1, .kl = NAN, .length = 20, .with_length = 0.1, .flat = 0.2 };
	struct doctor_step x = well;

	test_case(t, "the doctor: what is well, and what is hopeless");
	CHECK(t, !is_hopeless(&well, &well, "stop", ""));
	x.reward = 0.9;
	CHECK(t, !is_hopeless(&well, &x, "stop", ""));
	x.held = 0.1;
	CHECK(t, is_hopeless(&well, &x, "stop", "outwitted"));
	CHECK(t, !is_hopeless(&well, &x, "warn", ""));
	x = well;
	x.flat = 1;
	CHECK(t, is_hopeless(&well, &x, "stop", "nothing to learn"));
	x = well;
	x.entropy = 9.5;
	CHECK(t, is_hopeless(&well, &x, "stop", "noise"));
	x = well;
	x.kl = 12;
	CHECK(t, is_hopeless(&well, &x, "stop", "KL"));
	x = well;
	x.reward = 0;
	x.held = 0;
	CHECK(t, is_hopeless(&well, &x, "stop", "fallen"));
}

static bool agrees(enum compute compute, struct rollout_drift drift)
{
	struct model m = { .compute = compute };
	struct objective_run run = { .model = &m };
	const struct rollout r = { .run = &run, .drift = drift };
	struct err e;

	return rollout_agrees(&r, &e) == 0;
}

/* One token that int8 rounds badly is drawn, because it is rounded so: no reason to end a run. */
static void test_drift(struct test *t)
{
	test_case(t, "what is drawn and what is trained: rounding and more than rounding");
	CHECK(t, agrees(COMPUTE_F32, (struct rollout_drift){ 1e-5, -1, 2e-5, 40 }));
	CHECK(t, !agrees(COMPUTE_F32, (struct rollout_drift){ 2e-3, -1, 2e-3, 40 }));
	CHECK(t, agrees(COMPUTE_F32, (struct rollout_drift){ 2e-3, -8, 2e-3, 40 }));
	CHECK(t, agrees(COMPUTE_INT8, (struct rollout_drift){ 1.74, -1.37, 3.5, 48 }));
	CHECK(t, agrees(COMPUTE_INT8, (struct rollout_drift){ 1.74, -1.37, 1.8, 2 }));
	CHECK(t, !agrees(COMPUTE_INT8, (struct rollout_drift){ 2.5, -1, 40, 48 }));
	CHECK(t, !agrees(COMPUTE_INT8, (struct rollout_drift){ 3.2, -1, 3.2, 2 }));
	CHECK(t, agrees(COMPUTE_INT8, (struct rollout_drift){ .most = NAN }));
}

void test_group_policy(struct test *t)
{
	log_set(LOG_QUIET);
	test_losses(t);
	test_advantages(t);
	test_rules(t);
	test_doctor(t);
	test_drift(t);
}
