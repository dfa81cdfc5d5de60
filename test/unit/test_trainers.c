/* test_trainers: what is trained together has the bits that it has alone: any methods, rates, seeds, data and lengths
 * beside each other; blocks that are computed once; a step that is given up; the plan. */
#include "../test.h"

#include "fixture_training.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "train/trainers.h"

#define COMMON "max-length=100 micro-batch-tokens=150 per-device-train-batch-size=12 "

enum { MOST = 12, STEPS = 6 };

struct history {
	double loss[STEPS], norm[STEPS], eval_loss;
	char params[33];
	long steps;
};

static void look_at_end(struct test *t, struct trainer *trainer, struct history *h)
{
	struct err e = ERR_INIT;
	struct eval_metrics m = { .eval_loss = NAN };
	bool stopped;

	h->steps = trainer_steps_done(trainer);
	params_hash(trainer_params(trainer), h->params);
	if (trainer_has_eval(trainer))
		CHECK_MSG(t, trainer_eval(trainer, &m, NULL, &stopped, &e) == 0, "%s", e.msg);
	h->eval_loss = m.eval_loss;
}

static void alone(struct test *t, const struct job *j, struct history *h)
{
	struct err e = ERR_INIT;
	struct training s;
	struct step_metrics m;

	*h = (struct history){ 0 };
	if (training_begin(t, &s, j, 2)) {
		for (int i = 0; !trainer_done(s.trainer) && i < STEPS; i++) {
			CHECK_MSG(t, trainer_step(s.trainer, &m, &e) == 0, "%s", e.msg);
			h->loss[i] = m.loss;
			h->norm[i] = m.grad_norm;
		}
		look_at_end(t, s.trainer, h);
	}
	training_end(&s);
}

static bool same(const struct history *a, const struct history *b)
{
	return a->steps == b->steps && !memcmp(a->loss, b->loss, sizeof(a->loss)) &&
	       !memcmp(a->norm, b->norm, sizeof(a->norm)) && !strcmp(a->params, b->params) &&
	       (a->eval_loss == b->eval_loss || (isnan(a->eval_loss) && isnan(b->eval_loss)));
}

struct together { struct pool *pool; struct device device; struct trainers *all; };

static bool together_begin(struct test *t, struct together *s, const struct job *jobs, size_t n)
{
	struct err e = ERR_INIT;
	bool fine = true;

	s->pool = pool_new(2);
	s->device = device_cpu(kernels_get(NULL, &e), s->pool);
	s->all = trainers_new(&s->device);
	for (size_t i = 0; i < n && fine; i++)
		fine = trainers_add(s->all, &jobs[i].recipe, 0, &e) == 0;
	fine = fine && trainers_settle(s->all, &e) == 0 && trainers_start(s->all, &e) == 0;
	CHECK_MSG(t, fine, "%s", e.msg);
	return fine;
}

static void together_end(struct together *s)
{
	trainers_free(s->all);
	pool_free(s->pool);
}

static bool mark(const struct trainers *s, bool *which)
{
	bool any = false;

	for (size_t i = 0; i < trainers_count(s); i++)
		any |= which[i] = !trainer_done(trainers_at(s, i));
	return any;
}

static void run_together(struct test *t, struct trainers *s, struct history *h)
{
	struct step_metrics m[MOST];
	struct err failed[MOST], e = ERR_INIT;
	bool which[MOST];

	memset(h, 0, MOST * sizeof(*h));
	for (int step = 0; mark(s, which) && step < STEPS; step++) {
		if (trainers_step(s, which, m, failed, &e) < 0) {
			CHECK_MSG(t, false, "%s", e.msg);
			return;
		}
		for (size_t i = 0; i < trainers_count(s); i++) {
			if (!which[i])
				continue;
			CHECK_MSG(t, !failed[i].msg[0], "%s", failed[i].msg);
			h[i].loss[step] = m[i].loss;
			h[i].norm[step] = m[i].grad_norm;
		}
	}
	for (size_t i = 0; i < trainers_count(s); i++)
		look_at_end(t, trainers_at(s, i), &h[i]);
}

