/* choose: what nobody said of a run, as a function of the shards and the options alone, or within a budget.
 *
 *     the shape     without a budget the depth of the rule (model/sizes.h) that a text of U tokens is enough for,
 *                   20 tokens a parameter in 4 passes (train/laws.h). Within one, of C operations, the depth that
 *                   ends at the lowest loss by Hoffmann et al. 2022, D counted as Muennighoff et al. 2023 do:
 *                       406.4/N^0.34 + 410.7/D'^0.28,  D = C / operations a token
 *                       D' = U + U·R·(1 − e^((1 − D/U)/R))
 *     the steps     D over the tokens of a step; a step of 0.58·D^0.571 tokens
 *     the rate      1.79·N^−0.713·D^0.307 (Li et al. 2025), at most 3e-3: those laws begin at larger models
 *     evaluations   ten and the one at the start, on as many tokens as cost a twentieth of the run
 *
 * A budget of time becomes operations by what steps take on this machine, which are run for a moment and thrown away.
 * Steps and shape are then written into the recipe, so a run that goes on elsewhere measures nothing. What was used
 * before (tokenizer, shards, measuring) and what follows (evaluations, saving) are in the budget. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/pretrain/pretrain.h"
#include "cmd/trial.h"
#include "gas/meter.h"
#include "model/init.h"
#include "model/sizes.h"
#include "train/batch_ramp.h"
#include "train/laws.h"
#include "train/trainer.h"

enum { DEPTH_LEAST = 2, DEPTH_MOST = 64, LEAST_WINDOWS = 4, LEAST_HELD_OUT = 8, EVALUATIONS = 10, SAMPLES = 4,
       CONTEXT_LEAST = 256, MOST_MICRO = 4096 };

static const double most_rate = 3e-3, usual_rate_of_thread = 2e10, write_rate = 300e6;
static const double kept_for_saving = 0.03;        /* of the time of the steps */

struct choosing {
	struct app *app;
	struct pretrain *o;
	struct opt_parse *p;
	const char *in;
	double unique;                 /* tokens to learn from */
	uint32_t vocabulary;
	int64_t context;
	struct size_cost cost;
	double seconds;                /* of the budget; NAN: there is none */
};

static bool said(const struct choosing *c, const char *name) { return opt_given(c->p, name); }

/* --- facts --- */

static int read_shards(struct choosing *c, struct err *e)
{
	struct shards s;

	if (shards_open(&s, c->o->recipe.data, e) < 0)
		return -1;
	c->unique = (double)shards_total(&s, SHARDS_TRAIN).tokens;
	c->vocabulary = s.vocabulary;
	shards_close(&s);
	return 0;
}

static int64_t context_of(const struct choosing *c)
{
	if (c->o->block_size)
		return c->o->block_size;
	if (said(c, "max-length") || c->o->recipe.model)
		return c->o->recipe.max_length;
	return c->unique > 2e8 ? 4 * CONTEXT_LEAST : c->unique > 2e7 ? 2 * CONTEXT_LEAST : CONTEXT_LEAST;
}

static unsigned parts_of(const struct choosing *c)
{
	return objective_find(c->o->recipe.objective)->masked ? WEIGHT_OF_HEAD : 0;
}

static int cost_of(const struct choosing *c, json_t *config, struct size_cost *cost, struct err *e)
{
	struct init_options o = { .parts = parts_of(c) };
	struct model m;

	if (!json_is_integer(json_object_get(config, "vocab_size")) || c->vocabulary)
		json_object_set_new(config, "vocab_size", json_integer(c->vocabulary));
	if (model_new_facts(&m, config, &o, e) < 0)
		return -1;
	*cost = size_cost(&m, (int)c->context);
	model_close(&m);
	return 0;
}

/* --- the shape --- */

static json_t *config_of_depth(const struct choosing *c, int depth, struct err *e)
{
	char name[64];

	snprintf(name, sizeof(name), "%s-d%d", parts_of(c) ? "bert" : "llama", depth);
	return size_config(name, (int)c->context, e);
}

static int cost_of_depth(const struct choosing *c, int depth, struct size_cost *cost, struct err *e)
{
	json_t *config = config_of_depth(c, depth, e);
	int status = config ? cost_of(c, config, cost, e) : -1;

	json_decref(config);
	return status;
}

