/* requirements: YAML to JSON, an entry's keys through a table of options, so that ranges and names are checked as
 * theirs are; what the table cannot say (what excludes what) stands in check. */
#include "cmd/promote/requirements.h"

#include <math.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/yaml_json.h"

static const struct opt keys[] = {
	OPT_STRING("name", struct requirement, name, NULL, "TEXT", "as it is told"),
	OPT_STRING("task", struct requirement, task, NULL, "TASK", "a task of lm-eval, or a FILE.yaml"),
	OPT_STRING("task-data", struct requirement, task_data, NULL, "DIR", "where its rows are"),
	OPT_STRING("filter", struct requirement, filter, NULL, "NAME", "of the task's filters (default: its first)"),
	OPT_CHOICE("suite", struct requirement, suite, NULL, "safety", "the task is of eval --suite"),
	OPT_STRING("part", struct requirement, part, NULL, "NAME", "of the suite, which makes the task"),
	OPT_STRING("suite-data", struct requirement, suite_data, NULL, "DIR", "where its public sets are"),
	OPT_STRING("canaries", struct requirement, canaries, NULL, "FILE", "rows of data canaries"),
	OPT_STRING("training-data", struct requirement, training_data, NULL, "FILE", "rows that it was tuned on"),
	OPT_STRING("data", struct requirement, data, NULL, "FILE", "rows with answers or choices"),
	OPT_STRING("metric", struct requirement, metric, NULL, "NAME", "what is compared"),
	OPT_CHOICE("not-worse-than", struct requirement, not_worse_than, NULL, "parent", "compares with the parent"),
	OPT_FLOAT("margin", struct requirement, margin, "0", 0, 1e6, "by how much it may be worse"),
	OPT_FLOAT("minimum", struct requirement, minimum, NULL, -1e9, 1e9, "of its own score"),
	OPT_FLOAT("maximum", struct requirement, maximum, NULL, -1e9, 1e9, "the same where less is better"),
	OPT_FLOAT("confidence", struct requirement, confidence, "0.95", 0.5, 0.999999, "of each bound"),
	OPT_STRING("cluster-by", struct requirement, cluster_by, NULL, "COLUMN", "rows alike there are kin"),
	OPT_INT("limit", struct requirement, limit, NULL, 1, 1e12, "the first rows"),
	OPT_INT("num-fewshot", struct requirement, num_fewshot, NULL, 0, 1000, "examples before each row of a task"),
	OPT_FLAG("apply-chat-template", struct requirement, apply_chat_template, "false", "rows as turns of a chat"),
	OPT_END
};

/* A scalar as an option's text; mem_free; NULL: it is none. */
static char *text_of(const json_t *v)
{
	if (json_is_string(v))
		return mem_strdup(json_string_value(v));
	return json_is_number(v) || json_is_boolean(v) ? json_dumps(v, JSON_ENCODE_ANY) : NULL;
}

static int take_key(struct requirement *r, const char *key, const json_t *v, struct err *e)
{
	char *text = text_of(v);
	int status = !opt_find(keys, key) ? err_set(e, "%.80s is no key of a requirement", key) :
	             !text                ? err_set(e, "%s: a text, a number or true was wanted", key) :
	                                    opt_assign(&r->parsed, key, text, e);

	mem_free(text);
	return status;
}

/* --- what goes together --- */

static const char *contradiction(const struct requirement *r)
{
	bool margin = opt_given(&r->parsed, "margin");

	if (!r->task == !r->data)
		return "task or data was wanted, one of them";
	if (!r->metric)
		return "metric was wanted";
	if (!r->not_worse_than && isnan(r->minimum) && isnan(r->maximum))
		return "not_worse_than, minimum or maximum was wanted";
	if (margin && !r->not_worse_than)
		return "margin is not_worse_than's";
	if (r->suite ? !r->task || !r->part : r->part || r->suite_data || r->canaries || r->training_data)
		return r->suite ? "a suite's part and task were wanted" :
		                  "part, suite_data, canaries and training_data are a suite's";
	if (r->suite && (r->task_data || r->filter || r->num_fewshot != OPT_UNSET_INT || r->apply_chat_template))
		return "a suite's task has no task_data, filter, num_fewshot, apply_chat_template";
	if (r->data && (r->task_data || r->filter || r->num_fewshot != OPT_UNSET_INT || r->cluster_by))
		return "task_data, filter, num_fewshot and cluster_by are of a task";
	return NULL;
}

