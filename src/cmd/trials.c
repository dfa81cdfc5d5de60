/* trials: several recipes, in groups of those that go together. See trials.h.
 *
 * First every group is opened and planned, which shows what each recipe adds, and closed again where there is more than
 * one; then they run one after the other. A group takes what can share the first one's model, in the order in which
 * they were given, while the plan of all is within --memory (the least that a recipe says) or what the machine has. One
 * that is alone is a trial as any (cmd/trial.h).
 *
 * What the process takes is one entry of the ledger. A run's own share, in its run.json, is by what it had computed. */
#include "cmd/trials.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/stop.h"
#include "cmd/estimate.h"
#include "cmd/machine_profile.h"
#include "cmd/metering.h"
#include "cmd/output_check.h"
#include "cmd/trial_parts.h"
#include "train/trainers.h"

struct item {
	struct trials *all;
	struct trial_run run;
	struct trial_options options;
	const char *name;              /* the last part of its folder's */
	bool planned, has_dir, began;  /* in a group; its folder is ours; its steps are on */
	bool new_parent;               /* there was no folder that its own lies in */
	bool live;                     /* its steps are not over */
	enum train_loop_end end;
	const char *status;            /* "finished", "stopped", "failed"; NULL: not yet */
	struct trainers_share share;
	struct trainer_plan plan;
};

struct group { size_t *members, n; struct trainers_plan plan; };

struct trials {
	struct app *app;
	enum trial_folder folder;
	struct item *items;
	size_t n;
	struct group *groups;
	size_t n_groups;
	struct trainers *open;         /* of the only group */
	struct speeds speeds;
	double began;
	struct arena mem;
	json_t *summaries;
	bool stopped;
	size_t n_failed;
	struct err failure;            /* of the first that failed, its name before it */
};

/* --- groups --- */

static size_t limit_of(const struct trials *s)
{
	size_t limit = SIZE_MAX;

	for (size_t i = 0; i < s->n; i++)
		if (s->items[i].run.recipe.memory)
			limit = MIN(limit, s->items[i].run.recipe.memory);
	return limit == SIZE_MAX ? mem_rss() + mem_available() : limit;
}

static int add(struct trials *s, struct trainers *t, size_t i, struct err *e)
{
	struct item *it = &s->items[i];
	long first = 0;

	if (s->folder == TRIAL_RESUME && fit_restores_at(it->run.recipe.out, &first, e) < 0)
		return -1;
	if (trainers_add(t, &it->run.recipe, first, e) < 0)
		return err_prefix(e, "%s", it->name);
	trainer_watch(trainers_at(t, trainers_count(t) - 1), app_interrupted);
	return 0;
}

/* Into a group that is open: those that go with its first and have room. */
static int fill_group(struct trials *s, struct group *g, struct trainers *t, struct err *e)
{
	const struct recipe *first = &s->items[g->members[0]].run.recipe;
	size_t limit = limit_of(s);

	for (size_t i = g->members[0] + 1; i < s->n && g->n < TRAINERS_MOST; i++) {
		if (s->items[i].planned || recipe_apart(first, &s->items[i].run.recipe))
			continue;
		if (add(s, t, i, e) < 0 || trainers_settle(t, e) < 0)
			return -1;
		if (trainers_plan(t)->planned_bytes > limit) {
			trainers_drop(t);
			if (trainers_settle(t, e) < 0)
				return -1;
			break;
		}
		s->items[i].planned = true;
		g->members[g->n++] = i;
	}
	return 0;
}

static int open_group(struct trials *s, const struct group *g, struct trainers **t, struct err *e)
{
	*t = trainers_new(s->app->device);
	for (size_t k = 0; k < g->n; k++)
		if (add(s, *t, g->members[k], e) < 0)
			return -1;
	return trainers_settle(*t, e);
}

static void keep_plan(struct trials *s, struct group *g, const struct trainers *t)
{
	g->plan = *trainers_plan(t);
	for (size_t k = 0; k < g->n; k++) {
		struct item *it = &s->items[g->members[k]];
		it->share = *trainers_share(t, k);
		it->plan = *trainer_plan(trainers_at(t, k));
		metering_in("model", it->run.recipe.model, trainer_model_hash(trainers_at(t, k)));
		metering_in("data", it->run.recipe.data, trainer_data_hash(trainers_at(t, k), false));
	}
}

