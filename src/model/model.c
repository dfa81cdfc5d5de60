/* model: opens a source and finds its architecture, whose tables then say how facts (config.c) and weights (weights.c)
 * are read; and finds weights again by their names. */
#include "model/model.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "model/classifier.h"
#include "model/config.h"
#include "model/nearest.h"
#include "model/weights.h"
#include "token/tokenizer.h"

/* --- the architecture --- */

/* Is the file one of the architecture's? */
static bool is_of(const struct gguf *g, const char *name, const struct arch *a, bool with)
{
	struct err e = ERR_INIT;
	char key[160];
	int64_t n = 0;

	if (!a->gguf || strcmp(a->gguf, name) != 0 || (a->gguf_with != NULL) != with)
		return false;
	snprintf(key, sizeof(key), "%s.%s", name, with ? a->gguf_with : "");
	return !with || (gguf_int(g, key, false, 0, &n, &e) == 0 && n > 0);
}

static int arch_of_gguf(struct model *m, struct err *e)
{
	const struct gguf *g = &m->source.gguf;
	const char *name;

	if (gguf_str(g, "general.architecture", true, &name, e) < 0)
		return -1;
	for (int with = 1; with >= 0; with--)
		for (size_t i = 0; arch_table[i]; i++)
			if (is_of(g, name, arch_table[i], with)) {
				m->config.arch = arch_table[i];
				return 0;
			}
	return nearest_refuse(&m->source, g->path, name, e);
}

static int arch_of_folder(struct model *m, const char *where, struct err *e)
{
	const char *type = json_string_value(json_object_get(m->source.config, "model_type"));

	for (size_t i = 0; arch_table[i]; i++)
		for (const char *const *t = arch_table[i]->hf_types; type && *t; t++)
			if (!strcmp(*t, type)) {
				m->config.arch = arch_table[i];
				return 0;
			}
	return nearest_refuse(&m->source, where, type ? type : "(no model_type)", e);
}

int model_read_facts(struct model *m, const char *where, struct err *e)
{
	const struct source *s = &m->source;

	if ((s->is_gguf ? arch_of_gguf(m, e) : arch_of_folder(m, where, e)) < 0)
		return -1;
	m->config.own = arena_alloc(&m->mem, m->config.arch->own_bytes + 1);
	struct config_source facts = { .json = s->config, .gguf = s->is_gguf ? &s->gguf : NULL, .where = where };
	return config_read(&m->config, &facts, e) < 0 ? -1 : classifier_read(m, where, e);
}

/* Facts, then weights by them. */
static int open_parts(struct model *m, bool weights, struct err *e)
{
	char where[512];

	snprintf(where, sizeof(where), "%s%s", m->source.path, m->source.is_gguf ? "" : "/config.json");
	if (model_read_facts(m, where, e) < 0)
		return -1;
	return !weights ? 0 : weights_load(m, e) < 0 ? -1 : classifier_open(m, where, e);
}

static int open_model(struct model *m, const char *path, bool weights, struct err *e)
{
	*m = (struct model){ 0 };
	if ((weights ? source_open : source_open_facts)(&m->source, path, e) < 0)
		return -1;
	if (open_parts(m, weights, e) == 0)
		return 0;
	model_close(m);
	return -1;
}

int model_open(struct model *m, const char *path, struct err *e) { return open_model(m, path, true, e); }

int model_open_facts(struct model *m, const char *path, struct err *e) { return open_model(m, path, false, e); }

int model_tokenizer_whole(struct model *m, struct err *e)
{
	const struct source *s = &m->source;

	if (m->tokenizer)
		return 0;
	struct tokenizer *t = s->is_gguf ? tokenizer_from_gguf(&s->gguf, e) : tokenizer_from_dir(s->path, e);
	if (!t)
		return -1;
	if (tokenizer_bound(t, (size_t)m->config.V, s->path, e) < 0) {
		tokenizer_free(t);
		return -1;
	}
	m->tokenizer = t;
	return 0;
}

int model_tokenizer(struct model *m, struct err *e)
{
	if (m->tokenizer)
		return 0;
	if (model_tokenizer_whole(m, e) < 0)
		return -1;
	struct around around = tokenizer_around(m->tokenizer);
	if (around.n_back && !m->config.arch->encoder) /* which is for what puts it there */
		log_warn("the tokenizer puts \"%s\" behind every text, which is not done here: a text ends as it is",
		         tokenizer_text(m->tokenizer, around.back[0]));
	return 0;
}

void model_close(struct model *m)
{
	weights_release(m);
	if (m->tokenizer)
		tokenizer_free(m->tokenizer);
	source_close(&m->source);
	arena_release(&m->mem);
	*m = (struct model){ 0 };
}

/* --- looking things up --- */

int model_weight(const struct model *m, const char *spec_hf, int layer)
{
	for (size_t i = 0; i < m->n_weights; i++)
		if ((m->weights[i].layer == layer || m->weights[i].layer < 0) &&
		    !strcmp(m->weights[i].spec->hf, spec_hf))
			return (int)i;
	return -1;
}

