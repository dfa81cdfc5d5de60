/* eval_live: rows of a task are drawn in an order of the seed, so those that were answered are a sample of all, and
 * both models answer the same block of them. After each block the task's first metric is looked at by a bound that
 * holds at all times together (eval/contest.h): once it excludes 0 the rest is not asked. What is said then is of the
 * rows that were answered. A sample's numbers are those of `eval --tasks`. */
#include "cmd/eval_live.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cmd/eval_compare.h"
#include "cmd/eval_running.h"
#include "cmd/metering.h"
#include "eval/contest.h"

enum { BLOCK = 32 };

struct live_run {
	struct app *app;
	struct eval_running side[2];
	const char *cluster_by;
	size_t done, total;            /* rows, of all tasks */
	double began;
};

/* One task: metrics of the rows that were answered, in their order, of each filter. */
struct answered {
	size_t *rows;                  /* [all] as they are drawn */
	json_t ***metrics[2];          /* [filters][n] owned */
	size_t n, all, n_filters;
};

/* --- while it runs --- */

static int tell(void *ctx, const char *doing, size_t done, size_t total)
{
	struct live_run *v = ctx;
	double seconds = clock_seconds() - v->began;

	(void)doing;
	(void)done;
	(void)total;
	metering_tick();
	if (seconds >= 2 && !app_interrupted())
		log_live("%zu of %zu rows at most  %s", v->done, v->total, metering_live());
	return app_interrupted();
}

/* Both answer rows[0 … n − 1], whose metrics go behind those that are there. */
static int answer_block(struct live_run *v, size_t task, struct answered *a, size_t n, struct err *e)
{
	for (int s = 0; s < 2; s++) {
		struct eval_running *r = &v->side[s];
		const struct exam_subject subject = { &r->l->model, loaded_overlay(r->l), v->app->device };
		struct exam_asked some, *list = &some;
		struct exam_scores scores = { 0 };
		exam_asked_some(&r->asked[task], a->rows + a->n, n, &some);
		int status = exam_run(&subject, &list, 1, &r->run, e);
		if (status == 0)
			status = exam_score(&some, &scores, e);
		for (size_t f = 0; f < a->n_filters && status == 0; f++)
			for (size_t i = 0; i < n; i++)
				a->metrics[s][f][a->n + i] = json_incref(scores.metrics[f][a->rows[a->n + i]]);
		if (status == 0)
			exam_scores_release(&scores);
		exam_asked_release(&some);
		if (status < 0)
			return -1;
	}
	a->n += n;
	v->done += n;
	return 0;
}

/* --- one task --- */

static void begin(struct answered *a, const struct exam_asked *asked, uint64_t seed)
{
	struct rng_key key = { .seed = seed, .purpose = RNG_SHUFFLE };

	*a = (struct answered){ .all = asked->n_docs, .n_filters = asked->task->n_filters };
	a->rows = mem_array(a->all + 1, sizeof(*a->rows));
	for (size_t i = 0; i < a->all; i++)
		a->rows[i] = (size_t)rng_permute(key, 0, a->all, i);
	for (int s = 0; s < 2; s++) {
		a->metrics[s] = mem_array(a->n_filters, sizeof(json_t **));
		for (size_t f = 0; f < a->n_filters; f++)
			a->metrics[s][f] = mem_array(a->all + 1, sizeof(json_t *));
	}
}

static void end(struct answered *a)
{
	for (int s = 0; s < 2; s++) {
		for (size_t f = 0; f < a->n_filters; f++) {
			for (size_t i = 0; i < a->n; i++)
				json_decref(a->metrics[s][f][i]);
			mem_free(a->metrics[s][f]);
		}
		mem_free(a->metrics[s]);
	}
	mem_free(a->rows);
}

static struct eval_pairs pairs_of(const struct answered *a, size_t f)
{
	return (struct eval_pairs){ (const json_t **)a->metrics[0][f], (const json_t **)a->metrics[1][f], NULL, a->n,
		                    a->all };
}

/* Numbers of the kin of rows, by a column; [a->n]. */
static int find_clusters(const struct exam *t, const struct answered *a, const char *column, size_t **out,
                         struct err *e)
{
	json_t *seen = json_object();
	int status = 0;

	*out = mem_array(a->n + 1, sizeof(**out));
	for (size_t i = 0; i < a->n && status == 0; i++)
		status = eval_cluster(seen, json_array_get(t->docs, a->rows[i]), column, &(*out)[i], e);
	json_decref(seen);
	return status;
}