static double loss_of(double n, double unique, double tokens)
{
	return 406.4 * pow(n, -0.34) + 410.7 * pow(law_repeated(unique, tokens), -0.28);
}

/* The depth on which so many operations are spent best; they only get dearer. */
static int best_depth(const struct choosing *c, double flops, int *best, struct err *e)
{
	double lowest = INFINITY;

	for (int depth = DEPTH_LEAST; depth <= DEPTH_MOST; depth++) {
		struct size_cost cost;
		if (cost_of_depth(c, depth, &cost, e) < 0)
			return -1;
		double loss = loss_of(cost.blocks, c->unique, flops / cost.flops);
		if (loss >= lowest)
			break;
		lowest = loss;
		*best = depth;
	}
	return 0;
}

/* Into PREPARED/config.json, which the recipe names then. */
static int write_config(struct choosing *c, json_t *config, struct err *e)
{
	char *dir = io_join(c->in, PREPARED), *path = io_join(dir, "config.json");
	int status = io_mkdirs(dir, e);

	status = status ? -1 : jsonx_write_file(path, config, e);
	c->o->recipe.config = arena_strdup(&c->o->mem, path);
	mem_free(dir);
	mem_free(path);
	return status;
}

static int take_config(struct choosing *c, json_t *config, struct err *e)
{
	if (!config)
		return -1;
	int status = cost_of(c, config, &c->cost, e) < 0 ? -1 : write_config(c, config, e);
	json_decref(config);
	return status;
}

/* The shape that was asked for. */
static int take_shape(struct choosing *c, struct err *e)
{
	const char *given = c->o->recipe.config;

	if (c->o->size)
		return take_config(c, size_config(c->o->size, (int)c->context, e), e);
	char *path = io_is_dir(given) ? io_join(given, "config.json") : mem_strdup(given);
	json_t *config = jsonx_load_file(path, e);
	mem_free(path);
	return take_config(c, config, e);
}

static bool has_shape(const struct choosing *c) { return c->o->size || said(c, "config"); }

static int choose_shape(struct choosing *c, double flops, struct err *e)
{
	int depth = MAX(size_nearest_depth(law_size_of_text(c->unique)), (int)DEPTH_LEAST);

	if (has_shape(c))
		return take_shape(c, e);
	if (!isnan(flops) && best_depth(c, flops, &depth, e) < 0)
		return -1;
	return take_config(c, config_of_depth(c, depth, e), e);
}

/* --- tokens, batch, rate --- */

static double batch_of(const struct choosing *c, double tokens)
{
	const struct recipe *r = &c->o->recipe;
	double context = (double)c->context;

	if (said(c, "per-device-train-batch-size"))
		return (double)r->batch_size * (double)r->accumulation * context;
	double batch = c->o->batch_tokens ? (double)c->o->batch_tokens :
	                                    fmax(law_batch(tokens), LEAST_WINDOWS * context);
	return fmax(round(batch / context), 1) * context;
}

/* Of steps of `batch` tokens, at last. What is no ramp is told where the run begins. */
static struct batch_ramp ramp_of(const struct choosing *c, double batch)
{
	struct batch_ramp ramp = { .global = (uint64_t)fmax(batch / (double)c->context, 1) };
	struct err ignored = ERR_INIT;

	batch_ramp_parse(&ramp, c->o->recipe.rampup_batch_size, &ignored);
	return ramp;
}

/* Tokens of so many steps; steps that so many tokens are enough for. */
static double tokens_of(const struct choosing *c, double batch, double steps)
{
	struct batch_ramp ramp = ramp_of(c, batch);

	return ramp.samples ? (double)batch_ramp_before(&ramp, (uint64_t)steps) * (double)c->context : steps * batch;
}

static double steps_of(const struct choosing *c, double batch, double tokens)
{
	struct batch_ramp ramp = ramp_of(c, batch);

	return ramp.samples ? (double)batch_ramp_steps(&ramp, (uint64_t)(tokens / (double)c->context)) :
	                      floor(tokens / batch);
}

