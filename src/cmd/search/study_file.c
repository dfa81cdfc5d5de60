/* study_file: study.json, out and in. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "cmd/search/study.h"

/* --- out --- */

static json_t *places_json(const struct study *s, const struct study_trial *t)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->space.n; i++) {
		const struct space_place *at = &t->at[i];
		json_array_append_new(list, !at->active              ? json_null() :
		                            s->space.param[i].range ? json_real(at->u) :
		                                                      json_integer(at->choice));
	}
	return list;
}

static json_t *score_json(const struct study_score *c)
{
	return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "step", (json_int_t)c->step, "value",
	                 jsonx_number(c->value), "score", jsonx_number(c->mean), "stderr", jsonx_number(c->stderr_),
	                 "low", jsonx_number(c->low), "high", jsonx_number(c->high), "eval_loss",
	                 jsonx_number(c->eval_loss), "n", (json_int_t)c->n);
}

static json_t *trial_json(const struct study *s, const struct study_trial *t)
{
	json_t *scores = json_array(), *steps = json_array();

	for (int i = t->standing.first; i < t->standing.reached; i++)
		json_array_append_new(scores, score_json(&t->score[i]));
	for (int i = 0; i < s->rungs.rungs; i++)
		json_array_append_new(steps, json_integer(t->rung_step[i]));
	json_t *end = t->has_end ? score_json(&t->end) : json_null();
	const struct standing *x = &t->standing;
	json_t *j = json_pack("{s:o, s:i, s:b, s:b, s:b, s:b, s:b, s:b}", "places", places_json(s, t), "first",
	                      x->first, "over", x->over, "failed", x->failed, "planned", t->planned, "busy", t->busy,
	                      "to_end", t->to_end, "cut", t->cut);
	json_object_set_new(j, "steps", json_integer(t->steps));
	json_object_set_new(j, "rung_steps", steps);
	json_object_set_new(j, "cost", jsonx_number(t->cost));
	json_object_set_new(j, "scores", scores);
	json_object_set_new(j, "end", end);
	json_object_set_new(j, "gas", gas_keep(&t->gas));
	json_object_set_new(j, "trainable_parameters", json_integer((json_int_t)t->trainable));
	json_object_set_new(j, "error", t->error ? json_string(t->error) : json_null());
	return j;
}

/* What this process took, in its place among the processes. */
static void put_process(struct study *s)
{
	json_t *own = json_array_get(s->processes, json_array_size(s->processes) - 1);

	json_object_set_new(own, "gas", metering_whole_so_far());
}

int study_save(struct study *s, struct err *e)
{
	json_t *trials = json_array();

	put_process(s);
	for (size_t i = 0; i < s->n; i++)
		json_array_append_new(trials, trial_json(s, &s->trials[i]));
	json_t *j = json_pack("{s:s, s:s, s:O, s:O, s:s}", "version", KUNGFU_VERSION, "status", s->status, "command",
	                      s->argv, "paths", s->paths, "space", s->space_text);
	json_object_set_new(j, "flop_seconds", json_real(s->flop_seconds));
	json_object_set_new(j, "int_op_seconds", json_real(s->int_op_seconds));
	json_object_set_new(j, "beginning_seconds", jsonx_number(s->beginning));
	json_object_set_new(j, "full_cost", jsonx_number(s->most));
	json_object_set_new(j, "gas_share", jsonx_number(s->share));
	json_object_set_new(j, "gas_reserve", jsonx_number(s->reserve));
	json_object_set_new(j, "trials_most", json_integer((json_int_t)s->rungs.trials));
	json_object_set_new(j, "hits", json_integer(s->hits));
	json_object_set_new(j, "selection_rows", json_integer((json_int_t)s->selection));
	json_object_set_new(j, "held_back_rows", json_integer((json_int_t)s->held_back));
	json_object_set_new(j, "trials", trials);
	json_object_set(j, "decisions", s->decisions);
	json_object_set_new(j, "base", s->base ? json_incref(s->base) : json_null());
	json_object_set_new(j, "test", s->test ? json_incref(s->test) : json_null());
	json_object_set(j, "processes", s->processes);
	char *path = io_join(s->dir, "study.json");
	int status = jsonx_write_file(path, j, e);
	mem_free(path);
	json_decref(j);
	return status;
}

/* --- in --- */

static double number(const json_t *j, const char *key)
{
	const json_t *v = json_object_get(j, key);

	return json_is_number(v) ? json_number_value(v) : NAN;
}

static bool flag(const json_t *j, const char *key) { return json_is_true(json_object_get(j, key)); }
static long count_of(const json_t *j, const char *key) { return (long)json_integer_value(json_object_get(j, key)); }

static void read_places(struct study *s, struct study_trial *t, const json_t *list)
{
	t->at = arena_array(&s->mem, s->space.n + 1, sizeof(*t->at));
	for (size_t i = 0; i < s->space.n; i++) {
		const json_t *v = json_array_get(list, i);
		t->at[i].active = json_is_number(v);
		if (s->space.param[i].range)
			t->at[i].u = json_number_value(v);
		else if (json_is_integer(v) && (size_t)json_integer_value(v) < s->space.param[i].n)
			t->at[i].choice = (int)json_integer_value(v);
	}
}

