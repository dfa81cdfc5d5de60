/* model: opens a source, finds its architecture and fills the architecture's table of weights.
 *
 * Matrices stay where the file has them; vectors (norms, biases) become f32, and GPT-2's transposed matrices are
 * transposed round once. Every tensor of the file must have a row in the table: one that nothing is computed with would
 * make the model another one, silently. */
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/config.h"
#include "model/weights.h"
#include "quant/panels.h"
#include "token/tokenizer.h"

/* --- names and shapes --- */

static bool repeats(const char *pattern) { return strstr(pattern, "%d") != NULL; }

/* Is name the pattern with a layer below n in its place? */
static bool matches(const char *pattern, const char *name, int n)
{
	const char *mark = strstr(pattern, "%d");
	size_t head = mark ? (size_t)(mark - pattern) : 0;
	char *end;

	if (!mark)
		return !strcmp(pattern, name);
	if (strncmp(pattern, name, head) != 0 || name[head] < '0' || name[head] > '9')
		return false;
	return strtol(name + head, &end, 10) < n && !strcmp(end, mark + 2);
}

static size_t letter_value(const struct config *c, char letter)
{
	switch (letter) {
	case 'C': return (size_t)c->C;
	case 'H': return (size_t)c->H;
	case 'G': return (size_t)c->G;
	case 'D': return (size_t)c->D;
	case 'F': return (size_t)c->F;
	case 'V': return (size_t)c->V;
	case 'P': return (size_t)c->n_ctx;
	default:
		if (letter >= '0' && letter <= '9')
			return (size_t)(letter - '0');
		BUG("shape letter %c", letter);
	}
}

/* All dimensions are at most CONFIG_MAX, products of three fit. */
static void shape_of(const struct config *c, struct weight *w)
{
	w->n_dims = 1;
	w->dim[0] = 1;
	for (const char *s = w->spec->shape; *s; s++) {
		if (*s == ',')
			w->dim[w->n_dims++] = 1;
		else
			w->dim[w->n_dims - 1] *= letter_value(c, *s);
	}
}

/* --- the architecture --- */

static int unknown_arch(const char *where, const char *found, bool gguf, struct err *e)
{
	char list[256] = "";

	for (size_t i = 0; arch_table[i]; i++)
		if (!gguf || arch_table[i]->gguf)
			snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", list[0] ? ", " : "",
			         arch_table[i]->name);
	return err_set(e, "%s: the architecture is \"%s\", wanted one of: %s", where, found, list);
}

static int arch_of_gguf(struct model *m, struct err *e)
{
	const struct gguf *g = &m->source.gguf;
	const char *name;

	if (gguf_str(g, "general.architecture", true, &name, e) < 0)
		return -1;
	for (size_t i = 0; arch_table[i]; i++)
		if (arch_table[i]->gguf && !strcmp(arch_table[i]->gguf, name)) {
			m->config.arch = arch_table[i];
			return arch_table[i]->config_gguf(&m->config, g, e);
		}
	return unknown_arch(g->path, name, true, e);
}

static int arch_of_folder(struct model *m, struct err *e)
{
	char where[512];
	const char *type = json_string_value(json_object_get(m->source.config, "model_type"));

	snprintf(where, sizeof(where), "%s/config.json", m->source.path);
	for (size_t i = 0; arch_table[i]; i++)
		for (const char *const *t = arch_table[i]->hf_types; type && *t; t++)
			if (!strcmp(*t, type)) {
				m->config.arch = arch_table[i];
				return arch_table[i]->config_hf(&m->config, m->source.config, where, e);
			}
	return unknown_arch(where, type ? type : "(no model_type)", false, e);
}

/* --- weights --- */

/* The tensor under its name, or under the one that files of the model without its head use. */
static int find_tensor(const struct model *m, const struct weight *w, struct source_tensor *out)
{
	const char *prefix = m->config.arch->prefix;

	if (m->source.is_gguf) {
		struct arena names = ARENA_INIT;
		int status = source_find(&m->source, weight_name(&names, w->spec->gguf, w->layer), out);
		arena_release(&names);
		return status;
	}
	if (source_find(&m->source, w->name, out) == 0)
		return 0;
	return strncmp(w->name, prefix, strlen(prefix)) ? 1 : source_find(&m->source, w->name + strlen(prefix), out);
}

