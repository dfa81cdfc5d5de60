/* test_trial: a tuning run as a step of something larger, on the tiny models of test/golden: one that pauses and goes
 * on, or is ended early, ends with the bits that it would have had anyway; each row of an evaluation is told, and they
 * add up to the loss that is. */
#include "../test.h"

#include "fixture_training.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "cmd/trial.h"

struct seen {
	struct test *t;
	int evaluations, pauses, left;         /* left: pauses that are still wanted */
	long steps[16];
	double loss_gap;                       /* the most that rows and line were apart */
	bool refuse;
};

static bool look(void *ctx, const struct trial_evaluation *v)
{
	struct seen *s = ctx;
	double loss = 0, weight = 0, told = json_number_value(json_object_get(v->line, "eval_loss"));

	for (size_t i = 0; i < v->n_rows; i++) {
		loss += v->rows[i].loss;
		weight += v->rows[i].weight;
	}
	s->loss_gap = fmax(s->loss_gap, fabs(loss / weight - told));
	s->steps[s->evaluations++ % 16] = v->step;
	if (s->left <= 0 || v->step == 0)
		return false;
	s->left--;
	s->pauses++;
	return true;
}

static int plan(void *ctx, const struct trainer_plan *p, const json_t *json, struct err *e)
{
	struct seen *s = ctx;

	CHECK(s->t, p->steps == 6 && json_is_number(json_object_get(json, "planned_seconds")));
	return s->refuse ? err_set(e, "not this one") : 0;
}

static const struct log_sink silent = { 0 };
static const long at[] = { 2, 4 };

static int run_trial(struct test *t, struct job *j, const char *out, struct seen *s, long last, struct trial_result *r,
                     struct err *e)
{
	struct pool *pool = pool_new(2);
	const struct kernels *k = kernels_get(NULL, NULL);
	struct device device = device_cpu(k, pool);
	struct app app = { .pool = pool, .kernels = k, .device = &device };
	struct trial_options o = { .recipe = &j->recipe, .folder = TRIAL_EITHER, .part = "search", .log = &silent,
		                   .planned = plan, .evaluated = look, .ctx = s, .evaluate_at = at, .n_evaluate_at = 2,
		                   .last_step = last };
	(void)t;

	j->recipe.out = out;
	j->recipe.eval_data = j->data;
	j->recipe.forgetting = false;
	j->recipe.eval_steps = 0;
	int status = trial_run(&app, &o, r, e);
	pool_free(pool);
	return status;
}

static char *path_of(const char *name)
{
	return mem_printf("%s/trial-%s", test_tmp(), name);
}

static void hash_of(const char *dir, char hex[33])
{
	struct err e = ERR_INIT;
	char *path = io_join(dir, "adapter_model.safetensors");

	if (io_hash(path, hex, &e) < 0)
		snprintf(hex, 33, "none");
	mem_free(path);
}

#define JOB "per-device-train-batch-size=6 max-length=100 max-steps=6 learning-rate=3e-3"

static void test_pauses(struct test *t, const char *data)
{
	struct err e = ERR_INIT;
	struct job j;
	struct trial_result r;
	struct seen s = { .t = t };
	char whole[33], parts[33], *a = path_of("whole"), *b = path_of("parts");

	test_case(t, "a trial in one piece: evaluations where they are wanted, every row of them");
	job_init(t, &j, "llama", data, JOB);
	CHECK_MSG(t, run_trial(t, &j, a, &s, 0, &r, &e) == 0, "%s", e.msg);
	CHECK(t, r.end == TRIAL_DONE && r.step == 6 && r.steps == 6 && r.n_rows > 0 && !strcmp(r.result, a));
	CHECK(t, s.evaluations == 4 && s.steps[0] == 0 && s.steps[1] == 2 && s.steps[2] == 4 && s.steps[3] == 6);
	CHECK_MSG(t, s.loss_gap < 1e-12, "%g", s.loss_gap);
	CHECK(t, r.eval_loss > 0 && r.trainable > 0 && r.planned_bytes > 0 && r.whole.seconds > 0);
	hash_of(a, whole);
	double loss = r.eval_loss;
	trial_result_release(&r);

	test_case(t, "one that pauses twice and goes on ends with the same bits");
	s = (struct seen){ .t = t, .left = 2 };
	for (int i = 0; i < 2; i++) {
		CHECK(t, run_trial(t, &j, b, &s, 0, &r, &e) == 0 && r.end == TRIAL_PAUSED && r.step == at[i]);
		CHECK(t, !r.result);
		trial_result_release(&r);
	}
	CHECK(t, run_trial(t, &j, b, &s, 0, &r, &e) == 0 && r.end == TRIAL_DONE && r.eval_loss == loss);
	trial_result_release(&r);
	hash_of(b, parts);
	CHECK(t, !strcmp(whole, parts) && strcmp(whole, "none") != 0 && s.evaluations == 4);

	test_case(t, "a finished one is read, not run again");
	s = (struct seen){ .t = t, .refuse = true };
	CHECK(t, run_trial(t, &j, b, &s, 0, &r, &e) == 0 && r.end == TRIAL_DONE && r.eval_loss == loss && !r.rows);
	CHECK(t, s.evaluations == 0 && !strcmp(r.result, b) && r.step == 6);
	trial_result_release(&r);

	test_case(t, "another recipe is refused in its folder");
	j.recipe.learning_rate *= 2;
	CHECK(t, run_trial(t, &j, b, &s, 0, &r, &e) < 0 && strstr(e.msg, "learning-rate"));
	job_release(&j);
	mem_free(a);
	mem_free(b);
}

static void test_ends(struct test *t, const char *data)
{
	struct err e = ERR_INIT;
	struct job j;
	struct trial_result r;
	struct seen s = { .t = t, .refuse = true };
	char *c = path_of("early"), *d = path_of("refused");

	test_case(t, "a plan that nobody wants leaves no folder");
	job_init(t, &j, "llama", data, JOB);
	CHECK(t, run_trial(t, &j, d, &s, 0, &r, &e) < 0 && !strcmp(e.msg, "not this one") && !io_exists(d));

	test_case(t, "one that ends early is done, with a result");
	s = (struct seen){ .t = t };
	CHECK(t, run_trial(t, &j, c, &s, 3, &r, &e) == 0 && r.end == TRIAL_DONE && r.step == 3 && r.steps == 6);
	CHECK(t, s.evaluations == 3 && s.steps[2] == 3);
	trial_result_release(&r);
	job_release(&j);
	mem_free(c);
	mem_free(d);
}

static void test_classes(struct test *t)
{
	struct err e = ERR_INIT;
	struct job j;
	struct trial_result r;
	struct seen s = { .t = t };
	char *dir = path_of("classes"), *data = mem_printf("%s/classes.jsonl", test_golden());

	test_case(t, "classes: each row's loss, and whether it was right");
	job_init(t, &j, "llama", data, JOB " objective=classification");
	CHECK_MSG(t, run_trial(t, &j, dir, &s, 0, &r, &e) == 0, "%s", e.msg);
	double hits = 0;
	for (size_t i = 0; i < r.n_rows; i++)
		hits += r.rows[i].hit;
	CHECK_MSG(t, s.loss_gap < 1e-6, "%g", s.loss_gap);
	CHECK(t, fabs(hits / (double)r.n_rows - r.acc) < 1e-12);
	trial_result_release(&r);
	job_release(&j);
	mem_free(dir);
	mem_free(data);
}

void test_trial(struct test *t)
{
	char *data = write_rows(t, 20);

	test_pauses(t, data);
	test_ends(t, data);
	test_classes(t);
	mem_free(data);
}
