/* trial: opens, plans, starts and runs what a recipe says, in its folder. The folder with its recipe is made before the
 * model is read, so that a run can be resumed from any moment on; where an earlier run is to be overwritten, that waits
 * until model and data have proved good. */
#include "cmd/trial.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/stop.h"
#include "cmd/machine_profile.h"
#include "cmd/metering.h"
#include "cmd/ranks_start.h"
#include "cmd/trial_parts.h"
#include "train/checkpoint.h"

/* --- who listens --- */

static void say_warning(void *ctx, enum log_level level, const char *text)
{
	(void)ctx;
	if (level != LOG_WARNING)
		return;
	const struct log_sink *was = log_lend(NULL);
	log_warn("%s", text);
	log_lend(was);
}

bool trial_untemplated(const char *text) { return strstr(text, "train without the model's chat template") != NULL; }

static void say_of_texts(void *ctx, enum log_level level, const char *text)
{
	if (!trial_untemplated(text))
		say_warning(ctx, level, text);
}

const struct log_sink log_nothing = { .say = say_warning };
const struct log_sink log_texts = { .say = say_of_texts };

static void take_line(void *ctx, const json_t *line)
{
	const struct trial_run *t = ctx;
	const struct log_sink *lent = log_lend(NULL);

	if (t->o->line)
		t->o->line(t->o->ctx, line);
	log_lend(lent);
}

static void take_progress(void *ctx, const struct train_loop_progress *p)
{
	struct trial_run *t = ctx;
	const struct log_sink *lent = log_lend(NULL);

	trial_tell_counts(t);
	if (metering_tick()) {
		ranks_count(t->app);
		trial_keep_gas(t);
	}
	if (t->o->progress)
		t->o->progress(t->o->ctx, p);
	log_lend(lent);
}

static void take_phase(void *ctx, const char *name)
{
	const struct trial_run *t = ctx;

	metering_phase(name);
	if (!strcmp(name, "saving")) {
		trial_tell_counts(t);
		trial_keep_gas(t);
	}
}

static void keep_rows(struct trial_result *r, const struct eval_metrics *m)
{
	r->rows = mem_grow(r->rows, (size_t)m->n, sizeof(*r->rows));
	r->n_rows = (size_t)m->n;
	memcpy(r->rows, m->rows, r->n_rows * sizeof(*r->rows));
}

static bool take_evaluation(void *ctx, const struct eval_metrics *m, const json_t *line)
{
	const struct trial_run *t = ctx;
	struct trial_result *r = t->result;

	keep_rows(r, m);
	if (!t->o->evaluated)
		return false;
	const struct log_sink *lent = log_lend(NULL);
	struct trial_evaluation v = { trainer_steps_done(t->trainer), trainer_plan(t->trainer)->steps, line, r->rows,
		                      r->n_rows };
	bool pause = t->o->evaluated(t->o->ctx, &v);
	log_lend(lent);
	if (pause)
		r->end = TRIAL_PAUSED;
	return pause;
}

/* --- the steps --- */

static struct trial_run *running;      /* whose callback is asked */

static bool interrupted(void)
{
	const struct trial_options *o = running->o;
	bool pause = o->pause && o->pause(o->ctx);

	if (pause)
		running->result->end = TRIAL_PAUSED;
	return pause || app_interrupted();
}

static void begin_loop(struct trial_run *t)
{
	struct train_loop *f = &t->loop;

	train_loop_init(f, t->trainer, &t->recipe, &t->dir);
	f->interrupted = interrupted;
	f->save_last = t->o->keep_last;
	f->line = take_line;
	f->progress = take_progress;
	f->phase = take_phase;
	f->judge = take_evaluation;
	f->ctx = t;
	f->evaluate_at = t->o->evaluate_at;
	f->n_evaluate_at = t->o->n_evaluate_at;
	f->last_step = t->o->last_step;
}

static double number(const json_t *j, const char *key)
{
	const json_t *x = json_object_get(j, key);

	return json_is_number(x) ? json_number_value(x) : NAN;
}

