/* exam_open: a config is checked key by key, its rows are read, and what the first of them gives is looked at, as
 * lm-eval does it: whether doc_to_text picks a choice, whether doc_to_target is a list.
 *
 * Which rows: those of test_split, else of validation_split. Examples: fewshot_split; else fewshot_config's samples;
 * else training_split, validation_split, test_split, the first that there is. A row may be among its own examples, and
 * is then left out, where fewshot_split and test_split are the same (both may be none). */
#include <string.h>

#include "base/yaml_json.h"
#include "base/log.h"
#include "exam/exam_parts.h"
#include "template/template.h"

static const char *const known[] = {
	"task", "task_alias", "tag", "dataset_path", "dataset_name", "dataset_kwargs", "training_split",
	"validation_split", "test_split", "fewshot_split", "process_docs", "doc_to_text", "doc_to_target",
	"doc_to_choice", "process_results", "description", "target_delimiter", "fewshot_delimiter", "fewshot_config",
	"num_fewshot", "metric_list", "output_type", "generation_kwargs", "repeats", "filter_list",
	/* of these nothing comes of ours: what is in the training data is `kungfu data build --decontaminate`'s */
	"should_decontaminate", "doc_to_decontamination_query", "gen_prefix", "metadata", "unsafe_code", NULL
};
static const char *const known_shots[] = { "sampler", "split", "samples", "doc_to_text", "doc_to_target",
	                                   "doc_to_choice", "gen_prefix", "fewshot_delimiter", "target_delimiter",
	                                   "process_docs", NULL };

static bool is_known(const char *key, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(key, *list))
			return true;
	return false;
}

int exam_keys(const json_t *o, const char *const *list, const char *what, struct err *e)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)o, key, v) {
		const char *function = json_string_value(json_object_get(v, YAML_FUNCTION));
		if (!is_known(key, list))
			return err_set(e, "%s%.80s: this key has no meaning here%s%.80s", what, key,
			               function ? ", and is Python's: !function " : "", function ? function : "");
	}
	return 0;
}

static int refuse(const char *key, const char *wanted, struct err *e)
{
	return err_set(e, "%s: %s was wanted", key, wanted);
}

static const json_t *get(const struct exam *t, const char *key)
{
	const json_t *v = json_object_get(t->config, key);

	return json_is_null(v) ? NULL : v;
}

static int text_in(const json_t *o, const char *key, const char *init, const char **out, struct err *e)
{
	const json_t *v = json_object_get(o, key);

	*out = init;
	if (!v || json_is_null(v))
		return 0;
	if (!json_is_string(v))
		return refuse(key, "a text", e);
	*out = json_string_value(v);
	return 0;
}

static int whole_in(const json_t *o, const char *key, int init, int least, int most, int *out, struct err *e)
{
	const json_t *v = json_object_get(o, key);

	*out = init;
	if (!v || json_is_null(v))
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < least || json_integer_value(v) > most)
		return err_set(e, "%s: a whole number from %d to %d was wanted", key, least, most);
	*out = (int)json_integer_value(v);
	return 0;
}

/* --- what a config says --- */