static int make_groups(struct trials *s, struct err *e)
{
	s->groups = arena_array(&s->mem, s->n, sizeof(*s->groups));
	for (size_t i = 0; i < s->n; i++) {
		struct group *g = &s->groups[s->n_groups];
		if (s->items[i].planned)
			continue;
		trainers_free(s->open);
		s->open = NULL;
		*g = (struct group){ .members = arena_array(&s->mem, s->n, sizeof(*g->members)) };
		g->members[g->n++] = i;
		s->items[i].planned = true;
		s->n_groups++;
		if (open_group(s, g, &s->open, e) < 0 || fill_group(s, g, s->open, e) < 0)
			return -1;
		keep_plan(s, g, s->open);
	}
	if (s->n_groups > 1 || s->groups[0].n < 2) {
		trainers_free(s->open);
		s->open = NULL;
	}
	return 0;
}

/* --- the plan --- */

static void say_item(const struct item *it, say_fn *say)
{
	char bytes[32], seconds[32], shared[100] = "";

	predict_human(it->share.seconds, seconds);
	if (it->share.with > 1)
		snprintf(shared, sizeof(shared), "; the blocks below %d are computed once for it and %zu more",
		         it->share.shared_blocks, it->share.with - 1);
	say("  %s: %ld steps, adds %s and %s%s", it->name, it->plan.steps - it->plan.first,
	    human_bytes(it->share.bytes, bytes), seconds, shared);
}

static void show_plan(const void *ctx, say_fn *say)
{
	const struct trials *s = ctx;
	char bytes[32];

	say("plan: %zu recipes, %s", s->n,
	    s->n_groups == 1 ? "all together on one model" : "in groups, one after the other");
	for (size_t i = 0; i < s->n_groups; i++) {
		const struct group *g = &s->groups[i];
		if (s->n_groups > 1)
			say("  group %zu: %zu together, %s", i + 1, g->n, human_bytes(g->plan.planned_bytes, bytes));
		for (size_t k = 0; k < g->n; k++)
			say_item(&s->items[g->members[k]], say);
	}
}

static json_t *item_facts(const struct item *it)
{
	json_t *j = trial_plan_facts(&it->plan);

	json_object_set_new(j, "out", jsonx_path(it->run.recipe.out));
	json_object_set_new(j, "planned_seconds", json_real(it->share.seconds));
	json_object_set_new(j, "added_bytes", json_integer((json_int_t)it->share.bytes));
	json_object_set_new(j, "shared_blocks", json_integer(it->share.shared_blocks));
	json_object_set_new(j, "shared_with", json_integer((json_int_t)it->share.with - 1));
	return j;
}

static json_t *plan_facts(const struct trials *s)
{
	json_t *j = json_object(), *groups = json_array();

	for (size_t i = 0; i < s->n_groups; i++) {
		const struct group *g = &s->groups[i];
		json_t *list = json_array();
		for (size_t k = 0; k < g->n; k++)
			json_array_append_new(list, item_facts(&s->items[g->members[k]]));
		json_array_append_new(groups, json_pack("{s:I, s:o}", "planned_bytes",
		                                        (json_int_t)g->plan.planned_bytes, "trials", list));
	}
	json_object_set_new(j, "groups", groups);
	return j;
}