/* From the summary and run.json, whoever wrote them. */
static void fill_result(const struct trial_run *t, const json_t *facts, json_t *summary)
{
	struct trial_result *r = t->result;
	const json_t *plan = json_object_get(facts, "plan");
	size_t unknown;

	r->summary = summary;
	r->step = (long)number(summary, "steps");
	r->steps = (long)(number(plan, "steps") + number(plan, "steps_done"));
	r->loss = number(summary, "loss");
	r->eval_loss = number(summary, "eval_loss");
	r->acc = number(summary, json_object_get(summary, "acc") ? "acc" : "accuracy");
	r->trainable = (size_t)number(summary, "trainable_parameters");
	r->planned_seconds = number(plan, "planned_seconds");
	r->planned_bytes = number(plan, "planned_bytes");
	r->planned_operations = number(plan, "planned_flops") + number(plan, "planned_int_ops");
	trial_whole_gas(facts, &r->whole, &unknown);
	if (r->end == TRIAL_DONE)
		r->result = mem_strdup(t->recipe.out);
}

static int end_steps(struct trial_run *t, enum train_loop_end end, struct err *e)
{
	const char *status = end == FIT_DONE ? "finished" : "stopped";
	const struct trial_options *o = t->o;
	json_t *summary = trial_summary(t, status, end);
	int rc = trial_set_status(t, status, summary, e);

	if (end == FIT_DONE)
		t->result->end = TRIAL_DONE;
	else if (t->result->end != TRIAL_PAUSED)
		t->result->end = TRIAL_STOPPED;
	fill_result(t, t->facts, summary);
	metering_part_gas(&t->result->gas);
	const struct log_sink *lent = log_lend(NULL);
	if (o->ended)
		o->ended(o->ctx, &t->loop, t->facts, end == FIT_DONE);
	log_lend(lent);
	return rc;
}

static int run_steps(struct trial_run *t, struct err *e)
{
	const struct trial_options *o = t->o;
	enum train_loop_end end = FIT_DONE;
	long step = 0;

	if (train_loop_restore(&t->loop, &step, e) < 0)
		return -1;
	if (step && o->resumed) {
		const struct log_sink *lent = log_lend(NULL);
		o->resumed(o->ctx, step, &t->loop);
		log_lend(lent);
	}
	t->restored = t->loop;
	if (train_loop_run(&t->loop, &end, e) < 0 ||
	    (o->profiling && profiling_end(o->profiling, t->app, t->dir.path, e) < 0))
		return -1;
	return end_steps(t, end, e);
}

/* In a folder that exists, with a trainer that has started. */
static int run_started(struct trial_run *t, bool resume, struct err *e)
{
	struct err ignored = ERR_INIT;

	running = t;
	t->facts = trial_facts(t, resume);
	metering_directory(t->dir.path);
	begin_loop(t);
	int status = run_dir_set_facts(&t->dir, t->facts, e);
	if (!status)
		status = run_steps(t, e);
	if (status) {
		log_live_end();
		trial_keep_gas(t);
		trial_set_status(t, "failed", NULL, &ignored);
	}
	train_loop_release(&t->loop);
	return status;
}

/* --- before them --- */

static int plan(struct trial_run *t, struct err *e)
{
	struct trial_options *o = (struct trial_options *)t->o;

	if (trial_plan(t->app, t->trainer, &t->recipe, &t->plan, e) < 0) {
		t->refused = t->result->no_room = !strncmp(e->msg, "--max-gas", 9);
		return -1;
	}
	if (!o->planned)
		return 0;
	const struct log_sink *lent = log_lend(NULL);
	int status = o->planned(o->ctx, trainer_plan(t->trainer), t->plan, e);
	log_lend(lent);
	t->refused = status < 0;
	return status;
}

static int tell_ranks(struct trial_run *t, struct err *e)
{
	struct ranks *r = t->app->ranks;

	if (!r)
		return 0;
	json_t *record = recipe_record(&t->recipe);
	char *line = jsonx_line(record);
	int status = ranks_text(r, RANKS_RUN, &line, e);
	mem_free(line);
	json_decref(record);
	t->recipe.ranks = r;
	r->timeout = t->recipe.rank_timeout;
	return status;
}

static int open_trainer(struct trial_run *t, long first, struct err *e)
{
	struct profiling *p = t->o->profiling;

	if (tell_ranks(t, e) < 0)
		return -1;
	metering_phase("open");
	if (p && profiling_begin(p, t->app, e) < 0) /* first: the plan counts what it takes */
		return -1;
	t->speeds = machine_speeds(t->app);
	t->recipe.speeds = &t->speeds;
	int status = trainer_open_at(&t->trainer, &t->recipe, first, t->app->device, e);
	if (!status && !(status = plan(t, e)) && p)
		trainer_trace(t->trainer, profiling_trace(p));
	if (t->trainer)
		trainer_watch(t->trainer, app_interrupted);
	return status || trainer_start(t->trainer, e) < 0 ? -1 : ranks_agree(t->app->ranks, 0, NULL, e);
}

