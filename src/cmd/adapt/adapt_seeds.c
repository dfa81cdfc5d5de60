/* adapt_seeds: a way that is trained, measured with several seeds (--seeds N). What it scores is the mean over them,
 * and its interval has beside the rows' share what seeds differ by:
 *
 *     s² = (2·σ² + Σ (xₖ − x̄)²) / (2 + S − 1),   half = √( half of rows² + z²·s²/S )
 *
 * σ the priors' seed_sd, which counts as two seeds. What answers is the seed that was best on the choose rows, whose
 * folder is NAME, NAME+2, NAME+3 …; making it took all of them. */
#include "cmd/adapt/adapt_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"

enum { PRIOR_SEEDS = 2 };

static const char *seed_folder(const struct way *w, int seed, char out[FOLDER])
{
	snprintf(out, FOLDER, seed ? "%s+%d" : "%s", w->name, seed + 1);
	return out;
}

const char *adapt_folder(const struct adapt *a, size_t i)
{
	static char out[4][FOLDER];
	static int turn;

	return seed_folder(&a->ways[i], a->ways[i].chosen, out[turn = (turn + 1) % 4]);
}

bool adapt_has_seeds(const struct adapt *a, size_t i) { return a->o.seeds > 1 && a->ways[i].rung->trains; }

/* --- what they come to together --- */

static double quality_of(const struct adapt *a, const struct way *w, int seed)
{
	return adapt_quality(a->first->what, w->seeds[seed].score[a->first_at].mean);
}

static double seed_spread(const struct adapt *a, const struct way *w)
{
	double prior = priors_of(&a->priors, w->rung->name)->seed_sd, mean = 0, sum = PRIOR_SEEDS * prior * prior;

	for (int k = 0; k < w->n_seeds; k++)
		mean += quality_of(a, w, k) / w->n_seeds;
	for (int k = 0; k < w->n_seeds; k++)
		sum += pow(quality_of(a, w, k) - mean, 2);
	return sqrt(sum / (PRIOR_SEEDS + w->n_seeds - 1));
}

/* One score of all seeds: they answered the same rows, so the rows' error does not become less. */
static void join_score(struct way *w, size_t term)
{
	struct estimate x = w->seeds[0].score[term];
	double square = 0;

	x.mean = 0;
	for (int k = 0; k < w->n_seeds; k++) {
		x.mean += w->seeds[k].score[term].mean / w->n_seeds;
		square += pow(w->seeds[k].score[term].stderr_, 2) / w->n_seeds;
	}
	x.stderr_ = sqrt(square);
	w->score[term] = x;
}

/* An interval with what seeds differ by in it. */
static struct bounds widened(enum measure m, double mean, struct bounds b, double more)
{
	double q = adapt_quality(m, mean), x = adapt_quality(m, b.low), y = adapt_quality(m, b.high);
	double low = q - hypot(q - fmin(x, y), more), high = q + hypot(fmax(x, y) - q, more);

	if (m == MEASURE_PERPLEXITY)
		return (struct bounds){ fmax(1, adapt_score_of(m, high)), adapt_score_of(m, low) };
	return (struct bounds){ fmax(0, low), fmin(1, high) };
}

void adapt_judge_seeds(struct adapt *a, size_t i, double alpha, double alpha_all)
{
	struct way *w = &a->ways[i];
	struct climb_way *c = &a->climb.ways[i];
	enum measure m = a->first->what;

	if (!adapt_has_seeds(a, i) || !w->score[a->first_at].n)
		return;
	if (w->n_seeds == 0) /* the first is being looked at */
		memcpy(w->seeds[0].score, w->score, sizeof(w->score));
	int n = w->n_seeds;
	w->n_seeds = MAX(n, 1);
	for (size_t k = 0; k < a->goal.n && n > 1; k++)
		if (measure_is_score(a->goal.term[k].what))
			join_score(w, k);
	const struct estimate *x = &w->score[a->first_at];
	double error = seed_spread(a, w) / sqrt(w->n_seeds);
	if (n > 1) {
		w->looked = task_sequence(m, x, alpha);
		w->promised = task_sequence(m, x, alpha_all);
	}
	w->looked = widened(m, x->mean, w->looked, bound_z(alpha / 2) * error);
	w->promised = widened(m, x->mean, w->promised, bound_z(alpha_all / 2) * error);
	c->seeds = n;
	c->seeds_most = w->no_more_seeds ? n : (int)a->o.seeds;
	c->seed_sd = seed_spread(a, w);
	c->seed_seconds = w->seeds[0].make_seconds + w->look_seconds;
	w->n_seeds = n;
}

