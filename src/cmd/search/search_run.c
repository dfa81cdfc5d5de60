/* search_run: the trials of a study, one after another, as the rungs want them, until there is nothing to do or no gas
 * for it; then the winner on the rows that were held back.
 *
 * What is decided is written before it is done, and what a trial came to before anything follows from it, so a process
 * that is killed at any moment leaves a study that goes on as if nothing had happened. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "cmd/search/study.h"
#include "train/checkpoint.h"

enum { FAILURES_MOST = 3 };            /* of the first trials: then it is not the trials */

/* --- decisions --- */

static void decide(struct study *s, const char *what, size_t trial, int rung)
{
	json_array_append_new(s->decisions, json_pack("{s:s, s:I, s:i}", "do", what, "trial", (json_int_t)(trial + 1),
	                                              "rung", rung));
}

/* Surely: beyond 99 % of chance, one-sided, since many are compared. */
static bool surely_worse(void *ctx, size_t trial, size_t best, int rung)
{
	const struct study *s = ctx;
	struct paired p = study_compare(s, trial, best, rung);
	double off = s->hits ? -p.difference : p.difference;

	return p.n > 1 && off > 2.33 * p.stderr_;
}

static struct rungs_next next(struct study *s)
{
	struct standing *all = mem_array(s->n + 1, sizeof(*all));

	for (size_t i = 0; i < s->n; i++)
		all[i] = s->trials[i].standing;
	s->rungs.worse = surely_worse;
	s->rungs.ctx = s;
	struct rungs_next n = rungs_next(&s->rungs, all, s->n);
	mem_free(all);
	return n;
}

/* --- one trial --- */

struct running {
	struct study *s;
	struct study_trial *t;
	size_t number;
	struct trial_options o;
	long at[RUNGS_MOST];
	bool no_gas;                   /* none for the way to its first rung */
	struct err failed;             /* of writing, in a callback that has no word for it */
};

static double share_used(const struct study *s) { return metering_share(&s->before); }

/* How much longer trials take than they were planned to, on a machine that others use by now: 1 and more. */
static double slowness(const struct study *s)
{
	enum { MOST = 20 };
	double took = 0, planned = 0;

	for (size_t i = 0; i < s->n; i++) {
		const struct study_trial *t = &s->trials[i];
		int level = study_level(s, t);
		if (level < 0 || !t->steps || isnan(t->gas.seconds))
			continue;
		took += t->gas.seconds;
		planned += s->beginning + t->cost * (double)t->score[level].step / (double)t->steps;
	}
	return planned > 0 ? fmin(MOST, fmax(1, took / planned)) : 1;
}

/* What the end needs: the winner and the model before it on the rows held back. */
static double reserve(const struct study *s) { return fmin(0.5, s->reserve * slowness(s)); }

static bool gas_is_out(void *ctx)
{
	const struct running *r = ctx;

	return r->s->share > 0 && share_used(r->s) >= 1 - reserve(r->s);
}

/* The steps at which it is looked at, not before its rate has risen; those that lie at its end are its end. */
static void plan_rungs(const struct study *s, struct study_trial *t, const struct recipe *r)
{
	long before = r->warmup_steps != OPT_UNSET_INT ? (long)r->warmup_steps :
	                                                 (long)ceil(r->warmup_ratio * (double)t->steps);

	for (int i = t->standing.first; i < s->rungs.rungs; i++) {
		double share = rungs_share(&s->rungs, i, s->most, t->cost);
		long step = MAX((long)floor(share * (double)t->steps + 0.5), before + 1);
		t->rung_step[i] = before = MIN(step, t->steps);
	}
}

/* Is there gas for the way to the next rung? */
static bool has_room(const struct study *s, const struct study_trial *t)
{
	int rung = t->standing.reached;
	double from = rung > t->standing.first ? rungs_share(&s->rungs, rung - 1, s->most, t->cost) : 0;
	double way = t->cost / s->most * (rungs_share(&s->rungs, rung, s->most, t->cost) - from);

	return !(s->share > 0) || share_used(s) + s->share * way * slowness(s) <= 1 - reserve(s);
}

static int take_plan(void *ctx, const struct trainer_plan *p, const json_t *plan, struct err *e)
{
	struct running *r = ctx;
	struct study *s = r->s;
	struct study_trial *t = r->t;

	(void)plan;
	if (!t->planned) {
		t->steps = p->steps;
		t->trainable = p->trainable;
		t->cost = (p->planned_flops - p->planned_int_ops) * s->flop_seconds +
		          p->planned_int_ops * s->int_op_seconds;
		plan_rungs(s, t, r->o.recipe);
	}
	if (!t->to_end && !t->cut && !has_room(s, t)) {
		r->no_gas = true;
		return err_set(e, "--max-gas has no room for it");
	}
	t->planned = true;
	for (int i = t->standing.reached; i < s->rungs.rungs; i++)
		if (t->rung_step[i] < t->steps)
			r->at[r->o.n_evaluate_at++] = t->rung_step[i];
	r->o.evaluate_at = r->at;
	return study_save(s, e);
}