/* Time is of all groups, memory of the one that needs most. */
static int show_and_check(struct trials *s, struct err *e)
{
	struct planned_options o = { .facts = plan_facts(s), .lines = show_plan, .ctx = s, .always = true };
	const struct trainers_plan *most = &s->groups[0].plan;
	struct trainers_plan sum = { 0 };
	struct predicted p;

	for (size_t i = 0; i < s->n_groups; i++) {
		const struct trainers_plan *g = &s->groups[i].plan;
		most = g->planned_bytes > most->planned_bytes ? g : most;
		sum.start_seconds += g->start_seconds + (s->n_groups > 1 ? g->open_seconds : 0);
		sum.step_seconds += g->step_seconds;
		sum.eval_seconds += g->eval_seconds;
		sum.save_seconds += g->save_seconds;
		sum.forgetting_seconds += g->forgetting_seconds;
		sum.planned_flops += g->planned_flops;
		sum.planned_int_ops += g->planned_int_ops;
	}
	predict_begin(&p, "tune together %s", s->items[0].run.recipe.compute);
	predict_phase(&p, "start", sum.start_seconds);
	predict_phase(&p, "steps", sum.step_seconds);
	predict_phase(&p, "evaluations", sum.eval_seconds);
	predict_phase(&p, "saving", sum.save_seconds);
	predict_phase(&p, "forgetting", sum.forgetting_seconds);
	p.loose_seconds = sum.save_seconds;
	predict_operations(&p, sum.planned_flops, sum.planned_int_ops);
	predict_part(&p, "weights", (double)most->weights_bytes, "of the model, as its file stores them");
	predict_part(&p, "state", (double)most->state_bytes, "parameters, gradients, optimizers of all");
	predict_part(&p, "arena", (double)most->arena_bytes, "activations");
	predict_part(&p, "scratch", (double)most->scratch_bytes, "of the threads");
	predict_part(&p, "batch", (double)most->batch_bytes, "of the micro-batches");
	predict_part(&p, "base", (double)most->base_bytes, "program, libraries, tokenizer, data");
	return planned(s->app, &p, &o, e);
}

/* --- what a run tells --- */

static double computed(const struct item *it)
{
	return it->began ? it->run.loop.flops - it->run.restored.flops : 0;
}

static double share_of(const struct trials *s, const struct item *it)
{
	double all = 0;

	for (size_t i = 0; i < s->n; i++)
		all += computed(&s->items[i]);
	return all > 0 ? computed(it) / all : 1 / (double)s->n;
}

static void tell_counts(const struct trials *s)
{
	double tokens = 0, supervised = 0, flops = 0, int_ops = 0;

	for (size_t i = 0; i < s->n; i++) {
		const struct train_loop *f = &s->items[i].run.loop, *before = &s->items[i].run.restored;
		if (!s->items[i].began)
			continue;
		tokens += (double)(f->tokens - before->tokens);
		supervised += (double)(f->supervised_tokens - before->supervised_tokens);
		flops += f->flops - before->flops;
		int_ops += f->int_ops - before->int_ops;
	}
	metering_count((int64_t)tokens, 0, (int64_t)supervised, flops, int_ops);
}

/* Its share of what the process took so far, into run.json. */
static void keep_gas(struct item *it)
{
	struct err ignored = ERR_INIT;
	json_t *all = json_object_get(it->run.facts, "processes"), *own = json_array_get(all, json_array_size(all) - 1),
	       *gas = metering_so_far(), *value;
	double share = share_of(it->all, it);
	const char *key;

	json_object_foreach(gas, key, value)
		if (json_is_real(value))
			json_real_set(value, json_real_value(value) * share);
	json_object_set_new(own, "gas", gas);
	run_dir_set_facts(&it->run.dir, it->run.facts, &ignored);
}

static void take_line(void *ctx, const json_t *line)
{
	const struct item *it = ctx;
	const json_t *acc = json_object_get(line, "eval_acc");

	if (it->all->app->json) {
		json_t *named = json_copy((json_t *)line);
		json_object_set_new(named, "out", jsonx_path(it->run.recipe.out));
		app_json(named);
		json_decref(named);
	}
	if (!json_object_get(line, "eval_loss"))
		return;
	if (acc)
		log_say("%s: step %lld: eval_loss %.4f, eval_acc %.3f", it->name,
		        json_integer_value(json_object_get(line, "step")),
		        json_number_value(json_object_get(line, "eval_loss")), json_number_value(acc));
	else
		log_say("%s: step %lld: eval_loss %.4f", it->name, json_integer_value(json_object_get(line, "step")),
		        json_number_value(json_object_get(line, "eval_loss")));
}