static int check_tensor(const struct model *m, const struct weight *w, const struct source_tensor *t, struct err *e)
{
	bool transposed = !m->source.is_gguf && (w->spec->flags & WEIGHT_TRANSPOSED) && w->n_dims == 2;
	size_t want[2] = { w->dim[transposed ? 1 : 0], w->dim[transposed ? 0 : 1] };

	if (t->dtype == DTYPE_COUNT || !dtypes[t->dtype].to_float)
		return err_set(e, "%s: the tensor %s holds %s, which is not computed with", m->source.path, t->name,
		               t->dtype_name);
	if (t->n_dims == w->n_dims && t->dim[0] == want[0] && (w->n_dims == 1 || t->dim[1] == want[1]))
		return 0;
	if (w->n_dims == 1)
		return err_set(e, "%s: the tensor %s has %d dimensions and %zu rows, wanted %zu numbers",
		               m->source.path, t->name, t->n_dims, t->dim[0], want[0]);
	return err_set(e, "%s: the tensor %s is %zu x %zu (%d dimensions), wanted %zu x %zu", m->source.path, t->name,
	               t->dim[0], t->n_dims > 1 ? t->dim[1] : 1, t->n_dims, want[0], want[1]);
}

static void take_vector(struct model *m, struct weight *w, const struct source_tensor *t)
{
	float *x = arena_alloc64(&m->mem, w->dim[0] * sizeof(*x));

	dtypes[t->dtype].to_float(t->data, x, w->dim[0]);
	w->dtype = DTYPE_F32;
	w->data = x;
	w->bytes = w->dim[0] * sizeof(*x);
	w->owned = true;
}

/* [in][out] of the file becomes [out][in], in blocks that fit the nearest cache. */
static int take_transposed(const struct model *m, struct weight *w, const struct source_tensor *t, struct err *e)
{
	enum { BLOCK = 32 };
	size_t size = dtypes[t->dtype].bytes, out = w->dim[0], in = w->dim[1];
	const char *from = t->data;
	void *to;

	if (dtypes[t->dtype].block != 1)
		BUG("%s: a transposed matrix of blocks", w->name);
	if (mem_map(&to, t->bytes, w->name, e) < 0)
		return -1;
	for (size_t i0 = 0; i0 < in; i0 += BLOCK)
		for (size_t o = 0; o < out; o++)
			for (size_t i = i0; i < MIN(i0 + BLOCK, in); i++)
				memcpy((char *)to + (o * in + i) * size, from + (i * out + o) * size, size);
	source_forget(&m->source, from, t->bytes);
	w->data = w->copy = to;
	w->owned = true;
	return 0;
}

static int take_weight(struct model *m, struct weight *w, struct err *e)
{
	struct source_tensor t;

	if (find_tensor(m, w, &t))
		return err_set(e, "%s: the tensor %s is missing", m->source.path,
		               m->source.is_gguf ? weight_name(&m->mem, w->spec->gguf, w->layer) : w->name);
	if (check_tensor(m, w, &t, e) < 0)
		return -1;
	if (w->n_dims == 1) {
		take_vector(m, w, &t);
		return 0;
	}
	w->dtype = t.dtype;
	w->data = t.data;
	w->bytes = t.bytes;
	w->owned = !source_maps(&m->source, t.data);
	return !m->source.is_gguf && (w->spec->flags & WEIGHT_TRANSPOSED) ? take_transposed(m, w, &t, e) : 0;
}

static bool is_present(const struct config *c, const struct weight_spec *s)
{
	if (s->flags & WEIGHT_IGNORED)
		return false;
	return !((s->flags & WEIGHT_HEAD) && c->tied) && !((s->flags & WEIGHT_IF_BIAS) && !c->bias);
}

static void add_weight(struct model *m, const struct weight_spec *s, int layer)
{
	struct weight *w = &m->weights[m->n_weights];

	if (!is_present(&m->config, s))
		return;
	m->n_weights++;
	w->spec = s;
	w->layer = repeats(s->hf) ? layer : -1;
	w->name = weight_name(&m->mem, s->hf, layer);
	shape_of(&m->config, w);
}

/* Rows in the order of the table; neighbours that repeat go layer by layer. */
static void list_weights(struct model *m)
{
	const struct weight_spec *s = m->config.arch->weights;
	size_t rows = 0;

	while (s[rows].hf)
		rows++;
	m->weights = arena_array(&m->mem, rows * (size_t)m->config.n_layers, sizeof(*m->weights));
	while (s->hf) {
		const struct weight_spec *end = s + 1;
		while (repeats(s->hf) && end->hf && repeats(end->hf))
			end++;
		for (int layer = 0; layer < (repeats(s->hf) ? m->config.n_layers : 1); layer++)
			for (const struct weight_spec *row = s; row < end; row++)
				add_weight(m, row, layer);
		s = end;
	}
}