int model_weight_by_name(const struct model *m, const char *name)
{
	for (size_t i = 0; i < m->n_weights; i++)
		if (!strcmp(m->weights[i].name, name))
			return (int)i;
	return -1;
}

int model_types(const struct model *m)
{
	static const char end[] = "token_type_embeddings.weight";

	for (size_t i = 0; i < m->n_weights; i++)
		if (text_ends(m->weights[i].spec->hf, end))
			return (int)m->weights[i].dim[0];
	return 0;
}

bool model_has_part(const struct model *m, unsigned part)
{
	for (size_t i = 0; i < m->n_weights; i++)
		if ((m->weights[i].spec->flags & WEIGHT_PARTS) == part)
			return true;
	return false;
}

bool model_predicts(const struct model *m)
{
	return !m->labels && (!m->config.arch->encoder || model_has_part(m, WEIGHT_OF_HEAD));
}

int model_want_causal(const struct model *m, struct err *e)
{
	const struct arch *a = m->config.arch;

	if (m->labels)
		return err_set(e, "%s: a model with a head that classifies (%d labels) predicts no next token: it is "
		                  "for kungfu classify and eval", m->source.path, m->labels->n);
	if (!a->encoder)
		return 0;
	const char *head = model_predicts(m) ? "is trained by kungfu tune --objective mlm" : "is not in its files";
	return err_set(e, "%s: an encoder (%s) sees a text both ways and predicts no next token: it is for embeddings "
	                  "(kungfu embed) and labels (kungfu tune --objective classification); its head of masked "
	                  "tokens %s", m->source.path, a->name, head);
}

int model_want_masked(const struct model *m, struct err *e)
{
	const struct arch *a = m->config.arch;

	if (m->labels)
		return err_set(e, "%s: a model with a head that classifies (%d labels) predicts no hidden tokens",
		               m->source.path, m->labels->n);
	if (!a->encoder)
		return err_set(e, "%s: a decoder (%s) predicts the next token, not those that are hidden; "
		                  "--objective sft trains it", m->source.path, a->name);
	return model_predicts(m) ? 0 : err_set(e, "%s: an encoder without its head of masked tokens predicts none",
	                                       m->source.path);
}

size_t model_count(const struct model *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_weights; i++)
		n += weight_numbers(&m->weights[i]);
	return n;
}

int model_experts(const struct model *m, int *of)
{
	int64_t k = config_value(&m->config, "K", 1), n = config_value(&m->config, "E", 1);

	*of = n > 0 ? (int)n : 0;
	return *of && k > 0 ? (int)k : 0;
}

size_t model_count_active(const struct model *m)
{
	size_t all = 0, experts = 0;
	int of, k = model_experts(m, &of);

	for (size_t i = 0; i < m->n_weights; i++)
		*(m->weights[i].expert < 0 ? &all : &experts) += weight_numbers(&m->weights[i]);
	return all + (of ? experts / (size_t)of * (size_t)k : experts);
}

int model_head(const struct model *m)
{
	const struct arch *a = m->config.arch;

	return model_weight(m, m->config.tied ? a->embedding : a->head, -1);
}

enum param_role weight_role(const struct weight *w)
{
	bool head = (w->spec->flags & WEIGHT_HEAD) || (w->spec->flags & WEIGHT_PARTS) == WEIGHT_OF_CLASSIFIER;

	return w->n_dims < 2 ? PARAM_VECTOR : w->spec->flags & WEIGHT_EMBED ? PARAM_EMBEDDING :
	       head ? PARAM_HEAD : PARAM_MATRIX;
}

struct weight model_tied_head(const struct model *m)
{
	const struct arch *a = m->config.arch;
	struct weight w = m->weights[model_head(m)];
	const struct weight_spec *spec = weight_spec(a, a->head);

	if (!m->config.tied || !spec)
		BUG("%s is no tied model whose table has a %s", a->name, a->head);
	w.spec = spec;
	w.name = (char *)(uintptr_t)a->head;
	return w;
}

int model_same_weights(const struct model *a, const struct model *b, const char *name, struct err *e)
{
	if (a->config.arch != b->config.arch)
		return err_set(e, "%s is of the architecture %s, the first model of %s", name, b->config.arch->name,
		               a->config.arch->name);
	for (size_t i = 0; i < MIN(a->n_weights, b->n_weights); i++) {
		const struct weight *x = &a->weights[i], *y = &b->weights[i];
		if (strcmp(x->name, y->name))
			return err_set(e, "%s has a weight '%s' where the first has '%s'", name, y->name, x->name);
		if (x->n_dims != y->n_dims || memcmp(x->dim, y->dim, (size_t)x->n_dims * sizeof(*x->dim)) != 0)
			return err_set(e, "%s: '%s' has another shape than in the first model", name, x->name);
	}
	if (a->n_weights != b->n_weights || a->config.tied != b->config.tied)
		return err_set(e, "%s has %zu weights, the first model %zu: in one of them head and embedding are one",
		               name, b->n_weights, a->n_weights);
	return 0;
}
