/* seeds: a run once more with each of the seeds that follow its own: other first numbers, another order. Their last
 * losses on what is held out have a spread, and two runs that differ by less than what it makes likely (Student's 95 %)
 * do not differ, whatever was changed between them.
 *
 *     noise = t · s · √2        s: the spread of n seeds, t of n − 1 degrees of freedom
 *
 * OUT is the run that it is without --seeds, OUT/seeds/SEED are the others, whole runs too; OUT/seeds.json has the
 * figures. What was there is not run again, so a resume goes on with what was stopped. */
#include <math.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/pretrain/pretrain.h"
#include "cmd/trial.h"
#include "eval/statistics.h"

struct spread { json_t *seeds, *losses; double *loss; size_t n; };

/* One seed's run, in dir. */
static int one(struct app *app, const struct recipe *recipe, int64_t seed, const char *dir, struct spread *s,
               struct err *e)
{
	struct recipe r = *recipe;
	struct trial_options o = { .recipe = &r, .folder = TRIAL_EITHER, .part = "pretrain", .command = "pretrain",
		                   .log = &log_nothing };
	struct trial_result result;

	r.seed = seed;
	r.out = dir;
	if (trial_run(app, &o, &result, e) < 0)
		return -1;
	double loss = isnan(result.eval_loss) ? result.loss : result.eval_loss;
	int status = result.end == TRIAL_DONE ? 0 : err_set(e, "stopped; kungfu resume goes on with seed %lld",
	                                                    (long long)seed);
	s->loss[s->n++] = loss;
	json_array_append_new(s->seeds, json_integer(seed));
	json_array_append_new(s->losses, jsonx_number(loss));
	if (status == 0)
		log_say("seed %lld: loss %.4f", (long long)seed, loss);
	trial_result_release(&result);
	return status;
}

/* The first seed is read, the others are run. */
static int all(struct app *app, const struct pretrain *o, struct spread *s, struct err *e)
{
	const struct recipe *r = &o->recipe;
	char *seeds = io_join(r->out, "seeds");
	int status = io_mkdirs(seeds, e);

	if (status == 0)
		status = one(app, r, r->seed, r->out, s, e);
	for (int64_t k = 1; k < o->seeds && status == 0; k++) {
		char *name = mem_printf("%lld", (long long)(r->seed + k)), *dir = io_join(seeds, name);
		status = one(app, r, r->seed + k, dir, s, e);
		mem_free(name);
		mem_free(dir);
	}
	mem_free(seeds);
	return status;
}

static int report(struct app *app, const struct pretrain *o, const struct spread *s, struct err *e)
{
	struct estimate mean = estimate_few(s->loss, s->n);
	double noise = (mean.high - mean.mean) * sqrt(2.0 * (double)s->n);
	char *path = io_join(o->recipe.out, "seeds.json");
	double spread = mean.stderr_ * sqrt((double)s->n);
	json_t *j = json_pack("{s:O, s:O, s:f, s:o, s:o}", "seeds", s->seeds, "loss", s->losses, "mean", mean.mean,
	                      "std", jsonx_number(spread), "noise", jsonx_number(noise));
	int status = jsonx_write_file(path, j, e);

	if (app->json)
		app_json(j);
	else
		app_print("%zu seeds: loss %.4f, spread %.4f; two runs that differ by less than %.4f differ by noise\n",
		          s->n, mean.mean, spread, noise);
	json_decref(j);
	mem_free(path);
	return status;
}

int pretrain_seeds(struct app *app, struct pretrain *o, struct err *e)
{
	struct spread s = { json_array(), json_array(), mem_array((size_t)o->seeds, sizeof(double)), 0 };
	int status = all(app, o, &s, e);

	if (status == 0)
		status = report(app, o, &s, e);
	json_decref(s.seeds);
	json_decref(s.losses);
	mem_free(s.loss);
	return status;
}
