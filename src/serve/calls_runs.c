/* runs: trainings as the page shows them: those below --runs, by their paths there, and those of tuning jobs, by the
 * jobs' ids. They are read as anybody reads them (train/run_log.h), while they run too.
 *
 *     GET /runs         {data: [{id, state, steps, planned_steps, objective, method, loss, eval_loss}]}
 *     GET /runs/ID      the same of one, and metrics: {NAME: {step: […], value: […]}}, CURVE points each at most
 *
 * Links are not followed, checkpoints and hidden folders not looked into, DEPTH folders deep at most. */
#include "serve/openai_parts.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "serve/beside.h"
#include "serve/tuning.h"
#include "train/run_log.h"

enum { DEPTH = 6, MOST = 200, CURVE = 400 };

/* --- finding: {id: path} --- */

static bool is_real_dir(const char *path)
{
	struct stat s;

	return lstat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

static void look(json_t *found, const char *path, const char *id, int depth)
{
	struct err e = ERR_INIT;
	char **names;
	size_t n;

	if (*id && run_log_is(path))
		json_object_set_new(found, id, json_string(path));
	if (depth == DEPTH || io_list(path, &names, &n, &e) < 0)
		return;
	for (size_t i = 0; i < n && json_object_size(found) < MOST; i++) {
		char *below = io_join(path, names[i]), *name = *id ? io_join(id, names[i]) : mem_strdup(names[i]);
		if (names[i][0] != '.' && strncmp(names[i], "checkpoint-", 11) && is_real_dir(below))
			look(found, below, name, depth + 1);
		mem_free(below);
		mem_free(name);
	}
	io_list_free(names, n);
}

static json_t *find_runs(struct openai *s)
{
	json_t *found = json_object(), *jobs = s->o.beside ? tuning_list(s->o.beside->tuning) : NULL, *job;
	size_t i;

	json_array_foreach (jobs, i, job) {
		const char *id = json_string_value(json_object_get(job, "id"));
		char *path = tuning_run(s->o.beside->tuning, id);
		if (path && run_log_is(path))
			json_object_set_new(found, id, json_string(path));
		mem_free(path);
	}
	json_decref(jobs);
	if (s->o.runs_dir)
		look(found, s->o.runs_dir, "", 0);
	return found;
}

/* --- telling --- */

static json_t *last_of(const struct run_log *l, const char *name)
{
	const struct run_metric *m = run_log_metric(l, name);

	return m && m->n ? jsonx_number(m->value[m->n - 1]) : json_null();
}

static json_t *text_or_null(const json_t *o, const char *key)
{
	json_t *j = json_object_get(o, key);

	return json_is_string(j) ? json_incref(j) : json_null();
}

static json_t *run_json(const struct run_log *l, const char *id)
{
	return json_pack("{s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:o}", "id", id, "state", l->state, "steps",
	                 (json_int_t)l->steps, "planned_steps",
	                 l->planned_steps < 0 ? json_null() : json_integer(l->planned_steps), "objective",
	                 text_or_null(l->recipe, "objective"), "method", text_or_null(l->recipe, "method"), "loss",
	                 last_of(l, "loss"), "eval_loss", last_of(l, "eval_loss"));
}

/* Of many points every so manyth, and the last. */
static json_t *curve_json(const struct run_metric *m)
{
	json_t *steps = json_array(), *values = json_array();
	size_t by = m->n / CURVE + 1;

	for (size_t i = 0; i < m->n; i++)
		if ((i % by == 0 || i + 1 == m->n) && isfinite(m->step[i])) {
			json_array_append_new(steps, jsonx_number(m->step[i]));
			json_array_append_new(values, jsonx_number(m->value[i]));
		}
	return json_pack("{s:o, s:o}", "step", steps, "value", values);
}

static void list(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	json_t *found = find_runs(s), *data = json_array(), *path;
	const char *id;

	(void)q, (void)sent;
	json_object_foreach (found, id, path) {
		struct err e = ERR_INIT;
		struct run_log l;
		if (run_log_open(&l, json_string_value(path), &e) < 0)
			continue;
		json_array_append_new(data, run_json(&l, id));
		run_log_release(&l);
	}
	json_decref(found);
	openai_reply(r, json_pack("{s:s, s:o}", "object", "list", "data", data));
}

static void one(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	const char *id = q->path + strlen("/runs/");
	json_t *found = find_runs(s), *path = json_object_get(found, id);
	struct err e = ERR_INIT;
	struct run_log l;

	(void)sent;
	if (!path) {
		openai_error(r, 404, "not_found", NULL, "No such run: %.200s", id);
	} else if (run_log_open(&l, json_string_value(path), &e) < 0) {
		openai_error(r, 500, "server_error", NULL, "%s", e.msg);
	} else {
		json_t *j = run_json(&l, id), *metrics = json_object();
		for (size_t i = 0; i < l.n_metrics; i++)
			json_object_set_new(metrics, l.metrics[i].name, curve_json(&l.metrics[i]));
		json_object_set_new(j, "metrics", metrics);
		openai_reply(r, j);
		run_log_release(&l);
	}
	json_decref(found);
}

const struct calls calls_runs = {
	.rows = (const struct call[]){ { "GET", (const char *const[]){ "/runs", NULL }, list },
	                               { "GET", (const char *const[]){ "/runs/*", NULL }, one },
	                               { 0 } },
};