static double loss_of(const struct trial_evaluation *v)
{
	return json_number_value(json_object_get(v->line, "eval_loss"));
}

/* On a rung: what it came to there, and whether it goes on, in one. */
static bool reach(struct running *r, int rung, const struct trial_evaluation *v)
{
	struct study *s = r->s;
	struct study_trial *t = r->t;
	struct study_score c = study_score(s, v->rows, v->n_rows, loss_of(v), v->step);

	if (study_put_rows(s, r->number, rung, v->rows, v->n_rows, &r->failed) < 0)
		return true;
	t->score[rung] = c;
	t->standing.value[rung] = c.value;
	t->standing.failed = isnan(c.value);
	t->standing.reached = rung + 1;
	bool on = t->to_end;
	if (!on && !t->standing.failed) {
		struct rungs_next n = next(s);
		on = n.what == RUNGS_GO_ON && n.trial == r->number && has_room(s, t);
		if (on)
			decide(s, "go on", r->number, rung + 1);
	}
	t->busy = on;
	return study_save(s, &r->failed) < 0 || !on;
}

static void take_base(struct running *r, const struct trial_evaluation *v)
{
	struct study *s = r->s;
	struct study_score c = study_score(s, v->rows, v->n_rows, loss_of(v), 0);

	if (s->base)
		return;
	s->base = json_pack("{s:o, s:o, s:o, s:o}", "score", jsonx_number(c.mean), "low", jsonx_number(c.low), "high",
	                    jsonx_number(c.high), "eval_loss", jsonx_number(c.eval_loss));
	study_save(s, &r->failed);
}

/* Maybe the last one: kept before the run ends, with its rows for all rungs that it would stand on then. */
static void take_last(struct running *r, const struct trial_evaluation *v)
{
	struct study *s = r->s;
	struct study_trial *t = r->t;

	if (t->has_end && r->o.recipe->load_best_model_at_end && t->end.eval_loss <= loss_of(v))
		return;
	t->end = study_score(s, v->rows, v->n_rows, loss_of(v), v->step);
	t->has_end = true;
	for (int i = t->standing.reached; i <= s->rungs.rungs && !r->failed.msg[0]; i++)
		study_put_rows(s, r->number, i, v->rows, v->n_rows, &r->failed);
	study_save(s, &r->failed);
}

static bool take_evaluation(void *ctx, const struct trial_evaluation *v)
{
	struct running *r = ctx;
	const struct study_trial *t = r->t;
	int rung = t->standing.reached;

	if (v->step == 0)
		take_base(r, v);
	else if (v->step < v->steps && rung < r->s->rungs.rungs && t->rung_step[rung] == v->step)
		return reach(r, rung, v);
	else
		take_last(r, v);
	return r->failed.msg[0];
}

static void show_progress(void *ctx, const struct train_loop_progress *p)
{
	const struct running *r = ctx;
	const struct study *s = r->s;
	double used = share_used(s);
	char left[32], of[40] = "", gas[40] = "";

	if (s->share > 0)
		snprintf(gas, sizeof(gas), "  %.0f %% of --max-gas", 100 * used);
	if (!(s->share > 0) || opt_given(&s->parse, "trials"))
		snprintf(of, sizeof(of), " of %zu", s->rungs.trials);
	clock_human(p->seconds_left, left);
	log_live("trial %zu%s  step %ld/%ld  loss %.4f  to its end %s%s  %s", r->number + 1, of, p->step, p->steps,
	         p->loss, left, gas, metering_live());
}

/* Only the best one's last checkpoint is wanted again. */
static int drop_checkpoints(const struct study *s, size_t trial, struct err *e)
{
	char *dir = study_trial_dir(s, trial);
	long *steps = NULL;
	size_t n = 0;
	int status = io_is_dir(dir) ? checkpoint_list(dir, &steps, &n, e) : 0;

	for (size_t i = 0; i < n && !status; i++) {
		char *path = checkpoint_path(dir, steps[i]);
		status = io_remove_tree(path, e);
		mem_free(path);
	}
	mem_free(steps);
	mem_free(dir);
	return status;
}

static int keep_best_alone(const struct study *s, struct err *e)
{
	long best = study_best(s);
	int status = 0;

	for (size_t i = 0; i < s->n && !status; i++)
		if (s->trials[i].standing.over && (long)i != best)
			status = drop_checkpoints(s, i, e);
	return status;
}