static void read_score(struct study_score *c, const json_t *j)
{
	*c = (struct study_score){ .value = number(j, "value"), .mean = number(j, "score"), .low = number(j, "low"),
		                   .high = number(j, "high"), .stderr_ = number(j, "stderr"),
		                   .eval_loss = number(j, "eval_loss"), .n = (size_t)count_of(j, "n"),
		                   .step = count_of(j, "step") };
}

static void read_trial(struct study *s, struct study_trial *t, const json_t *j)
{
	const json_t *scores = json_object_get(j, "scores"), *steps = json_object_get(j, "rung_steps");
	const char *error = json_string_value(json_object_get(j, "error"));
	struct standing *x = &t->standing;

	*t = (struct study_trial){ .planned = flag(j, "planned"), .busy = flag(j, "busy"), .to_end = flag(j, "to_end"),
		                   .cut = flag(j, "cut"), .steps = count_of(j, "steps"), .cost = number(j, "cost"),
		                   .trainable = (size_t)count_of(j, "trainable_parameters"),
		                   .error = error ? mem_strdup(error) : NULL };
	t->has_end = json_is_object(json_object_get(j, "end"));
	if (t->has_end)
		read_score(&t->end, json_object_get(j, "end"));
	read_places(s, t, json_object_get(j, "places"));
	x->first = (int)MIN(MAX(count_of(j, "first"), 0L), (long)s->rungs.rungs);
	x->reached = x->first + (int)MIN(json_array_size(scores), (size_t)(s->rungs.rungs + 1 - x->first));
	x->over = flag(j, "over");
	x->failed = flag(j, "failed");
	for (int i = x->first; i < x->reached; i++) {
		read_score(&t->score[i], json_array_get(scores, (size_t)(i - x->first)));
		x->value[i] = t->score[i].value;
	}
	for (int i = 0; i < s->rungs.rungs; i++)
		t->rung_step[i] = (long)json_integer_value(json_array_get(steps, (size_t)i));
	gas_none(&t->gas);
	gas_add_kept(&t->gas, json_object_get(j, "gas"));
}

static void read_processes(struct study *s)
{
	gas_none(&s->before);
	for (size_t i = 0; i < json_array_size(s->processes); i++) {
		const json_t *gas = json_object_get(json_array_get(s->processes, i), "gas");
		if (gas)
			gas_add_kept(&s->before, gas);
	}
}

static int read_asked(struct study *s, const json_t *j, struct err *e)
{
	struct study_options h;
	const char *space = json_string_value(json_object_get(j, "space"));

	s->argv = json_incref(json_object_get(j, "command"));
	s->paths = json_incref(json_object_get(j, "paths"));
	if (!space || !json_is_array(s->argv) || !json_is_object(s->paths))
		return err_set(e, "%s/study.json is no study: command, paths or space is missing", s->dir);
	if (study_options(&h, s, e) < 0)
		return err_prefix(e, "%s/study.json", s->dir);
	s->o = h.o;
	s->parse = h.parse;
	s->parse.target = &s->o;
	s->space_text = mem_strdup(space);
	return study_space(s, space, "study.json: space", e);
}

static void read_rest(struct study *s, const json_t *j)
{
	const json_t *trials = json_object_get(j, "trials");
	const char *status = json_string_value(json_object_get(j, "status"));

	s->flop_seconds = number(j, "flop_seconds");
	s->int_op_seconds = number(j, "int_op_seconds");
	s->beginning = number(j, "beginning_seconds");
	s->most = number(j, "full_cost");
	s->share = number(j, "gas_share");
	s->reserve = number(j, "gas_reserve");
	s->rungs.trials = (size_t)count_of(j, "trials_most");
	s->hits = (int)count_of(j, "hits");
	s->selection = (size_t)count_of(j, "selection_rows");
	s->held_back = (size_t)count_of(j, "held_back_rows");
	s->decisions = json_incref(json_object_get(j, "decisions"));
	s->processes = json_incref(json_object_get(j, "processes"));
	s->base = jsonx_object(j, "base");
	s->test = jsonx_object(j, "test");
	s->status = status && !strcmp(status, "finished") ? "finished" : "running";
	s->n = json_array_size(trials);
	s->trials = mem_array(s->n + 1, sizeof(*s->trials));
	for (size_t i = 0; i < s->n; i++)
		read_trial(s, &s->trials[i], json_array_get(trials, i));
	read_processes(s);
}

int study_load(struct study *s, struct app *app, const char *dir, struct err *e)
{
	char whole[PATH_MAX];

	*s = (struct study){ .app = app, .dir = mem_strdup(realpath(dir, whole) ? whole : dir) };
	if (io_lock_dir(dir, &s->lock, e) < 0)
		return -1;
	char *path = io_join(dir, "study.json");
	json_t *j = jsonx_load_file(path, e);
	mem_free(path);
	if (!j)
		return -1;
	int status = read_asked(s, j, e);
	if (!status) {
		study_settle(s);
		read_rest(s, j);
	}
	json_decref(j);
	return status;
}
