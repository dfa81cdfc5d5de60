/* eval_compare: samples of two runs are paired by task, filter and row, whose hashes must agree, and each metric is a
 * contest (eval/contest.h). Files are lm-eval's, from there or from here; of several of a task the last one counts. */
#include "cmd/eval_compare.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sentence.h"
#include "base/text.h"
#include "data/rows.h"
#include "eval/contest.h"

enum { SEED = 1234 };

/* Samples of one side: task → [lines], and the file each came from. */
struct side { json_t *tasks, *files; };

/* --- reading --- */

/* samples_TASK_2026-01-31T12-00-00….jsonl: TASK, mem_free; NULL: it is none. */
static char *task_of(const char *file)
{
	const char *name = io_basename(file), *end = strrchr(name, '_');
	size_t begin = strlen("samples_");

	if (strncmp(name, "samples_", begin) != 0 || !text_ends(name, ".jsonl") || !end || end <= name + begin)
		return NULL;
	return mem_strndup(name + begin, (size_t)(end - name) - begin);
}

/* By time, which is in their names, the last one stays. */
static void note_file(struct side *s, const char *path)
{
	char *task = task_of(path);
	const char *was = task ? json_string_value(json_object_get(s->files, task)) : NULL;

	if (task && (!was || strcmp(io_basename(was), io_basename(path)) < 0))
		json_object_set_new(s->files, task, json_string(path));
	mem_free(task);
}

static int find_files(struct side *s, const char *path, int depth, struct err *e)
{
	char **names;
	size_t n;

	if (!io_is_dir(path)) {
		note_file(s, path);
		return 0;
	}
	if (io_list(path, &names, &n, e) < 0)
		return -1;
	int status = 0;
	for (size_t i = 0; i < n && status == 0; i++) {
		char *one = io_join(path, names[i]);
		if (!io_is_dir(one) || depth < 1)
			status = find_files(s, one, depth + 1, e);
		mem_free(one);
	}
	io_list_free(names, n);
	return status;
}

static int read_side(struct side *s, const char *path, struct err *e)
{
	const char *task;
	json_t *file;

	*s = (struct side){ json_object(), json_object() };
	int status = io_exists(path) ? find_files(s, path, 0, e) : err_set(e, "%s: no such file or folder", path);
	if (status == 0 && !json_object_size(s->files))
		status = err_set(e, "%s: no samples_TASK_TIME.jsonl: --output-path with --log-samples keeps them",
		                 path);
	json_object_foreach(s->files, task, file) {
		struct rows r = { 0 };
		json_t *lines = json_array();
		if (status == 0)
			status = rows_load_objects(&r, json_string_value(file), e);
		for (size_t i = 0; i < r.n; i++)
			json_array_append(lines, r.items[i].json);
		json_object_set_new(s->tasks, task, lines);
		rows_release(&r);
	}
	return status;
}

static void side_release(struct side *s)
{
	json_decref(s->tasks);
	json_decref(s->files);
}

/* --- pairs --- */

static json_t *by_row(const json_t *lines, const char *filter)
{
	json_t *all = json_object(), *line;
	char key[32];
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)lines, i, line) {
		const char *own = json_string_value(json_object_get(line, "filter"));
		snprintf(key, sizeof(key), "%lld", (long long)json_integer_value(json_object_get(line, "doc_id")));
		if (own && !strcmp(own, filter))
			json_object_set(all, key, line);
	}
	return all;
}

int eval_cluster(json_t *seen, const json_t *doc, const char *column, size_t *out, struct err *e)
{
	json_t *v = json_object_get(doc, column), *number;
	char *key = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	if (!key)
		return err_set(e, "--cluster-by %s: a row has no such column", column);
	if (!(number = json_object_get(seen, key))) {
		number = json_integer((json_int_t)json_object_size(seen));
		json_object_set_new(seen, key, number);
	}
	mem_free(key);
	*out = (size_t)json_integer_value(number);
	return 0;
}