static void take_progress(void *ctx, const struct train_loop_progress *p)
{
	struct item *it = ctx;
	char left[32];

	tell_counts(it->all);
	if (metering_tick())
		keep_gas(it);
	clock_human(p->seconds_left, left);
	log_live("%s: step %ld/%ld  loss %.4f  %s", it->name, p->step, p->steps, p->loss, metering_live());
}

static void take_phase(void *ctx, const char *name)
{
	struct item *it = ctx;

	metering_phase(name);
	if (!strcmp(name, "saving")) {
		tell_counts(it->all);
		keep_gas(it);
	}
}

/* --- the run of a group --- */

static void fail(struct item *it, const struct err *why)
{
	struct err ignored = ERR_INIT;

	log_live_end();
	if (it->all->n_failed++)
		log_warn("%s failed: %s", it->name, why->msg);
	else
		err_set(&it->all->failure, "%s: %s", it->name, why->msg);
	it->live = false;
	it->status = "failed";
	if (it->run.facts) {
		keep_gas(it);
		trial_set_status(&it->run, "failed", NULL, &ignored);
	}
}

static int begin(struct item *it, struct trainer *t, struct err *e)
{
	struct trial_run *r = &it->run;
	long step = 0;

	r->trainer = t;
	r->plan = item_facts(it);
	r->facts = trial_facts(r, it->all->folder == TRIAL_RESUME);
	train_loop_init(&r->loop, t, &r->recipe, &r->dir);
	r->loop.interrupted = app_interrupted;
	r->loop.line = take_line;
	r->loop.progress = take_progress;
	r->loop.phase = take_phase;
	r->loop.ctx = it;
	it->began = it->live = true;
	if (run_dir_set_facts(&r->dir, r->facts, e) < 0 || train_loop_restore(&r->loop, &step, e) < 0)
		return -1;
	r->restored = r->loop;
	if (step)
		log_say("%s: going on after step %ld of %ld", it->name, step, it->plan.steps);
	return 0;
}

/* What is due before a step of it; whether it is to be in the next. */
static bool before_step(struct item *it, bool stop)
{
	struct err e = ERR_INIT;
	enum train_loop_next next;

	if (!it->live)
		return false;
	if (train_loop_next(&it->run.loop, stop, &next, &e) < 0) {
		fail(it, &e);
		return false;
	}
	if (next == LOOP_STEP)
		return true;
	it->live = false;
	it->end = next == LOOP_OVER ? FIT_DONE : FIT_STOPPED;
	if (it->end == FIT_DONE && train_loop_result(&it->run.loop, &e) < 0)
		fail(it, &e);
	return false;
}

static void run_group(struct trials *s, const struct group *g, struct trainers *t)
{
	struct step_metrics *m = mem_array(g->n, sizeof(*m));
	struct err *failed = mem_array(g->n, sizeof(*failed)), e = ERR_INIT;
	bool *which = mem_array(g->n, sizeof(*which)), any = true, stop = false;

	while (any) {
		any = false;
		for (size_t k = 0; k < g->n; k++)
			any |= which[k] = before_step(&s->items[g->members[k]], stop);
		/* a stop that one has heard is for all */
		for (size_t k = 0; k < g->n; k++)
			stop |= !s->items[g->members[k]].live && s->items[g->members[k]].end == FIT_STOPPED &&
			        !s->items[g->members[k]].status;
		if (!any || stop)
			continue;
		metering_phase("steps");
		if (trainers_step(t, which, m, failed, &e) < 0) {
			stop = true;
			if (stop_ended(&e))
				continue;
		}
		for (size_t k = 0; k < g->n; k++) {
			struct item *it = &s->items[g->members[k]];
			if (!which[k])
				continue;
			if (stop)
				fail(it, &e);
			else if (failed[k].msg[0] || train_loop_stepped(&it->run.loop, &m[k], &failed[k]) < 0)
				fail(it, &failed[k]);
		}
	}
	mem_free(m);
	mem_free(failed);
	mem_free(which);
}