/* It came to its end: its score there is that of every rung that it had not reached. */
static int take_end(struct running *r, struct err *e)
{
	const struct study *s = r->s;
	struct study_trial *t = r->t;

	t->standing.over = true;
	if (t->cut)
		return 0;
	if (!t->has_end)
		return err_set(e, "trial %zu ended without an evaluation", r->number + 1);
	for (int i = t->standing.reached; i <= s->rungs.rungs; i++) {
		t->score[i] = t->end;
		t->standing.value[i] = t->end.value;
	}
	t->standing.reached = s->rungs.rungs + 1;
	t->standing.failed = isnan(t->end.value);
	return 0;
}

static void say_trial(const struct study *s, size_t number)
{
	const struct study_trial *t = &s->trials[number];
	int level = study_level(s, t);
	const struct study_score *c = level < 0 ? NULL : &t->score[level];
	char time[32];

	clock_human(t->gas.seconds, time);
	if (t->error)
		log_say("trial %zu failed: %s", number + 1, t->error);
	else if (c)
		log_say("trial %zu %s: %s %.4f (%.4f to %.4f), step %ld of %ld, %s", number + 1,
		        t->standing.over ? "done" : "waits", s->hits ? "acc" : "eval_loss", c->mean, c->low, c->high,
		        c->step, t->steps, time);
}

static void add_gas(struct study_trial *t, const struct trial_result *r)
{
	if (!isnan(r->whole.seconds))
		t->gas = r->whole;
}

/* 1: a stop was asked for. */
static int run_recipe(struct running *r, const struct recipe *recipe, struct err *e)
{
	static const struct log_sink silent = { 0 };
	struct study_trial *t = r->t;
	struct trial_result done;

	r->o = (struct trial_options){
		.recipe = recipe, .folder = TRIAL_EITHER, .part = "search", .beyond_gas = true, .keep_last = true,
		.log = r->number || t->planned ? &silent : &log_nothing, .planned = take_plan,
		.evaluated = take_evaluation, .pause = gas_is_out, .progress = show_progress, .ctx = r,
		.last_step = t->cut ? t->score[t->standing.reached - 1].step : 0,
	};
	if (t->cut)
		r->o.pause = NULL;
	int status = trial_run(r->s->app, &r->o, &done, e);
	log_live_end();
	if (r->failed.msg[0]) { /* the study cannot be written: that is no fault of the trial's */
		if (!status)
			trial_result_release(&done);
		return err_set(e, "%s", r->failed.msg);
	}
	if (status)
		return r->no_gas ? 0 : -2;
	bool stopped = done.end == TRIAL_STOPPED;
	add_gas(t, &done);
	t->busy = stopped && t->busy;
	if (done.end == TRIAL_DONE)
		status = take_end(r, e);
	trial_result_release(&done);
	return status ? status : stopped;
}

static void fail_trial(struct study_trial *t, const struct err *e)
{
	t->error = mem_strdup(e->msg);
	t->standing.failed = t->standing.over = true;
	t->busy = false;
}

/* 0: it paused, ended or failed; 1: a stop was asked for; −1: the search cannot go on. */
static int run_trial(struct study *s, size_t number, struct err *e)
{
	struct running r = { .s = s, .t = &s->trials[number], .number = number };
	struct study_options h;
	struct err why = ERR_INIT;
	int before = r.t->standing.reached;
	int status = study_recipe(&h, s, number, &why) < 0 ? -2 : 0;

	if (!status) {
		status = run_recipe(&r, &h.o.recipe, &why);
		opt_release(&h.parse);
	}
	if (status == -2)
		fail_trial(r.t, &why);
	if (status == -1)
		return err_set(e, "%s", why.msg);
	s->gas_out = r.no_gas || (status == 0 && !r.t->standing.over && r.t->standing.reached == before);
	if (s->gas_out)
		r.t->busy = false;
	if (r.no_gas && !r.t->planned) /* it never was */
		s->n--;
	else if (status != 1)
		say_trial(s, number);
	if (keep_best_alone(s, e) < 0 || study_save(s, e) < 0)
		return -1;
	return status == 1;
}

/* --- all of them --- */

/* 1: there is no place left, and no trial will begin any more. */
static int begin_trial(struct study *s, int first, struct err *e)
{
	int status = study_begin(s, first, e);

	if (status == 1) {
		log_say(s->n == 1 ? "the space has one trial" : "the space has no more than these %zu trials", s->n);
		s->rungs.trials = s->n;
	}
	if (status)
		return status;
	decide(s, "begin", s->n - 1, first);
	return study_save(s, e);
}