/* A run that cannot begin leaves no folder that stands in the way of the next try. */
static int run_new(struct trial_run *t, struct err *e)
{
	const struct recipe *r = &t->recipe;
	bool old = false;

	if (!t->app->plans && run_dir_check(r->out, r->overwrite, &old, e) < 0)
		return -1;
	json_t *record = recipe_record(r);
	int status = t->app->plans || old ? 0 : run_dir_create(&t->dir, r->out, r->overwrite, record, e);
	if (!status && open_trainer(t, 0, e) < 0) {
		run_dir_discard(&t->dir);
		status = -1;
	}
	if (!status && old)
		status = run_dir_create(&t->dir, r->out, r->overwrite, record, e);
	json_decref(record);
	return status ? -1 : run_started(t, false, e);
}

static bool read_finished(struct trial_run *t)
{
	json_t *facts = run_dir_facts(&t->dir), *results = json_object_get(facts, "results");
	const char *status = json_string_value(json_object_get(facts, "status"));
	bool finished = status && !strcmp(status, "finished") && results;

	if (finished)
		fill_result(t, facts, json_incref(results));
	json_decref(facts);
	return finished;
}

static int run_on(struct trial_run *t, struct err *e)
{
	json_t *record, *now;
	long done;

	if (run_dir_open(&t->dir, t->recipe.out, &record, e) < 0)
		return -1;
	now = recipe_record(&t->recipe);
	int status = recipe_same_result(record, now, e);
	json_decref(record);
	json_decref(now);
	if (status)
		return err_prefix(e, "%s", t->recipe.out);
	if (read_finished(t))
		return 0;
	if (fit_restores_at(t->dir.path, &done, e) < 0 || open_trainer(t, done, e) < 0)
		return -1;
	return run_started(t, true, e);
}

static bool is_run(const char *path)
{
	char *file = io_join(path, "recipe.json");
	bool is = io_exists(file);

	mem_free(file);
	return is;
}

static void begin_part(const struct trial_run *t, bool resume)
{
	json_t *words = trial_words(&t->recipe);
	char *line = jsonx_line(words);

	metering_part_begin(resume ? "resume" : "tune", line, !t->o->beyond_gas);
	mem_free(line);
	json_decref(words);
}

static void end_part(const struct trial_run *t, int status, const struct err *e)
{
	if (status)
		metering_error(e->msg);
	metering_part_end(t->refused                      ? EXIT_USAGE :
	                  status                          ? EXIT_FAILED :
	                  t->result->end == TRIAL_DONE ? EXIT_DONE :
	                                                 EXIT_STOPPED);
}

static void empty_result(struct trial_result *r)
{
	*r = (struct trial_result){ .loss = NAN, .eval_loss = NAN, .acc = NAN };
	gas_none(&r->gas);
	gas_none(&r->whole);
}

/* What follows is as rank 0 has it; texts of its own are drawn there alone. */
static int open_following(struct app *app, const char *text, struct recipe *r, struct opt_parse *p, struct trainer **t,
                          struct err *e)
{
	json_t *record = jsonx_load(text, strlen(text), "rank 0's recipe", e);
	int status = record && recipe_load(r, p, record, e) == 0 && recipe_resolve(r, e) == 0 ? 0 : -1;

	json_decref(record);
	r->ranks = app->ranks;
	r->forgetting = false;
	app->ranks->timeout = r->rank_timeout;
	return status || trainer_open(t, r, app->device, e) < 0 ? -1 : trainer_start(*t, e);
}

static int follow_run(struct app *app, const char *text, struct err *e)
{
	struct recipe r;
	struct opt_parse p = { 0 };
	struct trainer *t = NULL;
	int status = ranks_agree(app->ranks, open_following(app, text, &r, &p, &t, e), NULL, e);

	if (!status)
		status = trainer_follow(t, e);
	trainer_close(t);
	opt_release(&p);
	return status;
}