/* A path of this file's folder, owned by the parse. */
static int place(struct requirement *r, const char *key, const char *value, const char *folder, struct err *e)
{
	if (!value || *value == '/')
		return 0;
	char *path = io_join(folder, value);
	int status = opt_assign(&r->parsed, key, path, e);
	mem_free(path);
	return status;
}

static int finish(struct requirement *r, const char *folder, struct err *e)
{
	const char *wrong = contradiction(r);
	bool file = r->task && !r->suite && (strchr(r->task, '/') || strstr(r->task, ".yaml"));

	if (wrong)
		return err_set(e, "%s", wrong);
	r->label = r->name ? mem_strdup(r->name) :
	                     mem_printf("%s %s", io_basename(r->task ? r->task : r->data), r->metric);
	const char *const paths[][2] = { { "data", r->data }, { "task-data", r->task_data },
		                         { "suite-data", r->suite_data }, { "canaries", r->canaries },
		                         { "training-data", r->training_data }, { "task", file ? r->task : NULL } };
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (place(r, paths[i][0], paths[i][1], folder, e) < 0)
			return -1;
	return 0;
}

/* --- the file --- */

static int take(struct requirement *r, const json_t *o, const json_t *confidence, const char *folder, struct err *e)
{
	const char *key;
	json_t *v;

	if (opt_begin(&r->parsed, keys, r, e) < 0)
		return -1;
	if (!json_is_object(o))
		return err_set(e, "keys and values were wanted");
	if (confidence && take_key(r, "confidence", confidence, e) < 0)
		return -1;
	json_object_foreach((json_t *)(uintptr_t)o, key, v)
		if (take_key(r, key, v, e) < 0)
			return -1;
	return finish(r, folder, e);
}

static int take_all(struct requirements *r, const json_t *all, const char *path, struct err *e)
{
	const json_t *list = json_is_object(all) ? json_object_get(all, "requirements") : all;
	char *folder = io_parent(path);
	int status = 0;
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)all, key, v)
		if (strcmp(key, "requirements") != 0 && strcmp(key, "confidence") != 0)
			status = err_set(e, "%s: %.80s is no key: confidence and requirements are", path, key);
	if (status == 0 && !json_array_size(list))
		status = err_set(e, "%s: a list of requirements was wanted", path);
	r->items = mem_array(json_array_size(list), sizeof(*r->items));
	for (size_t i = 0; status == 0 && i < json_array_size(list); i++) {
		r->n++;
		status = take(&r->items[i], json_array_get(list, i), json_object_get(all, "confidence"), folder, e);
		if (status < 0)
			err_prefix(e, "%s: requirement %zu", path, i + 1);
	}
	mem_free(folder);
	return status;
}

int requirements_load(struct requirements *r, const char *path, struct err *e)
{
	*r = (struct requirements){ 0 };
	json_t *all = yaml_json_file(path, e);
	int status = all ? io_hash(path, r->hash, e) : -1;

	if (status == 0)
		status = take_all(r, all, path, e);
	json_decref(all);
	if (status < 0)
		requirements_release(r);
	return status;
}

void requirements_release(struct requirements *r)
{
	for (size_t i = 0; i < r->n; i++) {
		opt_release(&r->items[i].parsed);
		mem_free(r->items[i].label);
	}
	mem_free(r->items);
	*r = (struct requirements){ 0 };
}
