/* scaling: a ladder of small models, the law through their losses (learn/scaling_law.h), and what it says of a budget
 * of operations or of time; then that is tried and both are told.
 *
 *     half of it:      for each of RUNGS budgets, each four times the one before, models of WIDE depths around the one
 *                      that 20 tokens a parameter mean, in PREPARED/ladder/dN-RUNG
 *     the other half:  the depth at which the law says that the loss is least, in OUT
 *
 * Every run has the batch, the rate and the schedule that its own number of tokens means (choose.c), so each ends at a
 * rate of nearly nothing, as the law wants it. Tokens that are read again count as Muennighoff et al. 2023 do. What is
 * there of the ladder is not run again. OUT/scaling.json and OUT/scaling.svg have runs, law and check.
 *
 * A budget of time becomes operations by what steps of each of these shapes take here, once, and what the ladder left
 * of it the check's by those of its shape: PREPARED/budget.json has both, so that what goes on elsewhere is the same.
 * Opening, evaluations and saving are within it. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "chart/chart.h"
#include "cmd/pretrain/pretrain.h"
#include "cmd/trial.h"
#include "learn/scaling_law.h"
#include "model/init.h"
#include "model/sizes.h"
#include "train/laws.h"

enum { RUNGS = 3, WIDE = 3, RUNS = RUNGS * WIDE, ROUNDS = 3 };

/* Of the time of steps: evaluations (choose.c: as many tokens as cost a twentieth) and saving. */
static const double beside_steps = 1.08, usual_rate_of_thread = 2e10;

struct scaling {
	struct app *app;
	struct pretrain *o;
	struct opt_parse *p;
	const char *out, *budget;
	struct recipe asked;           /* as it was before a shape was chosen */
	double flops, check, unique;   /* of all, of the run that checks; tokens */
	double seconds;                /* of a budget of time, else NAN */
	struct pretrain_speed speed[SIZE_DEPTH_MOST + 1]; /* zero: not measured */
	int depth[RUNS];
	struct scaling_point point[RUNS];
	size_t n;
	struct scaling_fit fit;
	struct scaling_range expected;
	struct scaling_point checked;
};

/* --- one run --- */

/* N of the shape that the recipe names, and what its tokens are worth. */
static int measure(struct scaling *s, struct scaling_point *out, struct err *e)
{
	const struct recipe *r = &s->o->recipe;
	struct init_options o = { .seed = 0 };
	json_t *config = jsonx_load_file(r->config, e);
	struct model m;

	if (!config || model_new_facts(&m, config, &o, e) < 0) {
		json_decref(config);
		return -1;
	}
	double tokens = (double)r->max_steps * (double)r->batch_size * (double)r->accumulation * (double)r->max_length;
	*out = (struct scaling_point){ .n = size_cost(&m, (int)r->max_length).blocks,
		                       .tokens = law_repeated(s->unique, tokens) };
	json_decref(config);
	model_close(&m);
	return 0;
}

/* The recipe becomes that of a depth on which so many operations are spent, in dir. */
static int choose(struct scaling *s, int depth, double flops, const char *dir, struct scaling_point *out,
                  struct err *e)
{
	s->o->recipe = s->asked;
	s->o->recipe.out = dir;
	s->o->size = arena_printf(&s->o->mem, "llama-d%d", depth);
	s->o->flops = flops;
	if (io_mkdirs(dir, e) < 0 || pretrain_choose(s->app, s->o, s->p, dir, e) < 0 ||
	    recipe_resolve(&s->o->recipe, e) < 0)
		return -1;
	recipe_settle(&s->o->recipe, s->app->kernels);
	s->o->recipe.replay = NULL;
	return measure(s, out, e);
}

static int run_one(struct scaling *s, int depth, double flops, int rung, struct err *e)
{
	const char *dir = arena_printf(&s->o->mem, "%s/" PREPARED "/ladder/d%d-%d", s->out, depth, rung);
	struct scaling_point *point = &s->point[s->n];
	struct trial_options o = { .recipe = &s->o->recipe, .folder = TRIAL_EITHER, .part = "pretrain",
		                   .command = "pretrain", .log = &log_nothing };
	struct trial_result r;
	const struct log_sink *was = log_lend(&log_nothing);
	int status = choose(s, depth, flops, dir, point, e);

	log_lend(was);
	if (status < 0 || trial_run(s->app, &o, &r, e) < 0)
		return -1;
	point->loss = isnan(r.eval_loss) ? r.loss : r.eval_loss;
	s->depth[s->n++] = depth;
	if (r.end != TRIAL_DONE)
		status = err_set(e, "stopped; kungfu resume goes on with the ladder");
	else
		log_say("ladder %zu of %d: d%d, %.3g parameters, %.3g tokens: loss %.4f", s->n, RUNS, depth, point->n,
		        point->tokens, point->loss);
	trial_result_release(&r);
	return status;
}