static int open_output(struct exam *t, struct err *e)
{
	static const char *const names[] = { "multiple_choice", "loglikelihood", "loglikelihood_rolling",
		                             "generate_until" };
	const char *name;

	if (text_in(t->config, "output_type", "generate_until", &name, e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (!strcmp(name, names[i])) {
			t->output = (enum exam_output)i;
			return 0;
		}
	return err_set(e, "output_type: %.80s is none of multiple_choice, loglikelihood, loglikelihood_rolling, "
	                  "generate_until", name);
}

static int open_function(const struct exam *t, const char *key, const struct exam_function **out, struct err *e)
{
	const json_t *v = get(t, key);
	const char *name = json_string_value(json_object_get(v, YAML_FUNCTION));

	*out = NULL;
	if (!v)
		return 0;
	if (!name)
		return refuse(key, "a !function of a built-in task", e);
	*out = exam_function(name);
	bool fits = *out && (!strcmp(key, "process_docs") ? (*out)->of_doc != NULL : (*out)->of_results != NULL);
	return fits ? 0 : err_set(e, "%s: !function %.80s is Python, which is not run here (what the built-in tasks "
	                             "have of it is written in C)", key, name);
}

/* fewshot_config's own, else the task's. */
static int open_shot(struct exam_field *f, const struct exam *t, const json_t *shots, const char *key, struct err *e)
{
	const json_t *own = json_object_get(shots, key);

	return exam_field_open(f, own ? own : get(t, key), key, e);
}

static int open_fields(struct exam *t, const json_t *shots, struct err *e)
{
	if (exam_field_open(&t->text, get(t, "doc_to_text"), "doc_to_text", e) < 0 ||
	    exam_field_open(&t->target, get(t, "doc_to_target"), "doc_to_target", e) < 0 ||
	    exam_field_open(&t->choice, get(t, "doc_to_choice"), "doc_to_choice", e) < 0 ||
	    exam_field_open(&t->prefix, get(t, "gen_prefix"), "gen_prefix", e) < 0 ||
	    exam_field_open(&t->description, get(t, "description"), "description", e) < 0 ||
	    open_shot(&t->shot_text, t, shots, "doc_to_text", e) < 0 ||
	    open_shot(&t->shot_target, t, shots, "doc_to_target", e) < 0 ||
	    open_shot(&t->shot_choice, t, shots, "doc_to_choice", e) < 0 ||
	    open_shot(&t->shot_prefix, t, shots, "gen_prefix", e) < 0)
		return -1;
	if (!t->text.value || !t->target.value)
		return err_set(e, "%s is missing", t->text.value ? "doc_to_target" : "doc_to_text");
	if (t->output == EXAM_MULTIPLE_CHOICE && !t->choice.value)
		return err_set(e, "doc_to_choice is missing, which output_type multiple_choice wants");
	return text_in(t->config, "target_delimiter", " ", &t->target_delimiter, e) < 0 ||
	       text_in(t->config, "fewshot_delimiter", "\n\n", &t->fewshot_delimiter, e) < 0 ||
	       text_in(shots, "target_delimiter", t->target_delimiter, &t->shot_target_delimiter, e) < 0 ||
	       text_in(shots, "fewshot_delimiter", t->fewshot_delimiter, &t->shot_delimiter, e) < 0 ? -1 : 0;
}

static int open_filters(struct exam *t, struct err *e)
{
	const json_t *list = get(t, "filter_list");
	size_t i;
	json_t *one;

	if (!list) {
		t->filter[t->n_filters++] = exam_filter_first();
		return 0;
	}
	if (!json_is_array(list) || !json_array_size(list) || json_array_size(list) > EXAM_FILTERS)
		return err_set(e, "filter_list: a list of 1 to %d filters was wanted", EXAM_FILTERS);
	if (t->output != EXAM_GENERATE)
		return err_set(e, "filter_list: filters are of answers that are generated");
	json_array_foreach((json_t *)(uintptr_t)list, i, one) {
		if (exam_filter_open(&t->filter[t->n_filters], one, e) < 0)
			return -1;
		t->n_filters++;
	}
	return 0;
}

static int open_shots(struct exam *t, const json_t *shots, const struct exam_source *from, struct err *e)
{
	const char *sampler;

	if (shots && !json_is_object(shots))
		return refuse("fewshot_config", "a mapping", e);
	if (exam_keys(shots, known_shots, "fewshot_config: ", e) < 0 ||
	    text_in(shots, "sampler", "default", &sampler, e) < 0 ||
	    whole_in(t->config, "num_fewshot", 0, 0, 1000, &t->num_fewshot, e) < 0)
		return -1;
	t->first_n = !strcmp(sampler, "first_n");
	if (!t->first_n && strcmp(sampler, "default") != 0)
		return err_set(e, "fewshot_config: sampler %.80s is neither default nor first_n", sampler);
	if (json_object_get(shots, "process_docs"))
		return err_set(e, "fewshot_config: process_docs: !function is Python, which is not run here");
	if (from->num_fewshot < 0)
		return 0;
	if (json_is_integer(get(t, "num_fewshot")) && !t->num_fewshot && from->num_fewshot)
		log_say("%s: num_fewshot is 0 in its config, which stays", t->name);
	else
		t->num_fewshot = (int)from->num_fewshot;
	return 0;
}

/* --- rows --- */

static json_t *process(const struct exam *t, json_t *docs, struct err *e)
{
	json_t *made = json_array(), *doc;
	size_t i;

	if (!t->process_docs) {
		json_decref(made);
		return docs;
	}
	json_array_foreach(docs, i, doc) {
		json_t *one = t->process_docs->of_doc(doc, e);
		if (!one) {
			err_prefix(e, "row %zu", i + 1);
			json_decref(made);
			made = NULL;
			break;
		}
		json_array_append_new(made, one);
	}
	json_decref(docs);
	return made;
}

static json_t *split_of(const struct exam *t, const char *split, const struct exam_source *from, struct err *e)
{
	json_t *docs = exam_split(t, split, from, e);

	return docs ? process(t, docs, e) : NULL;
}

/* Only where examples are wanted: their rows need not be there else. */
static int open_pool(struct exam *t, const json_t *shots, const char *judged, const struct exam_source *from,
                     struct err *e)
{
	static const char *const in_order[] = { "training_split", "validation_split", "test_split" };
	const json_t *samples = json_object_get(shots, "samples"), *of = json_object_get(shots, "split"),
	             *test = get(t, "test_split");
	const char *split = json_string_value(of ? of : get(t, "fewshot_split"));

	if (!t->num_fewshot)
		return 0;
	t->own_rows = split ? test && !strcmp(split, json_string_value(test)) : !test;
	if (!split && samples) {
		if (!json_is_array(samples) || !json_array_size(samples))
			return refuse("fewshot_config: samples", "a list of rows", e);
		t->pool = json_incref((json_t *)(uintptr_t)samples);
		return 0;
	}
	for (size_t i = 0; !split && i < ARRAY_LEN(in_order); i++)
		split = json_string_value(get(t, in_order[i]));
	if (split && !strcmp(split, judged))
		t->pool = json_incref(t->docs);
	else if (split)
		t->pool = split_of(t, split, from, e);
	if (!t->pool)
		return split ? err_prefix(e, "examples") : err_set(e, "no split to draw examples from");
	size_t wanted = (size_t)t->num_fewshot + t->own_rows;
	return json_array_size(t->pool) >= wanted ?
		0 : err_set(e, "%d examples are wanted, and there are %zu rows", t->num_fewshot,
	                    json_array_size(t->pool));
}

static int open_docs(struct exam *t, const json_t *shots, const struct exam_source *from, struct err *e)
{
	const char *split = json_string_value(get(t, "test_split"));

	if (from->docs) {
		t->docs = json_incref(from->docs);
		return 0;
	}
	if (!split)
		split = json_string_value(get(t, "validation_split"));
	if (!split)
		return err_set(e, "neither test_split nor validation_split says which rows are judged");
	if (!(t->docs = split_of(t, split, from, e)))
		return -1;
	return open_pool(t, shots, split, from, e);
}

/* What the first row gives says what the others will. */
static int look_at_first(struct exam *t, struct err *e)
{
	const json_t *doc = json_array_get(t->docs, 0);
	json_t *text = exam_text(t, &t->text, doc, e), *target = text ? exam_target(t, &t->target, doc, e) : NULL;

	if (target) {
		t->multiple_input = json_is_integer(text) && t->choice.value;
		t->multiple_target = json_array_size(target);
	}
	json_decref(text);
	json_decref(target);
	if (!target)
		return err_prefix(e, "row 1");
	if (t->multiple_input && t->output != EXAM_MULTIPLE_CHOICE)
		return err_set(e, "doc_to_text says which of the choices it is: that is multiple_choice's");
	return 0;
}

static int open_all(struct exam *t, const struct exam_source *from, struct err *e)
{
	const json_t *shots = get(t, "fewshot_config");

	if (exam_keys(t->config, known, "", e) < 0 || open_output(t, e) < 0 || open_shots(t, shots, from, e) < 0 ||
	    open_function(t, "process_docs", &t->process_docs, e) < 0 ||
	    open_function(t, "process_results", &t->process_results, e) < 0 || open_fields(t, shots, e) < 0 ||
	    whole_in(t->config, "repeats", 1, 1, 10000, &t->repeats, e) < 0 || open_filters(t, e) < 0 ||
	    exam_metrics_open(t, e) < 0)
		return -1;
	if (json_is_true(get(t, "unsafe_code")))
		return err_set(e, "unsafe_code: code that a model writes is not run here");
	if (get(t, "generation_kwargs") && !json_is_object(get(t, "generation_kwargs")))
		return refuse("generation_kwargs", "a mapping", e);
	return open_docs(t, shots, from, e) < 0 ? -1 : look_at_first(t, e);
}

int exam_open(struct exam *t, const json_t *config, const char *folder, const struct exam_source *from, struct err *e)
{
	*t = (struct exam){ .config = json_deep_copy(config), .folder = mem_strdup(folder), .own = from->own };
	t->name = json_string_value(json_object_get(t->config, "task"));
	if (!t->name)
		BUG("a task without a name");
	if (text_in(t->config, "task_alias", t->name, &t->alias, e) < 0 || open_all(t, from, e) < 0) {
		err_prefix(e, "%.80s", t->name);
		exam_release(t);
		return -1;
	}
	return 0;
}

void exam_release(struct exam *t)
{
	struct exam_field *const fields[] = { &t->text, &t->target, &t->choice, &t->prefix, &t->description,
		                              &t->shot_text, &t->shot_target, &t->shot_choice, &t->shot_prefix };

	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		exam_field_release(fields[i]);
	for (size_t i = 0; i < t->n_filters; i++)
		exam_filter_free(t->filter[i]);
	exam_metrics_release(t);
	json_decref(t->docs);
	json_decref(t->pool);
	json_decref(t->config);
	mem_free(t->folder);
	arena_release(&t->mem);
	*t = (struct exam){ 0 };
}