/* One run, or several one after the other (--seeds, a ladder). */
int trial_follow(struct app *app, struct err *e)
{
	struct ranks *ranks = app->ranks;
	char *text;
	int status = ranks_text(ranks, RANKS_RUN, &text, e);

	while (!status && text) {
		status = follow_run(app, text, e);
		mem_free(text);
		text = NULL;
		if (!status && !ranks->over && ranks->order.what == RANKS_RUN)
			status = ranks_text_next(ranks, &text, e);
	}
	return ranks->over ? 0 : status;
}

int trial_run(struct app *app, struct trial_options *o, struct trial_result *r, struct err *e)
{
	struct trial_run t = { .app = app, .o = o, .recipe = *o->recipe, .began = o->began, .result = r };
	bool resume = o->folder == TRIAL_RESUME || (o->folder == TRIAL_EITHER && is_run(t.recipe.out));
	const struct log_sink *was = o->log ? log_lend(o->log) : NULL;

	empty_result(r);
	if (!t.began)
		t.began = clock_seconds();
	if (o->part)
		begin_part(&t, resume);
	int status = resume ? run_on(&t, e) : run_new(&t, e);
	if (status && o->part && stop_ended(e)) { /* before its first step: there is nothing to go on with */
		r->end = TRIAL_STOPPED;
		status = 0;
	}
	if (o->part)
		end_part(&t, status, e);
	json_decref(t.plan);
	json_decref(t.facts);
	trainer_close(t.trainer);
	run_dir_release(&t.dir);
	if (o->log)
		log_lend(was);
	if (status)
		trial_result_release(r);
	return status;
}

void trial_result_release(struct trial_result *r)
{
	json_decref(r->summary);
	mem_free(r->rows);
	mem_free(r->result);
	r->summary = NULL;
	r->rows = NULL;
	r->result = NULL;
}

/* --- a finished run on other rows --- */

/* The step whose checkpoint has the weights of its end: the newest, or the best one where the recipe wants that. */
static int end_step(const struct recipe *r, long *step, struct err *e)
{
	long *steps;
	size_t n;

	if (checkpoint_list(r->out, &steps, &n, e) < 0)
		return -1;
	*step = n ? steps[n - 1] : 0;
	mem_free(steps);
	if (!n)
		return err_set(e, "%s has no checkpoint", r->out);
	char *path = checkpoint_path(r->out, *step);
	json_t *facts = checkpoint_facts(path, e);
	long best = (long)json_integer_value(json_object_get(json_object_get(facts, "caller"), "best_step"));
	mem_free(path);
	if (facts && r->load_best_model_at_end && best > 0)
		*step = best;
	json_decref(facts);
	return facts ? 0 : -1;
}

static int load_end(struct trainer *t, const struct recipe *r, struct err *e)
{
	long step;

	if (end_step(r, &step, e) < 0)
		return -1;
	char *path = checkpoint_path(r->out, step);
	int status = trainer_load_weights(t, path, e);
	mem_free(path);
	return status;
}

static int score(struct trainer *t, struct trial_result *r, struct err *e)
{
	struct eval_metrics m;
	bool stopped = false;

	if (trainer_eval(t, &m, app_interrupted, &stopped, e) < 0) {
		r->end = TRIAL_STOPPED;
		return stopped ? 0 : -1;
	}
	keep_rows(r, &m);
	r->eval_loss = m.eval_loss;
	r->acc = m.acc;
	for (int i = 0; i < m.metrics.n; i++)
		if (strstr(m.metrics.names[i], "accurac"))
			r->acc = m.metrics.value[i];
	return 0;
}

int trial_score(struct app *app, const struct recipe *recipe, struct trial_result *r, struct trial_result *before,
                struct err *e)
{
	struct recipe copy = *recipe;
	struct speeds speeds = machine_speeds(app);
	struct trainer *t;

	empty_result(r);
	if (before)
		empty_result(before);
	copy.speeds = &speeds;
	copy.forgetting = false;
	copy.retain = copy.replay = NULL;
	copy.ewc = copy.l2_sp = 0;
	int status = trainer_open(&t, &copy, app->device, e);
	if (!status)
		trainer_watch(t, app_interrupted);
	if (!status && !(status = trainer_start(t, e)) && before)
		status = score(t, before, e);
	if (!status && !(before && before->end == TRIAL_STOPPED) && !(status = load_end(t, &copy, e)))
		status = score(t, r, e);
	trainer_close(t);
	if (status && stop_ended(e)) {
		r->end = TRIAL_STOPPED;
		status = 0;
	}
	if (before && before->end == TRIAL_STOPPED)
		r->end = TRIAL_STOPPED;
	return status;
}