/* --- the ladder --- */

static int read_unique(struct scaling *s, struct err *e)
{
	struct shards shards;

	if (shards_open(&shards, s->o->recipe.data, e) < 0)
		return -1;
	s->unique = (double)shards_total(&shards, SHARDS_TRAIN).tokens;
	if (!shards_total(&shards, SHARDS_VALID).tokens)
		log_warn("nothing is held out, as of a single document: losses are those of what is learnt, which a "
		         "law of held-out ones does not foretell; --valid-by end holds out the end of each document");
	shards_close(&shards);
	return 0;
}

/* Operations of each run of the first rung. */
static double lowest_rung(double flops) { return flops / 2 / WIDE / (1 + 4 + 16); }

/* The i-th shape of a rung, the middle one is that of 20 tokens a parameter. */
static int depth_of(double flops, int i)
{
	double n, tokens;

	law_optimal(flops, LAW_RATIO, &n, &tokens);
	int middle = size_nearest_depth(n);
	return (middle > 1 ? middle - 1 : 1) + i;
}

static int climb(struct scaling *s, struct err *e)
{
	double unit = lowest_rung(s->flops);

	for (int rung = 0; rung < RUNGS; rung++, unit *= 4)
		for (int i = 0; i < WIDE; i++)
			if (run_one(s, depth_of(unit, i), unit, rung + 1, e) < 0)
				return -1;
	return scaling_fit(&s->fit, s->point, s->n, (uint64_t)s->asked.seed, e);
}

/* --- a budget of time --- */

/* Of the shape that takes so many operations: steps, and what comes before them. */
static int measure_depth(struct scaling *s, int depth, double flops, double most, struct err *e)
{
	struct pretrain_speed *speed = &s->speed[depth];
	const char *dir = arena_printf(&s->o->mem, "%s/" PREPARED "/ladder/measured", s->out);
	const struct log_sink *was;
	struct scaling_point unused;

	if (speed->flops > 0)
		return 0;
	was = log_lend(&log_nothing);
	int status = choose(s, depth, flops, dir, &unused, e) < 0 ||
	             pretrain_measure(s->app, s->o, s->p, dir, most, speed, e) < 0 ? -1 : 0;
	log_lend(was);
	return status;
}

/* Adds what a run takes. */
static int add_seconds(struct scaling *s, int depth, double flops, double most, double *sum, struct err *e)
{
	if (measure_depth(s, depth, flops, most, e) < 0)
		return -1;
	*sum += beside_steps * flops / s->speed[depth].flops + s->speed[depth].open;
	return 0;
}

/* What ladder and check of so many operations take. */
static int seconds_of(struct scaling *s, double flops, double most, double *sum, struct err *e)
{
	double unit = lowest_rung(flops);

	*sum = 0;
	for (int rung = 0; rung < RUNGS; rung++, unit *= 4)
		for (int i = 0; i < WIDE; i++)
			if (add_seconds(s, depth_of(unit, i), unit, most, sum, e) < 0)
				return -1;
	return add_seconds(s, depth_of(flops / 2, 1), flops / 2, most, sum, e);
}

static double left(const struct scaling *s) { return s->seconds - (clock_seconds() - s->o->began); }

static double measuring_most(const struct scaling *s) { return fmin(fmax(s->seconds / 500, 0.1), 10); }

static int too_short(const struct scaling *s, struct err *e)
{
	return err_set(e, "--budget %s: what comes before the first step takes as long", s->budget);
}

static int measure_flops(struct scaling *s, struct err *e)
{
	double taken;

	s->flops = left(s) * usual_rate_of_thread * pool_threads(s->app->pool);
	for (int round = 0; round < ROUNDS; round++) {
		if (!(s->flops > 0))
			return too_short(s, e);
		if (seconds_of(s, s->flops, measuring_most(s), &taken, e) < 0)
			return -1;
		s->flops *= left(s) / taken;
	}
	return s->flops > 0 ? 0 : too_short(s, e);
}

static char *budget_path(const struct scaling *s)
{
	return arena_printf(&s->o->mem, "%s/" PREPARED "/budget.json", s->out);
}