/* What follows from how many tokens are trained on. */
static void set_rest(struct choosing *c, double tokens)
{
	double batch = batch_of(c, tokens), windows = batch / (double)c->context;
	const struct recipe *r = &c->o->recipe;
	double steps = said(c, "max-steps") ? (double)r->max_steps : fmax(steps_of(c, batch, tokens), 1);

	opt_put(c->p, "max-length", (double)c->context);
	if (!said(c, "per-device-train-batch-size"))
		opt_put(c->p, "per-device-train-batch-size", fmax(windows / (double)r->accumulation, 1));
	opt_put(c->p, "max-steps", steps);
	if (!said(c, "micro-batch-tokens"))
		opt_put(c->p, "micro-batch-tokens", fmax((double)c->context, fmin(batch, MOST_MICRO)));
	if (!said(c, "learning-rate") && r->config)
		opt_put(c->p, "learning-rate", fmin(law_rate(c->cost.blocks, tokens_of(c, batch, steps)),
		                                     most_rate));
	if (r->sample_prompt && !said(c, "sample-steps"))
		opt_put(c->p, "sample-steps", fmax(ceil(steps / SAMPLES), 1));
	if (!said(c, "eval-steps"))
		opt_put(c->p, "eval-steps", fmax(ceil(steps / EVALUATIONS), 1));
	if (!said(c, "eval-tokens"))
		opt_put(c->p, "eval-tokens", fmin(fmax(floor(tokens * 3 / 20 / (EVALUATIONS + 1)),
		                                       LEAST_HELD_OUT * (double)c->context), 1 << 18));
}

static double tokens_wanted(const struct choosing *c)
{
	const struct recipe *r = &c->o->recipe;

	if (said(c, "max-steps"))
		return tokens_of(c, batch_of(c, c->unique), (double)r->max_steps);
	if (c->o->flops > 0 && c->cost.flops > 0)
		return c->o->flops / c->cost.flops;
	if (said(c, "num-train-epochs") || r->model)
		return r->num_train_epochs * c->unique;
	return LAW_EPOCHS * c->unique;
}

/* --- time --- */

struct measured { double step, open, eval; };

static int time_steps(struct trainer *t, double most, double *seconds, struct err *e)
{
	double begin = clock_seconds(), sum = 0;
	int n = 0;

	for (int i = 0; i < 3 || (clock_seconds() - begin < most && i < 200); i++) {
		struct step_metrics m;
		if (trainer_step(t, &m, e) < 0)
			return -1;
		sum += i ? m.seconds : 0; /* the first brings the pages in */
		n += i > 0;
	}
	*seconds = fmax(sum / n, 1e-6);
	return 0;
}

static int measure(struct choosing *c, double most, struct measured *m, struct err *e)
{
	struct recipe r = c->o->recipe;
	const struct log_sink *was = log_lend(&log_nothing);
	double begin = clock_seconds();
	struct trainer *t = NULL;

	r.max_steps = 1000;
	r.out = c->in;
	r.replay = NULL;
	r.rampup_batch_size = NULL; /* of whole batches */
	int status = recipe_resolve(&r, e);
	recipe_settle(&r, c->app->kernels);
	if (!status)
		status = trainer_open(&t, &r, c->app->device, e) < 0 || trainer_start(t, e) < 0 ? -1 : 0;
	m->open = clock_seconds() - begin;
	if (!status)
		status = time_steps(t, most, &m->step, e);
	if (!status)
		m->eval = trainer_plan(t)->eval_seconds / fmax(trainer_evaluations_after(t, 0), 1);
	trainer_close(t);
	log_lend(was);
	return status;
}

/* Seconds that are left for steps. */
static double left_for_steps(const struct choosing *c, const struct measured *m)
{
	double used = clock_seconds() - c->o->began, parameters = fmax(c->cost.parameters, 1),
	       bytes = c->o->recipe.spike_threshold > 0 ? 16 : 4; /* of the result; of what a spike goes back to */

	return (c->seconds - used - m->open - (EVALUATIONS + 1) * m->eval - parameters * bytes / write_rate - 0.2) *
	       (1 - kept_for_saving);
}