/* Its summary, when nothing of it is left to do in this process. */
static void end_run(struct trials *s, const struct group *g, struct item *it)
{
	struct err e = ERR_INIT;
	char kl[80] = "";

	if (it->status)
		return;
	if (it->end == FIT_DONE && train_loop_forget(&it->run.loop, &it->end, &e) < 0) {
		fail(it, &e);
		return;
	}
	it->status = it->end == FIT_DONE ? "finished" : "stopped";
	s->stopped |= it->end != FIT_DONE;
	json_t *j = trial_results(&it->run, it->status);
	json_object_set_new(j, "seconds", json_real((clock_seconds() - s->began) * share_of(s, it)));
	json_object_set_new(j, "planned_seconds", json_real(it->share.seconds));
	json_object_set_new(j, "planned_bytes", json_integer((json_int_t)g->plan.planned_bytes));
	json_object_set_new(j, "together", json_integer((json_int_t)g->n));
	tell_counts(s);
	keep_gas(it);
	if (trial_set_status(&it->run, it->status, j, &e) < 0) {
		fail(it, &e);
	} else if (it->end == FIT_DONE) {
		metering_out("result", it->run.dir.path);
		if (json_object_get(j, "forgetting_kl"))
			snprintf(kl, sizeof(kl), ", forgotten: KL %.4g",
			         json_number_value(json_object_get(j, "forgetting_kl")));
		log_live_end();
		log_say("%s: done, %ld steps, loss %.4f%s; the result is in %s", it->name,
		        trainer_steps_done(it->run.trainer), it->run.loop.loss, kl, it->run.dir.path);
	}
	if (s->app->json)
		app_json(j);
	json_array_append_new(s->summaries, j);
}

static int start_group(struct trials *s, const struct group *g, struct trainers **t, struct err *e)
{
	if (s->open)
		*t = s->open;
	else if (open_group(s, g, t, e) < 0)
		return -1;
	s->open = NULL;
	return trainers_start(*t, e);
}

static void run_together(struct trials *s, const struct group *g)
{
	struct err e = ERR_INIT;
	struct trainers *t = NULL;
	bool started = start_group(s, g, &t, &e) == 0;

	for (size_t k = 0; k < g->n; k++) {
		struct item *it = &s->items[g->members[k]];
		if (!started && stop_ended(&e))
			it->status = "stopped";
		else if (!started || begin(it, trainers_at(t, k), &e) < 0)
			fail(it, &e);
	}
	s->stopped |= !started && stop_ended(&e);
	if (started) {
		run_group(s, g, t);
		trainers_rest(t);
		for (size_t k = 0; k < g->n; k++)
			end_run(s, g, &s->items[g->members[k]]);
	}
	for (size_t k = 0; k < g->n; k++)
		if (s->items[g->members[k]].began)
			train_loop_release(&s->items[g->members[k]].run.loop);
	for (size_t k = 0; k < g->n; k++)
		s->items[g->members[k]].began = false;
	trainers_free(t);
}

/* One that goes with no other. */
static void run_alone(struct trials *s, struct item *it)
{
	struct trial_options o = { .recipe = &it->run.recipe, .folder = TRIAL_RESUME, .line = take_line, .ctx = it };
	struct trial_result r;
	struct err e = ERR_INIT;

	run_dir_release(&it->run.dir);
	it->has_dir = false;
	if (trial_run(s->app, &o, &r, &e) < 0) {
		s->stopped |= stop_ended(&e);
		if (!stop_ended(&e))
			fail(it, &e);
		return;
	}
	s->stopped |= r.end != TRIAL_DONE;
	log_live_end();
	log_say(r.end == TRIAL_DONE ? "%s: done; the result is in %s" : "%s: stopped; it is in %s", it->name,
	        it->run.recipe.out);
	if (s->app->json)
		app_json(r.summary);
	json_array_append(s->summaries, r.summary);
	trial_result_release(&r);
}

/* --- folders --- */

static int check_folders(struct trials *s, struct err *e)
{
	for (size_t i = 0; i < s->n && !s->app->plans && s->folder == TRIAL_NEW; i++) {
		const struct recipe *r = &s->items[i].run.recipe;
		char *parent = io_parent(r->out);
		bool old;
		s->items[i].new_parent = !io_exists(parent);
		mem_free(parent);
		for (size_t j = 0; j < i; j++)
			if (!strcmp(r->out, s->items[j].run.recipe.out))
				return err_set(e, "two recipes have the run directory %s: each wants its own", r->out);
		if (output_place("out", r->out, OUTPUT_FOLDER, true, e) < 0 ||
		    run_dir_check(r->out, r->overwrite, &old, e) < 0)
			return -1;
	}
	return 0;
}

