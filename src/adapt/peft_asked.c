/* peft_asked: what options say of layers, ranks and alphas, as PEFT's config has it. Refused is what PEFT refuses, and
 * a name or number that means nothing in the model: in a file it would be ignored. */
#include "adapt/peft_asked.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "adapt/target_modules.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "model/weights.h"

/* Adds the numbers of "20-29" or "3" at *at, which goes on after them. */
static int add_layers(json_t *list, const char **at, long n_layers)
{
	char *end;
	long first = strtol(*at, &end, 10), last = first;
	bool fine = end != *at;

	if (fine && *end == '-') {
		*at = end + 1;
		last = strtol(*at, &end, 10);
		fine = end != *at;
	}
	*at = end;
	for (long i = first; fine && first >= 0 && last < n_layers && i <= last; i++)
		json_array_append_new(list, json_integer(i));
	return fine && first >= 0 && first <= last && last < n_layers && strchr(", \t", *end) ? 0 : -1;
}

/* "0,1,20-29" as a list of numbers, new; NULL and a sentence. */
static json_t *layer_list(const struct model *m, const char *text, struct err *e)
{
	json_t *list = json_array();
	int status = 0;

	for (const char *at = text + strspn(text, ", \t"); *at && status == 0; at += strspn(at, ", \t"))
		status = add_layers(list, &at, m->config.n_layers);
	if (status == 0)
		return list;
	json_decref(list);
	err_set(e, "layers_to_transform: '%.80s' is no list of layers as 0,1,20-29; this model has layers 0 to %d",
	        text, m->config.n_layers - 1);
	return NULL;
}

/* The layers, and what stands before their numbers; PEFT refuses the same. */
static int put_layers(json_t *config, const struct model *m, const struct adapter_targets *on, struct err *e)
{
	if (on->layers_pattern && !on->layers_to_transform)
		return err_set(e, "layers_pattern says where layers_to_transform finds a layer's number, and that is "
		                  "not given");
	if (!on->layers_to_transform)
		return 0;
	const char *full = target_in_full(config, m);
	if (full || json_is_string(json_object_get(config, "target_modules")))
		return err_set(e, "layers_to_transform chooses among modules that target_modules means by the ends of "
		                  "their names, and that is %s%.80s",
		               full ? "the whole name " : "an expression", full ? full : "");
	json_t *list = layer_list(m, on->layers_to_transform, e);
	if (!list)
		return -1;
	json_object_set_new(config, "layers_to_transform", list);
	if (on->layers_pattern)
		json_object_set_new(config, "layers_pattern", target_split(on->layers_pattern));
	return 0;
}

/* A number, or one of two words where they are allowed; NULL: neither. New. */
static json_t *value_of(const char *text, bool words)
{
	char *end;
	double x = strtod(text, &end);

	if (words && (!strcmp(text, "true") || !strcmp(text, "false")))
		return json_boolean(text[0] == 't');
	if (end == text || *end || !isfinite(x))
		return NULL;
	return x == (double)(long)x ? json_integer((long)x) : json_real(x);
}

json_t *peft_object(const char *key, const char *text, bool words, struct err *e)
{
	if (text[strspn(text, " \t")] == '{')
		return jsonx_load(text, strlen(text), key, e);
	json_t *object = json_object(), *parts = target_split(text), *part;
	size_t i;
	json_array_foreach(parts, i, part) {
		const char *word = json_string_value(part), *is = strrchr(word, '=');
		json_t *value = is && is != word ? value_of(is + 1, words) : NULL;
		if (!value) {
			err_set(e, "%s: '%.80s' is no NAME=NUMBER", key, word);
			json_decref(object);
			object = NULL;
			break;
		}
		json_object_setn_new(object, word, (size_t)(is - word), value);
	}
	json_decref(parts);
	return object;
}

/* Whether the key means a module of the model, or a parameter: 1, 0, −1 and a sentence. most: the rows and columns of
 * the largest that it means. */
static int key_means(const char *key, const struct model *m, bool parameters, size_t *most, struct err *e)
{
	struct arena mem = ARENA_INIT;
	struct weight head = m->config.tied ? model_tied_head(m) : (struct weight){ 0 };
	json_t *one = json_pack("{s:n}", key);
	int status = 0;

	*most = 0;
	for (size_t i = 0; i < m->n_weights + m->config.tied && status == 0; i++) {
		const struct weight *w = i < m->n_weights ? &m->weights[i] : &head;
		const json_t *hit = NULL;
		status = target_pattern(one, weight_module(&mem, w->name), &hit, e);
		if (parameters && i < m->n_weights && w->expert <= 0 && !hit && status == 0)
			status = target_pattern(one, target_parameter(&mem, w), &hit, e);
		if (hit)
			*most = MAX(*most, w->n_dims == 2 ? MIN(w->dim[0], w->dim[1]) : 1);
	}
	json_decref(one);
	arena_release(&mem);
	return status < 0 ? -1 : *most > 0;
}

static int put_pattern(json_t *config, const struct model *m, const char *name, const char *text, struct err *e)
{
	json_t *object = text ? peft_object(name, text, false, e) : NULL, *value;
	const char *key;

	if (!object)
		return text ? -1 : 0;
	json_object_set_new(config, name, object);
	json_object_foreach(object, key, value) {
		size_t most;
		int means = key_means(key, m, json_array_size(json_object_get(config, "target_parameters")) > 0, &most,
		                      e);
		if (means < 0)
			return -1;
		if (!means)
			return err_set(e, "%s: no module of this model has a name that ends in '%.80s'", name, key);
		if (!json_is_number(value))
			return peft_refuse(name, value, e);
		if (!strcmp(name, PEFT_RANKS) && json_number_value(value) > (double)most)
			return err_set(e, "%s: a rank of %g, and of the modules that '%.80s' means none has more than "
			                  "%zu rows and columns: at most so many", name, json_number_value(value), key,
			               most);
	}
	return 0;
}

int peft_put_asked(json_t *config, const struct model *m, const struct adapter_targets *on, struct err *e)
{
	if (put_layers(config, m, on, e) < 0)
		return -1;
	if (put_pattern(config, m, PEFT_RANKS, on->rank_pattern, e) < 0)
		return -1;
	return put_pattern(config, m, PEFT_ALPHAS, on->alpha_pattern, e);
}