static int first_failures(const struct study *s, struct err *e)
{
	if (s->n < MIN((size_t)FAILURES_MOST, s->rungs.trials))
		return 0;
	for (size_t i = 0; i < s->n; i++)
		if (!s->trials[i].error)
			return 0;
	return err_set(e, "the first %zu trials all failed, the last by: %s", s->n, s->trials[s->n - 1].error);
}

static long busy_one(const struct study *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->trials[i].busy)
			return (long)i;
	return -1;
}

/* The next one that is to run, -1: there is none; -2 with a sentence. */
static long choose(struct study *s, struct err *e)
{
	long i = busy_one(s);

	if (i >= 0)
		return i;
	struct rungs_next n = next(s);
	if (n.what == RUNGS_DONE)
		return -1;
	if (n.what == RUNGS_BEGIN) {
		int status = begin_trial(s, n.first, e);
		return status < 0 ? -2 : status ? choose(s, e) : (long)n.trial;
	}
	struct study_trial *t = &s->trials[n.trial];
	t->busy = true;
	t->to_end = n.what == RUNGS_FINISH;
	decide(s, t->to_end ? "finish" : "go on", n.trial, t->standing.reached);
	return study_save(s, e) < 0 ? -2 : (long)n.trial;
}

static int run_trials(struct study *s, struct err *e)
{
	while (!s->gas_out) {
		long i = choose(s, e);
		if (i == -2)
			return -1;
		if (i < 0)
			return 0;
		int status = s->trials[i].standing.failed ? 0 : run_trial(s, (size_t)i, e);
		if (s->trials && (size_t)i < s->n && s->trials[i].standing.failed)
			s->trials[i].busy = false;
		if (status)
			return status;
		if (first_failures(s, e) < 0)
			return -1;
	}
	return 0;
}

/* Where the gas ended before the best one's end, it ends as it stands, so that there is a result. */
static int cut_best(struct study *s, struct err *e)
{
	long best = study_best(s);

	if (best < 0 || s->trials[best].standing.over)
		return 0;
	if (!s->trials[best].cut)
		decide(s, "end", (size_t)best, s->trials[best].standing.reached);
	s->trials[best].cut = s->trials[best].busy = true;
	s->gas_out = false;
	return study_save(s, e) < 0 ? -1 : run_trial(s, (size_t)best, e);
}

/* --- the rows that were held back --- */

static json_t *score_json(const struct study_score *c)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:I}", "score", jsonx_number(c->mean), "stderr",
	                 jsonx_number(c->stderr_), "low", jsonx_number(c->low), "high", jsonx_number(c->high),
	                 "eval_loss", jsonx_number(c->eval_loss), "n", (json_int_t)c->n);
}

static int score_best(struct study *s, struct recipe *recipe, struct err *e)
{
	struct trial_result after, before;
	char *rows = mem_printf("%s/rows/held-back.jsonl", s->dir);

	recipe->eval_data = s->o.test_data ? s->o.test_data : rows;
	int status = trial_score(s->app, recipe, &after, &before, e);
	mem_free(rows);
	if (!status && after.end != TRIAL_STOPPED) {
		struct study_score a = study_score(s, after.rows, after.n_rows, after.eval_loss, 0);
		struct study_score b = study_score(s, before.rows, before.n_rows, before.eval_loss, 0);
		s->test = score_json(&a);
		json_object_set_new(s->test, "base", score_json(&b));
	}
	status = status ? -1 : after.end == TRIAL_STOPPED;
	trial_result_release(&after);
	trial_result_release(&before);
	return status;
}

static int test_best(struct study *s, struct err *e)
{
	static const struct log_sink silent = { 0 };
	long best = study_best(s);
	struct study_options h;

	if (best < 0)
		return err_set(e, s->gas_out ? "--max-gas was used up before any trial was evaluated" :
		                               "no trial came to an evaluation");
	if (s->test)
		return 0;
	if (study_recipe(&h, s, (size_t)best, e) < 0)
		return -1;
	const struct log_sink *was = log_lend(&silent);
	int status = score_best(s, &h.o.recipe, e);
	log_lend(was);
	opt_release(&h.parse);
	return status;
}

static int stopped(struct study *s, struct err *e)
{
	s->status = "stopped";
	log_live_end();
	if (study_save(s, e) < 0)
		return -1;
	log_say("stopped; go on with: kungfu resume %s", s->dir);
	return EXIT_STOPPED;
}

int study_run(struct study *s, struct err *e)
{
	int status = run_trials(s, e);

	if (!status)
		status = cut_best(s, e);
	if (!status)
		status = test_best(s, e);
	if (status < 0) {
		struct err ignored = ERR_INIT;
		s->status = "failed";
		study_save(s, &ignored);
		return -1;
	}
	if (status)
		return stopped(s, e);
	s->status = "finished";
	if (study_save(s, e) < 0)
		return -1;
	return study_report(s, e);
}