static int keep_budget(const struct scaling *s, struct err *e)
{
	json_t *j = json_pack("{s:f, s:o}", "flops", s->flops, "check", jsonx_number(s->check));
	int status = jsonx_write_file(budget_path(s), j, e);

	json_decref(j);
	return status;
}

/* --flops, or what --budget is enough for: measured once, then as it was written. */
static int read_flops(struct scaling *s, struct err *e)
{
	s->check = s->flops / 2;
	if (pretrain_seconds(s->o, &s->seconds, e) < 0)
		return -1;
	if (isnan(s->seconds))
		return 0;
	s->budget = s->o->budget;
	s->o->budget = NULL; /* each run has its operations */
	s->check = NAN;
	if (io_exists(budget_path(s))) {
		json_t *j = jsonx_load_file(budget_path(s), e), *check = json_object_get(j, "check");
		s->flops = json_number_value(json_object_get(j, "flops"));
		s->check = json_is_number(check) ? json_number_value(check) : NAN;
		json_decref(j);
		return !j ? -1 : s->flops > 0 ? 0 : err_set(e, "%s: no flops in it", budget_path(s));
	}
	if (measure_flops(s, e) < 0)
		return -1;
	log_say("--budget %s: %.3g operations, half of them for the ladder", s->budget, s->flops);
	return keep_budget(s, e);
}

/* What the ladder left of a budget of time, in operations of the best depth. */
static int read_check(struct scaling *s, int best, struct err *e)
{
	double seconds;

	if (!isnan(s->check))
		return 0;
	if (measure_depth(s, best, s->flops / 2, measuring_most(s), e) < 0)
		return -1;
	seconds = fmax(left(s) - s->speed[best].open, 0.02 * s->seconds);
	s->check = seconds / beside_steps * s->speed[best].flops;
	return keep_budget(s, e);
}

/* --- what it says --- */

/* The depth at which the law has the lowest loss, by what a token of it really costs; the recipe becomes its own. */
static int choose_best(struct scaling *s, struct err *e)
{
	double lowest = INFINITY;
	int best = 1;

	const struct log_sink *was = log_lend(&log_nothing);
	for (int depth = 1; depth <= SIZE_DEPTH_MOST; depth++) {
		if (choose(s, depth, s->flops / 2, s->out, &s->checked, e) < 0) {
			log_lend(was);
			return -1;
		}
		double loss = scaling_loss(&s->fit.law, s->checked.n, s->checked.tokens);
		if (loss >= lowest)
			break;
		lowest = loss;
		best = depth;
	}
	log_lend(was);
	if (read_check(s, best, e) < 0 || choose(s, best, s->check, s->out, &s->checked, e) < 0)
		return -1;
	s->expected = scaling_expect(&s->fit, s->checked.n, s->checked.tokens);
	return 0;
}

/* Beyond an exa of anything the runs tell nothing. */
static const char *range_of(const struct scaling_range *x, char out[80])
{
	char low[32], high[32];

	if (x->high > 1e18)
		snprintf(out, 80, "%s or more", human_count(x->low, low));
	else if (x->low < 1)
		snprintf(out, 80, "%s at most", human_count(x->high, high));
	else
		snprintf(out, 80, "%s to %s", human_count(x->low, low), human_count(x->high, high));
	return out;
}

static void tell(const struct scaling *s)
{
	const struct scaling_fit *f = &s->fit;
	struct scaling_advice a = scaling_advise(f, s->check);
	char n[32], tokens[32], ns[80], ts[80];

	app_print("loss(N, D) = %.3f + %.3g/N^%.3f + %.3g/D^%.3f, of %zu runs, off by %.2f %%\n", f->law.e, f->law.a,
	          f->law.alpha, f->law.b, f->law.beta, s->n, 100 * f->error);
	app_print("95 %%: E %.3f to %.3f, alpha %.3f to %.3f, beta %.3f to %.3f\n", f->e.low, f->e.high, f->alpha.low,
	          f->alpha.high, f->beta.low, f->beta.high);
	app_print("%.3g operations: %s parameters (%s) on %s tokens (%s)\n", s->check, human_count(a.n.value, n),
	          range_of(&a.n, ns), human_count(a.tokens.value, tokens), range_of(&a.tokens, ts));
	app_print("the check: %s parameters, %s tokens, %.2g times the largest of the ladder; expected loss %.4f "
	          "(%.4f to %.4f)\n", human_count(s->checked.n, n), human_count(s->checked.tokens, tokens),
	          scaling_reach(f, s->checked.n, s->checked.tokens), s->expected.value, s->expected.low,
	          s->expected.high);
}