static int pair(struct eval_pairs *p, size_t *alone, size_t *prompts, const json_t *a, const json_t *b,
                const char *filter, const char *column, struct err *e)
{
	json_t *ours = by_row(a, filter), *theirs = by_row(b, filter), *line, *seen = json_object();
	size_t most = json_object_size(ours);
	const char *key;

	*p = (struct eval_pairs){ mem_array(most, sizeof(json_t *)), mem_array(most, sizeof(json_t *)),
		                  column ? mem_array(most, sizeof(size_t)) : NULL, 0, 0 };
	*alone = *prompts = 0;
	int status = 0;
	json_object_foreach(ours, key, line) {
		const json_t *other = json_object_get(theirs, key);
		if (!other || !json_equal(json_object_get(line, "doc_hash"), json_object_get(other, "doc_hash"))) {
			++*alone;
			continue;
		}
		if (column && status == 0)
			status = eval_cluster(seen, json_object_get(line, "doc"), column, &p->cluster[p->n], e);
		*prompts += !json_equal(json_object_get(line, "prompt_hash"), json_object_get(other, "prompt_hash"));
		p->a[p->n] = line;
		p->b[p->n++] = other;
	}
	p->of = p->n;
	*alone += json_object_size(theirs) - MIN(p->n, json_object_size(theirs));
	json_decref(ours); /* lines live in the sides */
	json_decref(theirs);
	json_decref(seen);
	return status;
}

static void pairs_release(struct eval_pairs *p)
{
	mem_free(p->a);
	mem_free(p->b);
	mem_free(p->cluster);
}

/* --- what came of it --- */

/* A sample's number: of a list [Σ log p, count] the first. NAN: it has none, or classes. */
static double number_of(const json_t *line, const char *metric)
{
	const json_t *v = json_object_get(line, metric);
	bool sums = strstr(metric, "perplexity") || strstr(metric, "bits_per");

	if (json_is_array(v))
		return sums ? json_number_value(json_array_get(v, 0)) : NAN;
	return json_is_boolean(v) ? json_is_true(v) : json_is_number(v) ? json_number_value(v) : NAN;
}

static json_t *contest_json(const struct contest *c)
{
	return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:[o, o], s:o, s:o, s:o, s:o, s:o}",
	                 "n", (json_int_t)c->n, "clusters", (json_int_t)c->clusters,
	                 "a", jsonx_number(c->a), "b", jsonx_number(c->b),
	                 "difference", jsonx_number(c->difference), "stderr", jsonx_number(c->stderr_),
	                 "stderr_clustered", jsonx_number(c->clustered),
	                 "ci95", jsonx_number(c->low), jsonx_number(c->high), "mcnemar_p", jsonx_number(c->mcnemar),
	                 "only_a", c->hits ? json_integer((json_int_t)c->only_a) : json_null(),
	                 "only_b", c->hits ? json_integer((json_int_t)c->only_b) : json_null(),
	                 "smallest_difference",
	                 jsonx_number(c->smallest > 0 ? c->smallest : NAN),
	                 "decided_after", c->decided ? json_integer((json_int_t)c->decided) : json_null());
}

/* Rows that all differ alike have no spread, and one cluster has none between clusters: no error follows from them. */
static void show(const struct app *app, const char *metric, const char *filter, const struct contest *c)
{
	bool named = strcmp(filter, "none") != 0;
	double error = c->clusters < c->n ? c->clustered : c->stderr_;
	char spread[100] = "";

	if (app->json)
		return;
	if (error > 0)
		snprintf(spread, sizeof(spread), " ± %.4f  (95 %%: %+.4f to %+.4f)", error, c->low, c->high);
	else
		sentence_format(spread, sizeof(spread), c->clusters > 1 ? ", as in each of %zu rows" :
		                                                           ", of %zu rows in one cluster", c->n);
	app_print("  %s%s%s  %.4f → %.4f  %+.4f%s\n", metric, named ? "," : "", named ? filter : "", c->a, c->b,
	          c->difference, spread);
	if (c->hits)
		app_print("    rows with 1 in A alone: %zu, in B alone: %zu; McNemar p = %.4f\n", c->only_a, c->only_b,
		          c->mcnemar);
	if (c->decided)
		app_print("    decided after %zu of %zu rows\n", c->decided, c->n);
	else if (!(error > 0))
		app_print("    not decided: such rows do not say which differences show\n");
	else
		app_print("    not decided: of this size, differences from %.4f on show\n", c->smallest);
}