/* shared: how many of them share the blocks of others. */
static void compare(struct test *t, const char *model, const char *data, const char *const *options, size_t n,
                    size_t shared)
{
	struct history one, all[MOST];
	struct job jobs[MOST] = { 0 };
	struct together s;
	size_t sharing = 0;

	for (size_t i = 0; i < n; i++)
		job_init(t, &jobs[i], model, data, options[i]);
	bool fine = together_begin(t, &s, jobs, n);
	for (size_t i = 0; fine && i < n; i++)
		sharing += trainers_share(s.all, i)->with > 1;
	CHECK_MSG(t, !fine || sharing == shared, "%zu share blocks, not %zu", sharing, shared);
	if (fine)
		run_together(t, s.all, all);
	together_end(&s);
	for (size_t i = 0; fine && i < n; i++) {
		alone(t, &jobs[i], &one);
		CHECK_MSG(t, same(&one, &all[i]), "%s: not as alone", options[i]);
	}
	for (size_t i = 0; i < n; i++)
		job_release(&jobs[i]);
}

static void test_mixed(struct test *t, const char *model, const char *data)
{
	char eval[200];
	snprintf(eval, sizeof(eval), COMMON "max-steps=5 learning-rate=3e-3 eval-data=%s", data);
	const char *const options[] = {
		eval,
		COMMON "max-steps=3 learning-rate=1e-3 lora-r=2 seed=7 lora-dropout=0.2",
		COMMON "max-steps=6 use-dora=true gradient-accumulation-steps=2 max-length=60",
		COMMON "max-steps=4 method=ia3 micro-batch-tokens=400",
		COMMON "max-steps=4 method=vera micro-batch-tokens=110",
		COMMON "max-steps=4 method=prompt_tuning num-virtual-tokens=5 per-device-train-batch-size=1",
		COMMON "max-steps=4 method=prefix_tuning num-virtual-tokens=3",
		COMMON "max-steps=4 method=bottleneck per-device-train-batch-size=1",
		COMMON "max-steps=4 method=ln_tuning optim=muon micro-batch-tokens=400",
		COMMON "max-steps=4 method=loha kl-to-base=0.5", COMMON "max-steps=4 init-lora-weights=pissa",
	};

	test_case(t, "%s: eleven recipes together, of small micro-batches and of large, each as alone", model);
	compare(t, model, data, options, ARRAY_LEN(options), 0);
}

static void test_blocks(struct test *t, const char *model, const char *data, size_t shared)
{
	const char *const options[] = {
		COMMON "max-steps=5 learning-rate=3e-3 layers-to-transform=1",
		COMMON "max-steps=6 learning-rate=1e-3 layers-to-transform=1 lora-r=3 lora-dropout=0.1",
		COMMON "max-steps=5 learning-rate=3e-3 layers-to-transform=1 seed=9",
		COMMON "max-steps=4 method=bottleneck", COMMON "max-steps=5 method=loha layers-to-transform=1",
		COMMON "max-steps=5 learning-rate=3e-3 layers-to-transform=1 micro-batch-tokens=400",
		COMMON "max-steps=5 learning-rate=1e-3 layers-to-transform=1 micro-batch-tokens=400",
	};

	test_case(t, "%s: blocks below the lowest that is adapted are computed once, where micro-batches are alike",
	          model);
	compare(t, model, data, options, ARRAY_LEN(options), shared);
}

/* What the rows begin with is a constant of each run: of those above, and of the blocks that are shared. */
static void test_past(struct test *t, const char *model, const char *data)
{
	const char *const options[] = {
		COMMON "max-steps=5 alora-invocation-tokens=::",
		COMMON "max-steps=4 alora-invocation-tokens=:: lora-r=2 per-device-train-batch-size=1",
		COMMON "max-steps=5 alora-invocation-tokens=:: layers-to-transform=1 lora-r=2",
		COMMON "max-steps=5 alora-invocation-tokens=:: layers-to-transform=1 learning-rate=1e-3",
		COMMON "max-steps=5 layers-to-transform=1", COMMON "max-steps=5 layers-to-transform=1 lora-r=2",
	};

	test_case(t, "%s: adapters that are invoked behind a beginning of all rows, and others, each as alone", model);
	compare(t, model, data, options, ARRAY_LEN(options), 4);
}