int scaling_ladder(struct scaling **out, struct app *app, struct pretrain *o, struct opt_parse *p, struct err *e)
{
	struct scaling *s = *out = mem_alloc(sizeof(*s));

	*s = (struct scaling){ .app = app, .o = o, .p = p, .out = o->recipe.out, .flops = o->flops };
	if (pretrain_prepare(app, o, s->out, e) < 0)
		return -1;
	s->asked = o->recipe;
	if (read_unique(s, e) < 0 || read_flops(s, e) < 0 || climb(s, e) < 0 || choose_best(s, e) < 0)
		return -1;
	tell(s);
	return 0;
}

/* --- the check --- */

static json_t *range_json(struct scaling_range r)
{
	return json_pack("[o,o,o]", jsonx_number(r.value), jsonx_number(r.low), jsonx_number(r.high));
}

static int write_json(const struct scaling *s, struct err *e)
{
	const struct scaling_fit *f = &s->fit;
	char *path = io_join(s->out, "scaling.json");
	json_t *runs = json_array();
	for (size_t i = 0; i < s->n; i++)
		json_array_append_new(runs, json_pack("{s:i, s:f, s:f, s:o}", "depth", s->depth[i], "parameters",
		                                      s->point[i].n, "tokens", s->point[i].tokens, "loss",
		                                      jsonx_number(s->point[i].loss)));
	json_t *j = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:f, s:o, s:{s:f, s:f, s:o}}", "runs", runs, "E",
	                      range_json(f->e), "A", range_json(f->a), "alpha", range_json(f->alpha), "B",
	                      range_json(f->b), "beta", range_json(f->beta), "error", f->error, "expected",
	                      range_json(s->expected), "checked", "parameters", s->checked.n, "tokens",
	                      s->checked.tokens, "loss", jsonx_number(s->checked.loss));
	int status = jsonx_write_file(path, j, e);

	if (s->app->json)
		app_json(j);
	json_decref(j);
	mem_free(path);
	return status;
}

/* Losses over the operations: the runs, what the law says of them, the check and what was expected of it. */
static int draw(const struct scaling *s, struct err *e)
{
	double x[RUNS], y[RUNS], law[RUNS], at = 6 * s->checked.n * s->checked.tokens, loss = s->checked.loss;
	for (size_t i = 0; i < s->n; i++) {
		x[i] = 6 * s->point[i].n * s->point[i].tokens;
		y[i] = s->point[i].loss;
		law[i] = scaling_loss(&s->fit.law, s->point[i].n, s->point[i].tokens);
	}
	struct chart_series series[] = {
		{ .name = "ladder", .x = x, .y = y, .n = s->n, .points = true },
		{ .name = "law", .x = x, .y = law, .n = s->n, .points = true, .faint = true },
		{ .name = "expected", .x = &at, .y = &s->expected.value, .low = &s->expected.low,
		  .high = &s->expected.high, .n = 1, .bars = true },
		{ .name = "check", .x = &at, .y = &loss, .n = 1, .points = true },
	};
	struct chart chart = { .title = "scaling law", .x_label = "6 N D, operations", .y_label = "nats a token",
		               .x_log = true, .series = series, .n_series = ARRAY_LEN(series) };
	struct buf out = BUF_INIT;
	char *path = io_join(s->out, "scaling.svg");

	chart_svg(&out, &chart, 1);
	int status = io_write(path, out.data, out.len, e);
	buf_release(&out);
	mem_free(path);
	return status;
}

int scaling_checked(struct scaling *s, struct err *e)
{
	struct trial_options o = { .recipe = &s->o->recipe, .folder = TRIAL_EITHER, .part = "pretrain",
		                   .command = "pretrain", .log = &log_nothing };
	struct trial_result r;

	if (trial_run(s->app, &o, &r, e) < 0)
		return -1;
	s->checked.loss = isnan(r.eval_loss) ? r.loss : r.eval_loss;
	trial_result_release(&r);
	bool within = s->checked.loss >= s->expected.low && s->checked.loss <= s->expected.high;
	app_print("expected %.4f (%.4f to %.4f), came out %.4f: %s, %+.2f %%\n", s->expected.value, s->expected.low,
	          s->expected.high, s->checked.loss, within ? "within" : "outside",
	          100 * (s->checked.loss / s->expected.value - 1));
	return write_json(s, e) < 0 ? -1 : draw(s, e);
}

void scaling_free(struct scaling *s) { mem_free(s); }