/* What both have of a metric, [p->n] each, new; false: some sample has no number. */
static bool numbers_of(const struct eval_pairs *p, const char *metric, double *a, double *b)
{
	bool whole = p->n > 0;

	for (size_t i = 0; i < p->n; i++) {
		a[i] = number_of(p->a[i], metric);
		b[i] = number_of(p->b[i], metric);
		whole &= !isnan(a[i]) && !isnan(b[i]);
	}
	return whole;
}

void eval_contest(const struct app *app, const struct eval_pairs *p, const char *metric, const char *filter,
                  json_t *out)
{
	double *a = mem_array(p->n, sizeof(*a)), *b = mem_array(p->n, sizeof(*b));
	char *key = mem_printf("%s,%s", metric, filter);

	if (numbers_of(p, metric, a, b)) {
		struct contest c = contest(a, b, p->cluster, p->n, SEED);
		if (p->of > p->n && !p->cluster)
			c.decided = contest_decided(a, b, p->n, p->of);
		show(app, metric, filter, &c);
		json_object_set_new(out, key, contest_json(&c));
	}
	mem_free(key);
	mem_free(a);
	mem_free(b);
}

bool eval_decided(const struct eval_pairs *p, const char *metric)
{
	double *a = mem_array(p->n, sizeof(*a)), *b = mem_array(p->n, sizeof(*b));
	bool is = numbers_of(p, metric, a, b) && contest_decided(a, b, p->n, p->of);

	mem_free(a);
	mem_free(b);
	return is;
}

static int compare_filter(const struct app *app, const json_t *a, const json_t *b, const char *filter,
                          const char *column, const char *task, json_t *out, struct err *e)
{
	struct eval_pairs p;
	size_t i, alone, prompts;
	json_t *metric;
	int status = pair(&p, &alone, &prompts, a, b, filter, column, e);

	if (status == 0 && alone)
		log_warn("%s: %zu rows are of one side alone, or differ: they are left out", task, alone);
	if (status == 0 && prompts)
		log_warn("%s: the prompts of %zu of %zu rows differ", task, prompts, p.n);
	if (status == 0 && p.n)
		json_array_foreach(json_object_get(p.a[0], "metrics"), i, metric)
			eval_contest(app, &p, json_string_value(metric), filter, out);
	pairs_release(&p);
	return status;
}

static int compare_task(const struct app *app, const char *task, const json_t *a, const json_t *b, const char *column,
                        json_t *out, struct err *e)
{
	json_t *seen = json_object(), *line;
	int status = 0;
	size_t i;

	if (!app->json)
		app_print("%s\n", task);
	json_array_foreach((json_t *)(uintptr_t)a, i, line) {
		const char *filter = json_string_value(json_object_get(line, "filter"));
		if (!filter || json_object_get(seen, filter) || status < 0)
			continue;
		json_object_set_new(seen, filter, json_true());
		status = compare_filter(app, a, b, filter, column, task, out, e);
	}
	json_decref(seen);
	return status;
}

int eval_compare(struct app *app, const char *a, const char *b, const char *cluster_by, struct err *e)
{
	struct side ours = { 0 }, theirs = { 0 };
	json_t *tasks = json_object(), *lines;
	const char *task;
	int status = read_side(&ours, a, e);

	if (status == 0)
		status = read_side(&theirs, b, e);
	json_object_foreach(ours.tasks, task, lines) {
		const json_t *other = json_object_get(theirs.tasks, task);
		json_t *one = json_object();
		if (!other)
			log_say("%s is in %s alone", task, a);
		else if (status == 0)
			status = compare_task(app, task, lines, other, cluster_by, one, e);
		json_object_set_new(tasks, task, one);
	}
	if (status == 0)
		app_summary(app, json_pack("{s:o, s:o, s:O}", "a", jsonx_path(a), "b", jsonx_path(b), "tasks", tasks));
	json_decref(tasks);
	side_release(&ours);
	side_release(&theirs);
	return status;
}