/* The best of them answers; making it took all. */
static void choose_seed(struct adapt *a, size_t i)
{
	struct way *w = &a->ways[i];

	w->chosen = 0;
	w->make_seconds = w->make_joules = 0;
	for (int k = 0; k < w->n_seeds; k++) {
		if (quality_of(a, w, k) > quality_of(a, w, w->chosen))
			w->chosen = k;
		w->make_seconds += w->seeds[k].make_seconds;
		w->make_joules += w->seeds[k].make_joules;
	}
}

static void take_seed(struct adapt *a, size_t i, const struct outcome *out, double seconds, double joules)
{
	struct way *w = &a->ways[i];
	struct seed *s = &w->seeds[w->n_seeds++];

	*s = (struct seed){ .make_seconds = seconds, .make_joules = joules };
	for (size_t k = 0; k < a->goal.n; k++)
		if (measure_is_score(a->goal.term[k].what))
			s->score[k] = task_score(&a->task, a->goal.term[k].what, a->choose, out, w->n);
	choose_seed(a, i);
	if (w->chosen == w->n_seeds - 1 && out != w->out)
		memcpy(w->out, out, w->n * sizeof(*out));
}

void adapt_first_seed(struct adapt *a, size_t i)
{
	struct way *w = &a->ways[i];

	w->n_seeds = 0;
	if (adapt_has_seeds(a, i))
		take_seed(a, i, w->out, w->make_seconds, w->make_joules);
}

/* --- another one --- */

static int train_and_answer(struct adapt *a, size_t i, const char *dir, struct outcome *out, struct err *e)
{
	struct way *w = &a->ways[i];
	const struct log_sink *lent = log_lend(&adapt_log);

	adapt_stand_on(a, i);
	adapt_keep_back(a, climb_reserve(&a->climb, &a->climb.ways[i]));
	a->at_work = i;
	a->doing = "answering";
	a->ladder.seed = (uint64_t)a->o.seed + (uint64_t)w->n_seeds;
	int status = w->rung->make(&a->ladder, dir, e);
	if (status == 0)
		status = w->rung->answer(&a->ladder, dir, a->choose, w->n, out, e);
	a->ladder.seed = (uint64_t)a->o.seed;
	a->at_work = a->climb.n;
	log_lend(lent);
	return status;
}

static void say_seed(const struct adapt *a, size_t i)
{
	const struct way *w = &a->ways[i];
	double own = w->seeds[w->n_seeds - 1].score[a->first_at].mean;
	json_t *j = json_pack("{s:s, s:s, s:i, s:o, s:o, s:o, s:o, s:o}", "seed", w->name, "measure",
	                      measure_names[a->first->what], "seeds", w->n_seeds, "score_seed", jsonx_number(own),
	                      "score", jsonx_number(w->score[a->first_at].mean), "score_low",
	                      jsonx_number(w->looked.low), "score_high", jsonx_number(w->looked.high), "seed_spread",
	                      jsonx_number(a->climb.ways[i].seed_sd));

	log_live_end();
	log_say("  %-*s seed %d: %.4g; the mean of %d is %s", a->name_width, w->name, w->n_seeds, own, w->n_seeds,
	        adapt_score_text(w->score[a->first_at].mean, w->looked.low, w->looked.high));
	if (a->app->json)
		app_json(j);
	json_decref(j);
}