static void test_given_up(struct test *t, const char *data)
{
	const char *const options[] = { COMMON "max-steps=4", COMMON "max-steps=4 lora-r=2 seed=1" };
	struct step_metrics m[MOST];
	struct err failed[MOST], e = ERR_INIT;
	struct history one, all[MOST];
	struct job jobs[2];
	struct together s;
	bool which[MOST];

	test_case(t, "a step that is given up is done again, and nothing of it shows");
	for (size_t i = 0; i < 2; i++)
		job_init(t, &jobs[i], "llama", data, options[i]);
	if (together_begin(t, &s, jobs, 2)) {
		mark(s.all, which);
		stop_ask();
		CHECK(t, trainers_step(s.all, which, m, failed, &e) < 0);
		stop_heard();
		run_together(t, s.all, all);
	}
	together_end(&s);
	for (size_t i = 0; i < 2; i++) {
		alone(t, &jobs[i], &one);
		CHECK_MSG(t, same(&one, &all[i]), "%s: not as alone", options[i]);
		job_release(&jobs[i]);
	}
}

/* Its learning rate makes numbers infinite: the others do not notice. */
static void test_broken(struct test *t, const char *data)
{
	const char *const options[] = { COMMON "max-steps=4",
		                        COMMON "max-steps=4 learning-rate=1000 max-grad-norm=0 warmup-ratio=0" };
	struct step_metrics m[MOST];
	struct err failed[MOST], e = ERR_INIT;
	struct history one, all = { 0 };
	struct job jobs[2];
	struct together s;
	bool which[MOST], broken = false;

	test_case(t, "one whose loss is no number any more fails alone");
	for (size_t i = 0; i < 2; i++)
		job_init(t, &jobs[i], "llama", data, options[i]);
	if (together_begin(t, &s, jobs, 2)) {
		for (int step = 0; step < 4; step++) {
			which[0] = true;
			which[1] = !broken;
			CHECK_MSG(t, trainers_step(s.all, which, m, failed, &e) == 0, "%s", e.msg);
			all.loss[step] = m[0].loss;
			all.norm[step] = m[0].grad_norm;
			CHECK(t, !failed[0].msg[0]);
			broken |= which[1] && failed[1].msg[0];
		}
		look_at_end(t, trainers_at(s.all, 0), &all);
	}
	together_end(&s);
	alone(t, &jobs[0], &one);
	CHECK(t, same(&one, &all));
	for (size_t i = 0; i < 2; i++)
		job_release(&jobs[i]);
}

static void test_apart(struct test *t, const char *data)
{
	struct job a, b;

	test_case(t, "recipes that cannot share a model say why");
	job_init(t, &a, "llama", data, COMMON);
	job_init(t, &b, "llama", data, COMMON "method=full");
	CHECK(t, recipe_apart(&a.recipe, &b.recipe) && strstr(recipe_apart(&a.recipe, &b.recipe), "full"));
	CHECK(t, !recipe_apart(&a.recipe, &a.recipe));
	job_release(&b);
	job_init(t, &b, "gpt2", data, COMMON);
	CHECK(t, recipe_apart(&a.recipe, &b.recipe) && strstr(recipe_apart(&a.recipe, &b.recipe), "models"));
	job_release(&a);
	job_release(&b);
}

void test_trainers(struct test *t)
{
	char *data = write_rows(t, 60);

	log_set(LOG_QUIET);
	test_mixed(t, "llama", data);
	test_blocks(t, "llama", data, 6);
	test_blocks(t, "gpt2", data, 6);
	test_given_up(t, data);
	test_broken(t, data);
	test_apart(t, data);
	mem_free(data);
	data = write_calls(t);
	test_past(t, "llama", data);
	test_past(t, "gpt2", data);
	mem_free(data);
}