/* Shape, then tokens, by what steps of that shape take; measured again where it is another than was measured. */
static int spend_time(struct choosing *c, struct err *e)
{
	double most = fmin(fmax(0.015 * c->seconds, 0.2), 20);
	double left = c->seconds - (clock_seconds() - c->o->began),
	       flops = left * usual_rate_of_thread * pool_threads(c->app->pool);
	double parameters = 0, tokens = flops / 1e6;
	struct measured m;

	for (int round = 0; round < 3; round++) {
		if (!c->o->recipe.model && choose_shape(c, flops, e) < 0)
			return -1;
		if (round && c->cost.parameters == parameters)
			break;
		parameters = c->cost.parameters;
		if (c->cost.flops > 0)
			tokens = flops / c->cost.flops;
		set_rest(c, tokens);
		if (measure(c, most, &m, e) < 0)
			return -1;
		double steps = left_for_steps(c, &m) / m.step;
		if (steps < 1)
			return err_set(e, "--budget %s: what comes before the first step takes as long", c->o->budget);
		tokens = steps * batch_of(c, tokens);
		flops = tokens * c->cost.flops;
	}
	/* the batch as it was measured: of another one steps would take another time */
	c->o->batch_tokens = c->o->recipe.batch_size * c->o->recipe.accumulation * c->context;
	set_rest(c, fmax(left_for_steps(c, &m) / m.step, 1) * (double)c->o->batch_tokens);
	return 0;
}

int pretrain_measure(struct app *app, struct pretrain *o, struct opt_parse *p, const char *in, double most,
                     struct pretrain_speed *speed, struct err *e)
{
	struct choosing c = { .app = app, .o = o, .p = p, .in = in };
	struct measured m;

	if (read_shards(&c, e) < 0)
		return -1;
	c.context = o->recipe.max_length;
	json_t *config = jsonx_load_file(o->recipe.config, e);
	int status = config ? cost_of(&c, config, &c.cost, e) : -1;
	json_decref(config);
	if (status < 0 || measure(&c, most, &m, e) < 0)
		return -1;
	double tokens = (double)o->recipe.batch_size * (double)o->recipe.accumulation * (double)c.context;
	*speed = (struct pretrain_speed){ c.cost.flops * tokens / m.step, m.open };
	return 0;
}

int pretrain_seconds(const struct pretrain *o, double *seconds, struct err *e)
{
	struct gas_limit l;

	*seconds = NAN;
	if (!o->budget)
		return 0;
	if (gas_limit_parse(&l, o->budget, e) < 0)
		return err_prefix(e, "--budget");
	if (isnan(l.seconds) || !isnan(l.joules) || !isnan(l.money))
		return err_set(e, "--budget %s: a time was wanted, as 30m", o->budget);
	*seconds = l.seconds;
	return 0;
}

/* --- all of it --- */

static void say(const struct choosing *c)
{
	const struct recipe *r = &c->o->recipe;
	double batch = (double)r->batch_size * (double)r->accumulation * (double)c->context,
	       tokens = tokens_of(c, batch, (double)r->max_steps);
	char parameters[32], all[32];

	if (c->cost.parameters > 0)
		log_say("the model: %s parameters, a context of %lld tokens, a vocabulary of %u",
		        human_count(c->cost.parameters, parameters), (long long)c->context, c->vocabulary);
	log_say("learning: %lld steps of %s%lld windows, %s tokens in all (%.3g times the text)",
	        (long long)r->max_steps, r->rampup_batch_size ? "up to " : "",
	        (long long)(r->batch_size * r->accumulation), human_count(tokens, all),
	        tokens / c->unique);
	if (c->app->plans && c->cost.blocks > 0)
		pretrain_laws(c->app, &(struct pretrain_facts){ c->cost.blocks, tokens, c->unique, batch,
		                                                r->learning_rate, c->vocabulary });
}

int pretrain_choose(struct app *app, struct pretrain *o, struct opt_parse *p, const char *in, struct err *e)
{
	struct choosing c = { .app = app, .o = o, .p = p, .in = in };
	double flops = o->flops > 0 ? o->flops : NAN;

	if (pretrain_seconds(o, &c.seconds, e) < 0 || read_shards(&c, e) < 0)
		return -1;
	c.context = context_of(&c);
	if (!isnan(c.seconds)) {
		if (spend_time(&c, e) < 0)
			return -1;
	} else {
		if (!o->recipe.model && choose_shape(&c, flops, e) < 0)
			return -1;
		set_rest(&c, tokens_wanted(&c));
	}
	say(&c);
	return 0;
}
