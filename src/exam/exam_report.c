/* exam_report: results and samples in the shape of lm-eval's files: results_TIME.json's keys and
 * samples_TASK_TIME.jsonl's lines, answers as texts (log-probabilities too), hashes of rows, prompts and targets as
 * SHA-256. A row's hash is that of Python's json.dumps(row, indent=2, ensure_ascii=False). */
#include <math.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/py_literal.h"
#include "base/sha.h"
#include "base/yaml_json.h"
#include "exam/exam_parts.h"

static json_t *hash(const char *s, size_t n)
{
	char hex[65];

	sha_256(s, n, hex);
	return json_string(hex);
}

/* What numbers are as texts: str(v). */
static json_t *text_of(const json_t *v)
{
	struct buf b = BUF_INIT;

	py_str(&b, v);
	json_t *made = json_stringn(buf_str(&b), b.len);
	buf_release(&b);
	return made;
}

static json_t *logprob_texts(const struct exam *t, const struct exam_request *q)
{
	json_t *x = json_real(q->logprob), *made;

	if (t->output == EXAM_ROLLING) {
		made = text_of(x);
		json_decref(x);
		return made;
	}
	made = json_pack("[o, s]", text_of(x), q->greedy ? "True" : "False");
	json_decref(x);
	return made;
}

/* {"gen_args_0": {"arg_0": context, "arg_1": …}} */
static json_t *arguments_of(const struct exam *t, const struct exam_request *q, size_t n)
{
	json_t *all = json_object();
	char name[40];

	for (size_t i = 0; i < n; i++) {
		json_t *one = json_object(), *kwargs = json_object_get(t->config, "generation_kwargs");
		snprintf(name, sizeof(name), "gen_args_%zu", i);
		json_object_set_new(one, "arg_0", json_string(t->output == EXAM_ROLLING ? q[i].continuation :
		                                                                          q[i].context));
		if (t->output == EXAM_GENERATE)
			json_object_set_new(one, "arg_1", kwargs ? json_deep_copy(kwargs) : json_object());
		else if (t->output != EXAM_ROLLING)
			json_object_set_new(one, "arg_1", json_string(q[i].continuation));
		json_object_set_new(all, name, one);
	}
	return all;
}

static void put_replies(const struct exam_scores *s, size_t f, const struct exam_request *q, size_t n, json_t *line)
{
	const struct exam *t = s->asked->task;
	json_t *resps = json_array(), *filtered = json_array();

	for (size_t i = 0; i < n; i++) {
		json_array_append_new(resps, t->output == EXAM_GENERATE ? json_incref(q[i].answers) :
		                                                          json_pack("[o]", logprob_texts(t, &q[i])));
		json_array_append_new(filtered, t->output == EXAM_GENERATE ? text_of(s->filtered[f][q->doc]) :
		                                                             logprob_texts(t, &q[i]));
	}
	json_object_set_new(line, "resps", resps);
	json_object_set_new(line, "filtered_resps", filtered);
}

static void put_hashes(const struct exam_request *q, const json_t *doc, const json_t *target, bool rolling,
                       json_t *line)
{
	char *text = json_dumps(doc, JSON_INDENT(2));
	const char *prompt = rolling ? q->continuation : q->context;

	json_object_set_new(line, "doc_hash", hash(text ? text : "", text ? strlen(text) : 0));
	json_object_set_new(line, "prompt_hash", hash(prompt, strlen(prompt)));
	json_object_set_new(line, "target_hash", hash(json_string_value(target), json_string_length(target)));
	mem_free(text);
}

json_t *exam_sample(const struct exam_scores *s, size_t f, size_t i, struct err *e)
{
	const struct exam_asked *a = s->asked;
	const struct exam *t = a->task;
	const json_t *doc = json_array_get(t->docs, i);
	json_t *target = exam_target(t, &t->target, doc, e), *line, *names = json_array(), *v;
	const char *name;
	size_t first, end;

	if (!target) {
		json_decref(names);
		return NULL;
	}
	first = exam_first_of(a, i);
	for (end = first; end < a->n && a->items[end].doc == i; end++)
		;
	json_t *target_text = text_of(target);
	json_decref(target);
	line = json_pack("{s:I, s:O, s:O, s:o}", "doc_id", (json_int_t)i, "doc", (json_t *)(uintptr_t)doc, "target",
	                 target_text, "arguments", arguments_of(t, &a->items[first], end - first));
	put_replies(s, f, &a->items[first], end - first, line);
	json_object_set_new(line, "filter", json_string(exam_filter_name(t->filter[f])));
	json_object_foreach(s->metrics[f][i], name, v)
		json_array_append_new(names, json_string(name));
	json_object_set_new(line, "metrics", names);
	put_hashes(&a->items[first], doc, target_text, t->output == EXAM_ROLLING, line);
	json_object_update(line, s->metrics[f][i]);
	json_decref(target_text);
	return line;
}