/* Folders that were made for runs which did not begin. */
static void drop_parents(struct trials *s)
{
	for (size_t i = 0; i < s->n; i++) {
		char *parent = s->items[i].new_parent ? io_parent(s->items[i].run.recipe.out) : NULL;
		if (parent)
			rmdir(parent); /* one that is not empty stays */
		mem_free(parent);
	}
}

static int take_folder(struct trials *s, struct item *it, struct err *e)
{
	struct recipe *r = &it->run.recipe;
	json_t *record;

	if (s->folder == TRIAL_RESUME) {
		if (run_dir_open(&it->run.dir, r->out, &record, e) < 0)
			return -1;
	} else {
		record = recipe_record(r);
		if (run_dir_create(&it->run.dir, r->out, r->overwrite, record, e) < 0) {
			json_decref(record);
			return -1;
		}
	}
	json_decref(record);
	it->has_dir = true;
	return 0;
}

static int take_folders(struct trials *s, struct err *e)
{
	for (size_t i = 0; i < s->n; i++)
		if (take_folder(s, &s->items[i], e) < 0) {
			while (i-- > 0 && s->folder == TRIAL_NEW)
				run_dir_discard(&s->items[i].run.dir);
			return -1;
		}
	return 0;
}

/* --- all --- */

static void say_stopped(const struct trials *s)
{
	struct buf names = BUF_INIT;

	for (size_t i = 0; i < s->n; i++)
		if (!s->items[i].status || strcmp(s->items[i].status, "finished") != 0)
			buf_addf(&names, " %s", s->items[i].run.recipe.out);
	log_live_end();
	log_say("stopped; go on with: kungfu resume%s", buf_str(&names));
	buf_release(&names);
}

static int run_all(struct trials *s, struct err *e)
{
	if (check_folders(s, e) < 0 || make_groups(s, e) < 0 || show_and_check(s, e) < 0 || take_folders(s, e) < 0)
		return -1;
	for (size_t i = 0; i < s->n_groups && !s->stopped; i++) {
		if (s->groups[i].n > 1)
			run_together(s, &s->groups[i]);
		else
			run_alone(s, &s->items[s->groups[i].members[0]]);
	}
	if (s->stopped)
		say_stopped(s);
	const char *status = s->n_failed ? "failed" : s->stopped ? "stopped" : "finished";
	app_summary(s->app, json_pack("{s:s, s:O}", "status", status, "trials", s->summaries));
	if (s->n_failed)
		return err_set(e, "%zu of %zu recipes failed; the first is %s", s->n_failed, s->n, s->failure.msg);
	return s->stopped ? EXIT_STOPPED : EXIT_DONE;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

int trials_run(struct app *app, const struct recipe *recipes, size_t n, enum trial_folder folder, struct err *e)
{
	struct trials s = { .app = app, .n = n, .folder = folder, .began = clock_seconds(), .summaries = json_array() };

	metering_phase("open");
	s.speeds = machine_speeds(app);
	s.items = arena_array(&s.mem, n, sizeof(*s.items));
	for (size_t i = 0; i < n; i++) {
		struct item *it = &s.items[i];
		*it = (struct item){ .all = &s, .name = last_part(recipes[i].out) };
		it->run = (struct trial_run){ .app = app, .o = &it->options, .recipe = recipes[i], .began = s.began };
		it->run.recipe.speeds = &s.speeds;
	}
	int status = run_all(&s, e);
	if (status < 0)
		drop_parents(&s);
	trainers_free(s.open);
	for (size_t i = 0; i < n; i++) {
		json_decref(s.items[i].run.plan);
		json_decref(s.items[i].run.facts);
		if (s.items[i].has_dir)
			run_dir_release(&s.items[i].run.dir);
	}
	json_decref(s.summaries);
	arena_release(&s.mem);
	return status;
}