static bool is_known(const struct model *m, const char *name)
{
	const struct arch *a = m->config.arch;

	for (const struct weight_spec *s = a->weights; s->hf; s++) {
		if ((s->flags & WEIGHT_IF_BIAS) && !m->config.bias)
			continue;
		if (m->source.is_gguf ? s->gguf && matches(s->gguf, name, m->config.n_layers) :
		                        matches(s->hf, name, m->config.n_layers))
			return true;
		if (!m->source.is_gguf && !strncmp(s->hf, a->prefix, strlen(a->prefix)) &&
		    matches(s->hf + strlen(a->prefix), name, m->config.n_layers))
			return true;
	}
	return false;
}

static int check_all_known(const struct model *m, struct err *e)
{
	for (size_t i = 0; i < source_count(&m->source); i++) {
		struct source_tensor t;
		source_tensor(&m->source, i, &t);
		if (!is_known(m, t.name))
			return err_set(e,
			               "%s: the tensor %s has no place in a %s model of %d layers, which would compute "
			               "something else without it",
			               m->source.path, t.name, m->config.arch->name, m->config.n_layers);
	}
	return 0;
}

static int open_tokenizer(struct model *m, struct err *e)
{
	m->tokenizer =
		m->source.is_gguf ? tokenizer_from_gguf(&m->source.gguf, e) : tokenizer_from_dir(m->source.path, e);
	if (!m->tokenizer)
		return -1;
	size_t n = tokenizer_size(m->tokenizer);
	if (n > (size_t)m->config.V)
		return err_set(e, "%s: the tokenizer has %zu tokens, the model only %d: they do not belong together",
		               m->source.path, n, m->config.V);
	return 0;
}

static int open_parts(struct model *m, struct err *e)
{
	if ((m->source.is_gguf ? arch_of_gguf(m, e) : arch_of_folder(m, e)) < 0 ||
	    config_check(&m->config, m->source.path, e) < 0)
		return -1;
	list_weights(m);
	if (check_all_known(m, e) < 0)
		return -1;
	for (size_t i = 0; i < m->n_weights; i++)
		if (take_weight(m, &m->weights[i], e) < 0)
			return -1;
	return open_tokenizer(m, e);
}

int model_open(struct model *m, const char *path, struct err *e)
{
	*m = (struct model){ 0 };
	if (source_open(&m->source, path, e) < 0)
		return -1;
	if (open_parts(m, e) == 0)
		return 0;
	model_close(m);
	return -1;
}

void model_close(struct model *m)
{
	for (size_t i = 0; i < m->n_weights; i++) {
		struct weight *w = &m->weights[i];
		if (w->copy)
			mem_unmap(w->copy, w->bytes);
		if (w->panels)
			mem_unmap(w->panels, panels_bytes(w->dtype, w->dim[0], w->dim[1]));
		if (w->transposed)
			mem_unmap(w->transposed, panels_bytes(DTYPE_Q8_0, w->dim[1], w->dim[0]));
	}
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

size_t model_count(const struct model *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_weights; i++)
		n += m->weights[i].dim[0] * (m->weights[i].n_dims == 2 ? m->weights[i].dim[1] : 1);
	return n;
}

int model_head(const struct model *m)
{
	const struct arch *a = m->config.arch;

	return model_weight(m, m->config.tied ? a->embedding : a->head, -1);
}

enum param_role weight_role(const struct weight *w)
{
	return w->n_dims < 2 ? PARAM_VECTOR : w->spec->flags & WEIGHT_EMBED ? PARAM_EMBEDDING :
	       w->spec->flags & WEIGHT_HEAD ? PARAM_HEAD : PARAM_MATRIX;
}

struct weight model_tied_head(const struct model *m)
{
	const struct arch *a = m->config.arch;
	struct weight w = m->weights[model_head(m)];
	const struct weight_spec *spec = a->weights;

	while (spec->hf && strcmp(spec->hf, a->head) != 0)
		spec++;
	if (!m->config.tied || !spec->hf)
		BUG("%s is no tied model whose table has a %s", a->name, a->head);
	w.spec = spec;
	w.name = (char *)(uintptr_t)a->head;
	return w;
}

void model_weight_float(const struct model *m, int i, float *out)
{
	const struct weight *w = &m->weights[i];
	size_t cols = w->n_dims == 2 ? w->dim[1] : 1;

	dtypes[w->dtype].to_float(w->data, out, w->dim[0] * cols);
	if (weight_is_permuted(m, i))
		weight_permute_rows(out, w->dim[0], cols, (size_t)m->config.D, true);
}
