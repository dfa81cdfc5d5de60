/* method_full: full tuning, of every weight or of those that are named; the others are frozen, so they have no gradient
 * and no state, and nothing is computed backward below the lowest that is trained.
 *
 * --trainable is a list of names or one expression. A name means each weight in whose name its parts stand one after
 * the other: "norm" is model.norm.weight and no model.layers.0.input_layernorm.weight, "layers.2" all of that layer,
 * "mlp" every feed-forward, "bias" all biases. An expression is for whole names of weights or of modules, and known by
 * its signs, as PEFT's target_modules is.
 * --trainable-layers names layers by their number; both together mean what either means. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapt/target_modules.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "model/weights.h"
#include "train/method.h"

const struct opt method_full_opts[] = {
	OPT_STRING("trainable", struct method_full, trainable, NULL, "LIST",
	           "only these weights, by Hugging Face's names: names or parts of them (norm, layers.2, "
	           "embed_tokens), or one expression"),
	OPT_STRING("trainable-layers", struct method_full, layers, NULL, "first:N|last:N",
	           "only the weights of so many layers"),
	OPT_END
};

/* --- layers --- */

/* Marks the layers that `text` means. */
static int mark_layers(const char *text, const struct model *m, bool *which, struct err *e)
{
	const char *colon = strchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;
	bool first = len == 5 && !strncmp(text, "first", len), last = len == 4 && !strncmp(text, "last", len);
	char *end = NULL;
	long n = colon ? strtol(colon + 1, &end, 10) : 0, layers = m->config.n_layers;

	if ((!first && !last) || end == colon + 1 || *end)
		return err_set(e, "--trainable-layers %.80s: first:N or last:N was wanted, as last:2", text);
	if (n < 1 || n > layers)
		return err_set(e, "--trainable-layers %.80s: the model has %ld layers, 1 to %ld was wanted", text,
		               layers, layers);
	for (size_t i = 0; i < m->n_weights; i++) {
		long layer = m->weights[i].layer;
		which[i] |= layer >= 0 && (first ? layer < n : layer >= layers - n);
	}
	return 0;
}

/* --- names --- */

/* Whether the parts of `entry` stand one after the other in `name`. */
static bool stands_in(const char *entry, const char *name)
{
	size_t n = strlen(entry);

	for (const char *at = name, *dot; ; at = dot + 1) {
		if (!strncmp(at, entry, n) && (at[n] == 0 || at[n] == '.'))
			return true;
		if (!(dot = strchr(at, '.')))
			return false;
	}
}

static int refuse_name(const char *entry, const struct model *m, struct err *e)
{
	struct arena mem = ARENA_INIT;
	const char *head = m->config.arch->head;

	if (m->config.tied && head && stands_in(entry, head))
		err_set(e, "--trainable: '%.80s' is the embedding of this model, %s means both", entry,
		        weight_module(&mem, m->config.arch->embedding));
	else
		err_set(e, "--trainable: no weight of this model is called '%.80s'; its first are %s and %s, its "
		           "linears %s", entry, m->weights[0].name, m->weights[m->n_weights > 1].name,
		        target_names(&mem, m));
	arena_release(&mem);
	return -1;
}

static int mark_names(const json_t *list, const struct model *m, bool *which, struct err *e)
{
	json_t *entry;
	size_t i;
	int status = json_array_size(list) ? 0 : err_set(e, "--trainable names nothing");

	json_array_foreach(list, i, entry) {
		const char *name = json_string_value(entry);
		bool used = false;
		for (size_t w = 0; w < m->n_weights; w++)
			if (stands_in(name, m->weights[w].name))
				which[w] = used = true;
		if (!used && status == 0)
			status = refuse_name(name, m, e);
	}
	return status;
}

static int mark_expression(const char *text, const struct model *m, bool *which, struct err *e)
{
	struct arena mem = ARENA_INIT;
	bool used = false;
	int hit = 0;

	for (size_t i = 0; i < m->n_weights && hit >= 0; i++) {
		hit = target_expression(text, m->weights[i].name, e);
		if (hit == 0)
			hit = target_expression(text, weight_module(&mem, m->weights[i].name), e);
		which[i] |= hit > 0;
		used |= hit > 0;
	}
	arena_release(&mem);
	if (hit < 0)
		return err_prefix(e, "--trainable");
	return used ? 0 : err_set(e, "--trainable: the expression '%.80s' is no weight's whole name, as %s is", text,
	                          m->weights[m->n_weights > 1].name);
}

static int mark(const struct method_full *o, const struct model *m, bool *which, struct err *e)
{
	const char *text = o->trainable;
	int status;

	if (o->layers && mark_layers(o->layers, m, which, e) < 0)
		return -1;
	if (!text)
		return 0;
	if (!utf8_valid(text, strlen(text), NULL))
		return err_set(e, "--trainable: the names are not UTF-8");
	json_t *words = target_words(text);
	status = json_is_string(words) ? mark_expression(text, m, which, e) : mark_names(words, m, which, e);
	json_decref(words);
	return status;
}

int method_full_overlay(struct overlay *o, const struct model *m, const struct method_full *options, struct err *e)
{
	overlay_init(o, m);
	if (!options->trainable && !options->layers) {
		overlay_replace_all(o, m);
		return 0;
	}
	bool *which = mem_array(m->n_weights, sizeof(*which));
	int status = mark(options, m, which, e);
	if (status == 0)
		overlay_replace(o, m, which);
	mem_free(which);
	return status;
}
