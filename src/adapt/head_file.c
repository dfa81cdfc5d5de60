/* head_file: see head_file.h. */
#include "adapt/head_file.h"

#include <string.h>

#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "format/pytorch.h"
#include "model/classifier.h"
#include "model/labels.h"

const char head_file[] = "model_head.safetensors";
static const char OLD[] = "pytorch_model_head.bin", CONFIG[] = "head_config.json",
                  CLASS[] = "ForSequenceClassification";

bool head_file_owns(const struct adapter *a, const struct model *m, const struct param *p)
{
	return a->type->head_apart && p->weight >= 0 && p->weight < (int)m->n_weights &&
	       classifier_owns(&m->weights[p->weight]);
}

/* --- written --- */

int head_file_save_config(const struct adapter *a, const struct model *m, const char *dir, struct err *e)
{
	json_t *labels = labels_json(m->labels), *of = a->config;
	char *path = io_join(dir, CONFIG);
	json_t *j = json_pack("{s:n, s:O, s:O, s:O, s:O, s:O, s:n, s:i, s:O}", "config", "hidden_size",
	                      json_object_get(of, "hidden_size"), "label2id", json_object_get(labels, "label2id"),
	                      "model_class", json_object_get(of, "model_class"), "model_name",
	                      json_object_get(of, "model_name"), "model_type", json_object_get(of, "model_type"),
	                      "name", "num_labels", m->labels->n, "version", json_object_get(of, "version"));

	if (!j)
		BUG("a head's config that cannot be packed");
	int status = jsonx_write_file(path, j, e);
	json_decref(j);
	json_decref(labels);
	mem_free(path);
	return status;
}

/* --- read --- */

/* {"0": "yes"} of {"yes": 0}, in mem; NULL and a sentence. */
static const char *names_of(struct arena *mem, const json_t *config, const char *path, struct err *e)
{
	json_t *id2label = json_object(), *number;
	const char *name;

	json_object_foreach(json_object_get(config, "label2id"), name, number) {
		char key[32];
		snprintf(key, sizeof(key), "%lld", (long long)json_integer_value(number));
		if (!json_is_integer(number) || json_object_get(id2label, key)) {
			json_decref(id2label);
			err_set(e, "%s: label2id gives '%.80s' no number of its own", path, name);
			return NULL;
		}
		json_object_set_new(id2label, key, json_string(name));
	}
	char *line = jsonx_line(id2label);
	const char *kept = arena_strdup(mem, line);
	mem_free(line);
	json_decref(id2label);
	return kept;
}

/* Those of s, then those of the head; s has them afterwards. */
static int add_tensors(struct safetensors *s, const struct safetensors *head, const char *names, struct err *e)
{
	struct st_tensor *all = arena_array(&s->mem, s->n_tensors + head->n_tensors, sizeof(*all));
	struct st_meta *meta = arena_array(&s->mem, s->n_meta + head->n_meta + 1, sizeof(*meta));

	for (size_t i = 0; i < s->n_tensors; i++)
		all[i] = s->tensors[i];
	for (size_t i = 0; i < head->n_tensors; i++) {
		struct st_tensor *t = &all[s->n_tensors + i];
		void *data = arena_alloc(&s->mem, MAX(head->tensors[i].bytes, (size_t)1));
		*t = head->tensors[i];
		t->name = arena_strdup(&s->mem, t->name);
		t->dtype_name = t->dtype_name ? arena_strdup(&s->mem, t->dtype_name) : NULL;
		t->data = t->bytes ? memcpy(data, head->tensors[i].data, t->bytes) : data;
	}
	for (size_t i = 0; i < s->n_meta; i++)
		meta[i] = s->meta[i];
	for (size_t i = 0; i < head->n_meta; i++)
		meta[s->n_meta + i] = (struct st_meta){ arena_strdup(&s->mem, head->meta[i].key),
			                                arena_strdup(&s->mem, head->meta[i].value) };
	meta[s->n_meta + head->n_meta] = (struct st_meta){ "id2label", names };
	s->tensors = all;
	s->n_tensors += head->n_tensors;
	s->meta = meta;
	s->n_meta += head->n_meta + 1;
	return st_sort(s, e);
}

/* The class that the head's config names, in j; NULL: there is no head, or none that is read. */
static const char *class_of(const json_t *j, const char *path)
{
	const char *class = json_string_value(json_object_get(j, "model_class"));

	if (class && text_ends(class, CLASS) && json_is_null(json_object_get(j, "config")))
		return class;
	log_warn("%s: a head of %s, which is not read: the model's own head stays", path, class ? class : "no class");
	return NULL;
}

static int read_head(struct safetensors *s, json_t *config, const char *dir, const json_t *j, const char *path,
                     struct err *e)
{
	char *weights = io_join(dir, head_file), *bin = io_join(dir, OLD);
	struct safetensors head = { 0 };
	bool old = !io_exists(weights);
	const char *names = names_of(&s->mem, j, path, e);
	int status = !names ? -1 : old ? pytorch_open(&head, bin, e) : st_open(&head, weights, e);

	if (status == 0)
		status = add_tensors(s, &head, names, e);
	if (status == 0)
		json_object_set_new(config, "task_type", json_string("SEQ_CLS"));
	st_close(&head);
	mem_free(weights);
	mem_free(bin);
	return status;
}

int head_file_read(struct safetensors *s, json_t *config, const char *dir, struct err *e)
{
	char *path = io_join(dir, CONFIG);
	json_t *j = NULL;
	int status = 0;

	if (io_exists(path)) {
		j = jsonx_load_file(path, e);
		status = !j ? -1 : class_of(j, path) ? read_head(s, config, dir, j, path, e) : 0;
	}
	json_decref(j);
	mem_free(path);
	return status;
}