int adapt_try_seed(struct adapt *a, size_t i, struct err *e)
{
	struct way *w = &a->ways[i];
	char folder[FOLDER], *dir = adapt_way_dir(a, seed_folder(w, w->n_seeds, folder));
	struct outcome *out = mem_array(w->n, sizeof(*out));
	double seconds = w->make_seconds, joules = w->make_joules;
	struct err why = ERR_INIT;
	int status = train_and_answer(a, i, dir, out, &why);

	if (status == 0 && (status = adapt_save_outcomes(a, folder, out, w->n, &why)) == 0) {
		a->looks++;
		take_seed(a, i, out, w->make_seconds, w->make_joules);
		adapt_judge(a, i);
		say_seed(a, i);
	} else {
		w->make_seconds = seconds;
		w->make_joules = joules;
	}
	mem_free(out);
	mem_free(dir);
	if (status < 0 && app_signalled())
		return err_set(e, "%s", why.msg);
	if (status < 0) {
		log_say("  %-*s has no further seed: %s", a->name_width, w->name, why.msg);
		w->no_more_seeds = true;
		adapt_judge(a, i);
	}
	return 0;
}

/* --- kept --- */

void adapt_keep_seeds(const struct adapt *a, size_t i, json_t *j)
{
	const struct way *w = &a->ways[i];
	json_t *list = json_array();

	for (int k = 0; k < w->n_seeds; k++)
		json_array_append_new(list,
		                      json_pack("{s:o, s:o}", "make_seconds", jsonx_number(w->seeds[k].make_seconds),
		                                "make_joules", jsonx_number(w->seeds[k].make_joules)));
	json_object_set_new(j, "folder", json_string(adapt_folder(a, i)));
	json_object_set_new(j, "no_more_seeds", json_boolean(w->no_more_seeds));
	json_object_set_new(j, "seeds", list);
}

void adapt_recall_seeds(struct adapt *a, size_t i, const json_t *j)
{
	struct way *w = &a->ways[i];
	const json_t *list = json_object_get(j, "seeds"), *x;
	struct outcome *out = mem_array(w->n, sizeof(*out));
	char folder[FOLDER];
	size_t k;

	w->no_more_seeds = json_is_true(json_object_get(j, "no_more_seeds"));
	json_array_foreach (list, k, x)
		if (k < SEEDS_MOST &&
		    adapt_load_outcomes(a, adapt_round(a), seed_folder(w, (int)k, folder), out, w->n) == w->n)
			take_seed(a, i, out, json_number_value(json_object_get(x, "make_seconds")),
			          json_number_value(json_object_get(x, "make_joules")));
	mem_free(out);
}

/* --- told --- */

void adapt_put_seeds(const struct adapt *a, size_t i, json_t *j)
{
	const struct way *w = &a->ways[i];
	json_t *scores;

	if (!adapt_has_seeds(a, i))
		return;
	scores = json_array();
	for (int k = 0; k < w->n_seeds; k++)
		json_array_append_new(scores, jsonx_number(w->seeds[k].score[a->first_at].mean));
	json_object_set_new(j, "seeds", json_integer(w->n_seeds));
	json_object_set_new(j, "seed_scores", scores);
	json_object_set_new(j, "seed_chosen", json_integer(w->chosen + 1));
	json_object_set_new(j, "seed_spread", jsonx_number(a->climb.ways[i].seed_sd));
}

void adapt_say_seeds(const struct adapt *a, struct buf *out)
{
	const struct way *w = &a->ways[a->winner];

	if (w->n_seeds < 2)
		return;
	buf_addf(out, "%s was trained with %d seeds, which reached", w->name, w->n_seeds);
	for (int k = 0; k < w->n_seeds; k++)
		buf_addf(out, "%s %.4g",
		         !k                 ? "" :
		         k + 1 < w->n_seeds ? "," :
		                              " and",
		         w->seeds[k].score[a->first_at].mean);
	buf_addf(out,
	         ", a spread of %.2g: its interval has that in it, its making all of them, and the %s is what is "
	         "left.\n",
	         a->climb.ways[a->winner].seed_sd,
	         w->chosen == 0 ? "first" :
	         w->chosen == 1 ? "second" :
	                          "best");
}