static int report_task(const struct live_run *v, const struct exam *t, const struct answered *a, bool decided,
                       json_t *out, struct err *e)
{
	size_t *cluster = NULL;

	if (v->cluster_by && find_clusters(t, a, v->cluster_by, &cluster, e) < 0) {
		mem_free(cluster);
		return -1;
	}
	if (!v->app->json)
		app_print(decided ? "%s: %zu of %zu rows, then it was decided\n" : "%s: %zu rows\n", t->name, a->n,
		          a->all);
	for (size_t f = 0; f < a->n_filters; f++) {
		struct eval_pairs p = pairs_of(a, f);
		p.cluster = cluster;
		for (size_t m = 0; m < t->n_metrics; m++)
			eval_contest(v->app, &p, t->metric[m].name, exam_filter_name(t->filter[f]), out);
	}
	mem_free(cluster);
	return 0;
}

static void tell_prompts(const struct live_run *v, size_t task)
{
	const struct exam_asked *a = &v->side[0].asked[task], *b = &v->side[1].asked[task];
	size_t differ = 0;

	for (size_t i = 0; i < a->n && i < b->n; i++)
		differ += strcmp(a->items[i].context, b->items[i].context) != 0;
	if (differ)
		log_say("%s: %zu of %zu prompts differ: each model has its own template", a->task->name, differ, a->n);
}

static int run_task(struct live_run *v, size_t task, json_t *tasks, struct err *e)
{
	const struct exam_asked *asked = &v->side[0].asked[task];
	const struct exam *t = asked->task;
	struct answered a;
	bool decided = false;
	json_t *out = json_object();
	int status = 0;

	tell_prompts(v, task);
	begin(&a, asked, v->side[0].run.seed);
	while (a.n < a.all && status == 0 && !decided) {
		status = answer_block(v, task, &a, MIN(a.all - a.n, (size_t)BLOCK), e);
		const struct eval_pairs p = pairs_of(&a, 0);
		decided = status == 0 && !v->cluster_by && eval_decided(&p, t->metric[0].name);
	}
	log_live_end();
	v->total -= a.all - a.n;
	if (status == 0)
		status = report_task(v, t, &a, decided && a.n < a.all, out, e);
	json_t *one = json_pack("{s:I, s:I, s:b, s:O}", "rows", (json_int_t)a.all, "answered", (json_int_t)a.n,
	                        "stopped", (int)(decided && a.n < a.all), "metrics", out);
	json_object_set_new(tasks, t->name, one);
	json_decref(out);
	end(&a);
	return status;
}

/* --- all --- */

void eval_live_end(struct app *app, const struct eval_live_side side[2], const struct eval_live_work *w, json_t *facts)
{
	double seconds = clock_seconds() - w->began;
	char time[32], gas[400];

	metering_count(w->tokens, w->new_tokens, w->scored_tokens, w->flops, w->int_ops);
	json_t *j = json_pack("{s:s, s:s, s:o}", "a", side[0].name, "b", side[1].name, "adapter",
	                      side[1].adapter ? jsonx_path(side[1].adapter) : json_null());
	json_object_update(j, facts);
	json_object_set_new(j, "tokens", json_integer(w->tokens));
	json_object_set_new(j, "new_tokens", json_integer(w->new_tokens));
	json_object_set_new(j, "seconds", json_real(seconds));
	json_decref(facts);
	app_summary(app, j);
	if (app->json)
		return;
	clock_human(seconds, time);
	app_print("  %lld tokens in %s\n", (long long)(w->tokens + w->new_tokens), time);
	metering_text(gas);
	if (gas[0])
		app_print("  %s\n", gas);
}

static struct eval_live_work work_of(const struct live_run *v)
{
	const struct exam_run_options *a = &v->side[0].run, *b = &v->side[1].run;

	return (struct eval_live_work){ a->tokens + b->tokens, a->new_tokens + b->new_tokens,
		                        a->scored_tokens + b->scored_tokens, a->flops + b->flops,
		                        a->int_ops + b->int_ops, v->began };
}

int eval_live(struct app *app, const struct eval_tasks *t, const struct eval_live_side side[2], const char *cluster_by,
              struct err *e)
{
	struct live_run v = { .app = app, .cluster_by = cluster_by, .began = clock_seconds() };
	struct eval_tasks own[2] = { *t, *t };
	json_t *tasks = json_object();
	int status = 0;

	for (int s = 0; s < 2 && status == 0; s++) {
		own[s].model = side[s].name;
		own[s].adapter = side[s].adapter;
		v.side[s] = (struct eval_running){ .app = app, .t = &own[s], .l = side[s].l };
		status = eval_running_ask(&v.side[s], e);
		v.side[s].run.progress = tell;
		v.side[s].run.ctx = &v;
	}
	for (size_t i = 0; i < v.side[0].n_asked && status == 0; i++)
		v.total += v.side[0].asked[i].n_docs;
	metering_phase("evaluate");
	for (size_t i = 0; i < v.side[0].n_asked && status == 0; i++)
		status = run_task(&v, i, tasks, e);
	if (status == 0) {
		const struct eval_live_work w = work_of(&v);
		eval_live_end(app, side, &w, json_pack("{s:O}", "tasks", tasks));
	}
	json_decref(tasks);
	for (int s = 0; s < 2; s++)
		eval_running_release(&v.side[s]);
	return status;
}