/* --- results --- */

static void put_score(const struct exam_score *s, json_t *to)
{
	char key[200];

	snprintf(key, sizeof(key), "%s,%s", s->metric, s->filter);
	json_object_set_new(to, key, jsonx_number(s->value.mean));
	snprintf(key, sizeof(key), "%s_stderr,%s", s->metric, s->filter);
	json_object_set_new(to, key, s->has_error && !isnan(s->value.stderr_) ? json_real(s->value.stderr_) :
	                                                                       json_string("N/A"));
}

static void put_better(const struct exam *t, json_t *to)
{
	json_t *o = json_object();

	for (size_t i = 0; i < t->n_metrics; i++)
		json_object_set_new(o, t->metric[i].name, json_boolean(t->metric[i].higher_is_better));
	json_object_set_new(to, t->name, o);
}

static json_t *version_of(const json_t *config)
{
	const json_t *v = json_object_get(json_object_get(config, "metadata"), "version");

	return v ? json_deep_copy(v) : json_string("Yaml");
}

/* What a config says, functions by their names. */
static json_t *config_of(const json_t *v)
{
	const char *function = json_string_value(json_object_get(v, YAML_FUNCTION)), *key;
	json_t *made, *one;
	size_t i;

	if (function)
		return json_string(function);
	if (json_is_array(v)) {
		made = json_array();
		json_array_foreach((json_t *)(uintptr_t)v, i, one)
			json_array_append_new(made, config_of(one));
		return made;
	}
	if (!json_is_object(v))
		return json_deep_copy(v);
	made = json_object();
	json_object_foreach((json_t *)(uintptr_t)v, key, one)
		json_object_set_new(made, key, config_of(one));
	return made;
}

static void put_task(const struct exam_scores *s, json_t *all)
{
	const struct exam *t = s->asked->task;
	json_t *one = json_pack("{s:s, s:s, s:I}", "name", t->name, "alias", t->alias, "sample_len",
	                        (json_int_t)s->asked->n_docs);

	for (size_t k = 0; k < s->n; k++)
		put_score(&s->items[k], one);
	json_object_set_new(json_object_get(all, "results"), t->name, one);
	json_object_set_new(json_object_get(all, "configs"), t->name, config_of(t->config));
	json_object_set_new(json_object_get(all, "versions"), t->name, version_of(t->config));
	json_object_set_new(json_object_get(all, "n-shot"), t->name, json_integer(t->num_fewshot));
	put_better(t, json_object_get(all, "higher_is_better"));
	json_object_set_new(json_object_get(all, "n-samples"), t->name,
	                    json_pack("{s:I, s:I}", "original", (json_int_t)json_array_size(t->docs), "effective",
	                              (json_int_t)s->asked->n_docs));
}

static int put_group(const struct exams *t, const struct exam_group *g, const struct exam_scores *scores, json_t *all,
                     struct err *e)
{
	struct arena mem = ARENA_INIT;
	struct exam_score *made;
	json_t *one = json_pack("{s:s, s:s}", "alias", g->alias, "name", g->name), *children = json_array();
	size_t n;
	int status = exam_group_score(t, g, scores, &mem, &made, &n, e);

	for (size_t i = 0; i < n && status == 0; i++)
		put_score(&made[i], one);
	if (n)
		json_object_set_new(one, "sample_len", json_integer((json_int_t)made[0].value.n));
	for (size_t i = 0; i < g->n_children; i++)
		json_array_append_new(children, json_string(g->child[i]));
	json_object_set_new(json_object_get(all, "group_subtasks"), g->name, children);
	json_object_set_new(json_object_get(all, "versions"), g->name, version_of(g->config));
	json_object_set(json_object_get(all, "results"), g->name, one);
	if (n)
		json_object_set(json_object_get(all, "groups"), g->name, one);
	json_decref(one);
	arena_release(&mem);
	return status;
}

json_t *exam_results(const struct exams *t, const struct exam_scores *scores, struct err *e)
{
	json_t *all = json_pack("{s:{}, s:{}, s:{}, s:{}, s:{}, s:{}, s:{}, s:{}}", "results", "groups",
	                        "group_subtasks", "configs", "versions", "n-shot", "higher_is_better", "n-samples");
	int status = 0;

	for (size_t i = 0; i < t->n; i++)
		put_task(&scores[i], all);
	for (size_t i = 0; i < t->n_groups && status == 0; i++)
		status = put_group(t, &t->groups[i], scores, all, e);
	if (!t->n_groups || !json_object_size(json_object_get(all, "groups")))
		json_object_del(all, "groups");
	if (status == 0)
		return all;
	json_decref(all);
	return NULL;
}
