/* keep_layers: see keep_layers.h. Names are those of the layers' new numbers; config.json has as many layers, and of a
 * list of one word for each layer the words of those that stay. */
#include "model/keep_layers.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/weights.h"

/* Those whose blocks are one function whatever the layer's number. */
static const char *const alike[] = { "llama", "mistral", "mixtral", "qwen2", "qwen3", "phi3", "granite", "olmo2",
	                             "olmoe", "gpt2", "gpt_neox", "stablelm", NULL };
static const char *const counts[] = { "num_hidden_layers", "n_layer", NULL };

static bool is_among(const char *const *list, const char *word)
{
	for (; *list; list++)
		if (!strcmp(*list, word))
			return true;
	return false;
}

static int refuse(const char *what, int layers, struct err *e)
{
	return err_set(e, "--student-layers %.80s: how many of the model's %d layers, or their numbers in rising "
	                  "order, as 0,2,5, was wanted", what, layers);
}

/* keep[layers]: of each layer its new number, −1; how many stay. */
static int choose(const char *what, int layers, int *keep, struct err *e)
{
	bool list = strchr(what, ',') != NULL;
	long last = -1;
	int n = 0;

	for (int i = 0; i < layers; i++)
		keep[i] = -1;
	for (const char *at = what; *at;) {
		char *end;
		long x = isdigit((unsigned char)*at) ? strtol(at, &end, 10) : -1;
		if (x < 0 || (*end && *end != ',') || x <= last || x > layers - (list ? 1 : 0))
			return refuse(what, layers, e);
		if (list)
			keep[x] = n++;
		last = x;
		at = end + (*end == ',');
	}
	if (list || last < 1)
		return list ? n : refuse(what, layers, e);
	for (n = 0; n < last; n++)
		keep[last == 1 ? 0 : n * (layers - 1) / (last - 1)] = n;
	return n;
}

/* A list of one word for each layer. */
static json_t *kept_words(const json_t *list, const int *keep)
{
	json_t *out = json_array(), *word;
	size_t i;

	json_array_foreach(list, i, word)
		if (keep[i] >= 0)
			json_array_append(out, word);
	return out;
}

static int change_config(struct model *m, const int *keep, int n, struct err *e)
{
	json_t *config = m->source.config, *types = json_object_get(config, "layer_types");
	int layers = m->config.n_layers;

	for (size_t i = 0; counts[i]; i++)
		if (json_is_integer(json_object_get(config, counts[i])))
			json_object_set_new(config, counts[i], json_integer(n));
	if (!json_is_array(types))
		return 0;
	if (json_array_size(types) != (size_t)layers)
		return err_set(e, "%s: layer_types has %zu words, and there are %d layers", m->source.path,
		               json_array_size(types), layers);
	json_object_set_new(config, "layer_types", kept_words(types, keep));
	return 0;
}

/* Those that stay, of their new layers. */
static void keep_weights(struct model *m, const int *keep)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_weights; i++) {
		struct weight *w = &m->weights[i];
		if (w->layer >= 0 && keep[w->layer] < 0) {
			weight_release(w);
			continue;
		}
		if (w->layer >= 0) {
			w->layer = keep[w->layer];
			w->name = weight_name(&m->mem, w->spec->hf, w->layer, w->expert);
		}
		m->weights[n++] = *w;
	}
	m->n_weights = n;
}

int model_keep_layers(struct model *m, const char *what, struct err *e)
{
	int layers = m->config.n_layers, *keep = mem_array((size_t)layers, sizeof(*keep));
	int n = is_among(alike, m->config.arch->name) ?
	                choose(what, layers, keep, e) :
	                err_set(e, "--student-layers: the layers of %s differ by their number, so that none can be "
	                           "left out", m->config.arch->name);

	int status = n < 0 ? -1 : change_config(m, keep, n, e);
	if (status == 0) {
		keep_weights(m, keep);
		m->config.n_layers = n;
	}
	mem_free(keep);
	return status;
}
