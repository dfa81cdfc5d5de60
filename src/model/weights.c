/* weights: a table of weights filled from a file. See weights.h.
 *
 * Matrices stay where the file has them; vectors (norms, biases) become f32, and GPT-2's transposed matrices are
 * transposed round once. Experts' matrices are apart in Hugging Face's files and one tensor of three dimensions in
 * GGUF's; here each is a weight, a slice of that tensor. Every tensor of the file must have a row in the table: one
 * that nothing is computed with would make the model another one, silently.
 *
 * Row r of a permuted head of D is row r/2 of Hugging Face's, or D/2 further when r is odd. */
#include "model/weights.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "model/config.h"
#include "model/fused.h"
#include "model/init.h"
#include "quant/panels.h"

enum { WEIGHTS_MAX = 1 << 20 };

/* What every decoder's table goes on with: its head of labels, in the place of that of tokens. */
static const struct weight_spec score = { "score.weight", NULL, "Y,C", WEIGHT_LINEAR | WEIGHT_OF_CLASSIFIER };

/* --- names --- */

/* How often "%d" is in the first word. */
static int marks(const char *pattern)
{
	int n = 0;

	for (; *pattern && *pattern != ' '; pattern++)
		n += pattern[0] == '%' && pattern[1] == 'd';
	return n;
}

static const char *next_word(const char *words)
{
	words += strcspn(words, " ");
	return words + strspn(words, " ");
}

const struct weight_spec *weight_spec(const struct arch *a, const char *hf)
{
	for (const struct weight_spec *s = a->weights; s->hf; s++)
		if (!strcmp(s->hf, hf))
			return s;
	return !a->encoder && !strcmp(hf, score.hf) ? &score : NULL;
}

char *weight_name(struct arena *mem, const char *pattern, int layer, int expert)
{
	char *word = arena_strndup(mem, pattern, strcspn(pattern, " ")), *mark = strstr(word, "%d");

	if (!mark)
		return word;
	char *end = mark + 2, *second = strstr(end, "%d");
	*mark = 0;
	if (!second)
		return arena_printf(mem, "%s%d%s", word, layer, end);
	*second = 0;
	return arena_printf(mem, "%s%d%s%d%s", word, layer, end, expert, second + 2);
}

const char *weight_gguf_name(struct arena *mem, const struct weight *w)
{
	return w->spec->gguf ? weight_name(mem, w->spec->gguf, w->layer, w->expert) : NULL;
}

const char *weight_module(struct arena *mem, const char *name)
{
	const char *dot = strrchr(name, '.');

	return arena_strndup(mem, name, dot ? (size_t)(dot - name) : strlen(name));
}

static bool layer_has(const struct config *c, const struct weight_spec *s, int layer)
{
	bool dense = c->arch->is_dense && c->arch->is_dense(c, layer);

	return !((s->flags & WEIGHT_OF_DENSE) && !dense) && !((s->flags & WEIGHT_OF_EXPERTS) && dense);
}

/* Is name the pattern's first word with a layer that has the row s and an expert below those in its places? */
static bool matches(const struct config *c, const struct weight_spec *s, const char *pattern, const char *name,
                    int64_t experts)
{
	int64_t below = c->n_layers;
	bool first = true;

	for (; *pattern && *pattern != ' '; pattern++) {
		char *end;
		if (pattern[0] != '%' || pattern[1] != 'd') {
			if (*pattern != *name++)
				return false;
			continue;
		}
		if (*name < '0' || *name > '9' || (*name == '0' && name[1] >= '0' && name[1] <= '9'))
			return false;
		long long number = strtoll(name, &end, 10);
		if (number >= below || (first && !layer_has(c, s, (int)number)))
			return false;
		name = end;
		pattern++;
		below = experts;
		first = false;
	}
	return !*name;
}

/* --- shapes --- */

int weight_dims(const struct config *c, const struct weight_spec *s, size_t dim[3])
{
	bool none = false;
	int n = 0;

	for (const char *at = s->shape, *end; *at; at = *end ? end + 1 : end) {
		end = at + strcspn(at, ",");
		int64_t x = config_value(c, at, (size_t)(end - at));
		if (x < 0 || n == 3)
			BUG("the shape %s of %s", s->shape, s->hf);
		none |= x == 0;
		dim[n++] = (size_t)x;
	}
	return none ? 0 : n;
}

int64_t weight_experts(const struct config *c, const struct weight_spec *s)
{
	size_t dim[3];

	return s->shape && marks(s->hf) == 2 && weight_dims(c, s, dim) == 3 ? (int64_t)dim[0] : 0;
}

/* --- tensors --- */

/* Expert e's matrix of the tensor that holds all of them. */
static void take_slice(struct source_tensor *t, size_t experts, int expert)
{
	if (t->n_dims != 3 || t->dim[0] != experts)
		return;
	t->bytes /= experts;
	t->data = (const char *)t->data + (size_t)expert * t->bytes;
	t->n_dims = 2;
	t->dim[0] = t->dim[1];
	t->dim[1] = t->dim[2];
}

/* Under any of its names, each also as files of the model without its head have it. */
static int find_hf(const struct model *m, const struct weight *w, struct source_tensor *out)
{
	const char *prefix = m->config.arch->prefix;
	struct arena names = ARENA_INIT;
	int status = 1;

	for (const char *word = w->spec->hf; *word && status; word = next_word(word)) {
		const char *name = weight_name(&names, word, w->layer, w->expert);
		status = source_find(&m->source, name, out);
		if (status && !strncmp(name, prefix, strlen(prefix)))
			status = source_find(&m->source, name + strlen(prefix), out);
	}
	arena_release(&names);
	return status;
}

static int find_gguf(const struct model *m, const struct weight *w, struct source_tensor *out)
{
	struct arena names = ARENA_INIT;
	int status = 1;

	for (const char *word = w->spec->gguf; word && *word && status; word = next_word(word)) {
		status = source_find(&m->source, weight_name(&names, word, w->layer, w->expert), out);
		if (status == 0 && w->expert >= 0 && marks(word) == 1)
			take_slice(out, (size_t)weight_experts(&m->config, w->spec), w->expert);
	}
	arena_release(&names);
	return status;
}

static int find_tensor(const struct model *m, const struct weight *w, struct source_tensor *out)
{
	return (m->source.is_gguf ? find_gguf : find_hf)(m, w, out);
}

static size_t numbers_of(const struct source_tensor *t)
{
	size_t n = 1;

	for (int i = 0; i < t->n_dims; i++)
		n *= t->dim[i];
	return n;
}

static int check_tensor(const struct model *m, const struct weight *w, const struct source_tensor *t, struct err *e)
{
	bool transposed = !m->source.is_gguf && (w->spec->flags & WEIGHT_TRANSPOSED) && w->n_dims == 2;
	size_t want[3] = { w->dim[transposed ? 1 : 0], w->dim[transposed ? 0 : 1], w->dim[2] };

	if (t->dtype == DTYPE_COUNT || !dtypes[t->dtype].to_float)
		return err_set(e, "%s: the tensor %s holds %s, which is not computed with", m->source.path, t->name,
		               t->dtype_name);
	if (w->n_dims == 1 && t->n_dims > 1 && numbers_of(t) == want[0])
		return 0; /* with dimensions of 1, or several vectors in one */
	if (t->n_dims == w->n_dims && !memcmp(t->dim, want, (size_t)w->n_dims * sizeof(*want)))
		return 0;
	if (m->source.is_gguf && w->n_dims == 2 && w->dim[0] == 1 && t->n_dims == 1 && t->dim[0] == w->dim[1])
		return 0; /* a matrix of one row is a vector there */
	if (w->n_dims == 1)
		return err_set(e, "%s: the tensor %s has %d dimensions and %zu rows, wanted %zu numbers",
		               m->source.path, t->name, t->n_dims, t->dim[0], want[0]);
	if (w->n_dims == 3)
		return err_set(e, "%s: the tensor %s is %zu x %zu x %zu (%d dimensions), wanted %zu x %zu x %zu",
		               m->source.path, t->name, t->dim[0], t->dim[1], t->dim[2], t->n_dims, want[0], want[1],
		               want[2]);
	return err_set(e, "%s: the tensor %s is %zu x %zu (%d dimensions), wanted %zu x %zu", m->source.path, t->name,
	               t->dim[0], t->n_dims > 1 ? t->dim[1] : 1, t->n_dims, want[0], want[1]);
}

static void take_vector(struct model *m, struct weight *w, const struct source_tensor *t)
{
	float *x = arena_alloc64(&m->mem, w->dim[0] * sizeof(*x));

	dtypes[t->dtype].to_float(t->data, x, w->dim[0]);
	if (!m->source.is_gguf)
		weight_convert(m, (int)(w - m->weights), x, false);
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

	if (find_tensor(m, w, &t)) {
		int status = fused_take(m, w, e);
		if (status <= 0)
			return status;
		return err_set(e, "%s: the tensor %s is missing", m->source.path,
		               m->source.is_gguf ? weight_gguf_name(&m->mem, w) :
		               w->spec->fused && w->spec->fused->written ?
		                                  weight_name(&m->mem, w->spec->fused->hf, w->layer, 0) :
		                                  w->name);
	}
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

/* --- the list --- */

static void fill_weight(struct model *m, struct weight *w, const struct weight_spec *s, int layer, int expert)
{
	*w = (struct weight){ .spec = s, .layer = marks(s->hf) ? layer : -1, .expert = expert };
	w->name = weight_name(&m->mem, s->hf, layer, expert);
	w->n_dims = weight_dims(&m->config, s, w->dim);
	if (expert < 0)
		return;
	w->n_dims = 2;
	w->dim[0] = w->dim[1];
	w->dim[1] = w->dim[2];
	w->dim[2] = 0;
}

static bool is_in_file(struct model *m, const struct weight_spec *s)
{
	struct source_tensor t;
	struct weight w;

	for (int layer = 0; layer < (marks(s->hf) ? m->config.n_layers : 1); layer++) {
		fill_weight(m, &w, s, layer, marks(s->hf) == 2 ? 0 : -1);
		if (find_tensor(m, &w, &t) == 0)
			return true;
	}
	return false;
}

/* Whether the file has a weight that is of one of these parts alone. */
static bool part_is_in_file(struct model *m, unsigned parts)
{
	size_t dim[3];

	for (const struct weight_spec *s = m->config.arch->weights; s->hf; s++) {
		unsigned of = s->flags & WEIGHT_PARTS;
		if ((of & parts) && !(of & (of - 1)) && weight_dims(&m->config, s, dim) && is_in_file(m, s))
			return true;
	}
	return false;
}

static bool has_score(const struct model *m) { return !m->config.arch->encoder && m->config.labels > 0; }

/* Is the row a weight of this model? */
static bool is_present(struct model *m, const struct weight_spec *s)
{
	size_t dim[3];

	if ((s->flags & WEIGHT_IGNORED) || !weight_dims(&m->config, s, dim) ||
	    ((s->flags & WEIGHT_HEAD) && (m->config.tied || has_score(m))))
		return false;
	unsigned parts = s->flags & WEIGHT_PARTS;
	if (parts && !(m->init ? (parts & m->init->parts) != 0 : part_is_in_file(m, parts)))
		return false;
	return !(s->flags & WEIGHT_OPTIONAL) || (!m->init && is_in_file(m, s));
}

static void add_weights(struct model *m, const struct weight_spec *s, int layer)
{
	int64_t experts = weight_experts(&m->config, s);

	for (int64_t i = 0; i < MAX(experts, 1); i++)
		fill_weight(m, &m->weights[m->n_weights++], s, layer, experts ? (int)i : -1);
}

/* Rows in the order of the table; neighbours that repeat go layer by layer. */
int weights_list(struct model *m, struct err *e)
{
	const struct weight_spec *s = m->config.arch->weights;
	size_t rows = 0, most = 0;

	while (s[rows].hf)
		rows++;
	bool *present = arena_array(&m->mem, rows, sizeof(*present));
	for (size_t i = 0; i < rows; i++) {
		present[i] = is_present(m, &s[i]);
		most += present[i] ? (marks(s[i].hf) ? (size_t)m->config.n_layers : 1) *
		                             (size_t)MAX(weight_experts(&m->config, &s[i]), 1) : 0;
	}
	if (most > WEIGHTS_MAX)
		return err_set(e, "%s: %zu weights, at most %d are wanted", m->source.path, most, WEIGHTS_MAX);
	m->weights = arena_array(&m->mem, most + 1, sizeof(*m->weights));
	for (size_t i = 0, end; i < rows; i = end) {
		for (end = i + 1; marks(s[i].hf) && s[end].hf && marks(s[end].hf);)
			end++;
		for (int layer = 0; layer < (marks(s[i].hf) ? m->config.n_layers : 1); layer++)
			for (size_t row = i; row < end; row++)
				if (present[row] && (layer || !(s[row].flags & WEIGHT_LATER)) &&
				    layer_has(&m->config, &s[row], layer))
					add_weights(m, &s[row], layer);
	}
	if (has_score(m))
		add_weights(m, &score, -1);
	return 0;
}

/* --- tensors that nothing would be computed with --- */

static bool has_name(const struct model *m, const struct weight_spec *s, const char *name)
{
	const struct arch *a = m->config.arch;
	int64_t experts = weight_experts(&m->config, s);

	if (m->source.is_gguf) {
		for (const char *word = s->gguf; word && *word; word = next_word(word))
			if (matches(&m->config, s, word, name, experts))
				return true;
		return false;
	}
	for (const char *word = s->hf; *word; word = next_word(word))
		if (matches(&m->config, s, word, name, experts) ||
		    (!strncmp(word, a->prefix, strlen(a->prefix)) &&
		     matches(&m->config, s, word + strlen(a->prefix), name, experts)))
			return true;
	return false;
}

static bool is_known(const struct model *m, const char *name)
{
	size_t dim[3];

	for (const struct weight_spec *s = m->config.arch->weights; s->hf; s++)
		if ((has_name(m, s, name) || fused_is_named(m, s, name)) &&
		    ((s->flags & WEIGHT_IGNORED) || weight_dims(&m->config, s, dim)))
			return true;
	return has_score(m) && !strcmp(name, score.hf);
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

/* A folder may say that its head is its embedding and have another head all the same. */
static void check_tied(struct model *m)
{
	const struct arch *a = m->config.arch;
	struct source_tensor head, embedding;
	struct weight w[2];

	fill_weight(m, &w[0], weight_spec(a, a->head), -1, -1);
	fill_weight(m, &w[1], weight_spec(a, a->embedding), -1, -1);
	if (!m->config.tied || m->source.is_gguf || find_tensor(m, &w[0], &head) || find_tensor(m, &w[1], &embedding))
		return;
	bool same = head.dtype == embedding.dtype && head.bytes == embedding.bytes &&
	            !memcmp(head.data, embedding.data, head.bytes);
	source_forget(&m->source, head.data, head.bytes);
	source_forget(&m->source, embedding.data, embedding.bytes);
	if (same)
		return;
	m->config.tied = false;
	log_warn("%s: tie_word_embeddings is true and %s is not the embedding: it is used as the model's own head",
	         m->source.path, head.name);
}

static void order_of_gguf(struct model *m)
{
	for (const struct weight_spec *s = m->config.arch->weights; s->hf; s++) {
		m->config.rope_interleaved |= (s->flags & WEIGHT_ROPE) != 0;
		m->config.qkv_apart |= (s->flags & WEIGHT_QKV) != 0;
	}
}

int weights_load(struct model *m, struct err *e)
{
	if (m->source.is_gguf)
		order_of_gguf(m);
	check_tied(m);
	if (weights_list(m, e) < 0 || check_all_known(m, e) < 0)
		return -1;
	for (size_t i = 0; i < m->n_weights; i++)
		if (take_weight(m, &m->weights[i], e) < 0)
			return -1;
	return 0;
}

void weight_release(struct weight *w)
{
	if (w->copy)
		mem_unmap(w->copy, w->bytes);
	if (w->panels)
		mem_unmap(w->panels, panels_bytes(w->dtype, w->dim[0], w->dim[1]));
	if (w->transposed)
		mem_unmap(w->transposed, panels_bytes(DTYPE_Q8_0, w->dim[1], w->dim[0]));
}

void weights_release(struct model *m)
{
	for (size_t i = 0; i < m->n_weights; i++)
		weight_release(&m->weights[i]);
}

/* --- numbers --- */

size_t weight_numbers(const struct weight *w)
{
	size_t n = 1;

	for (int i = 0; i < w->n_dims; i++)
		n *= w->dim[i];
	return n;
}

size_t weight_numbers_most(const struct model *m)
{
	size_t most = 0;

	for (size_t i = 0; i < m->n_weights; i++)
		most = MAX(most, weight_numbers(&m->weights[i]));
	return most;
}

const struct weight *weight_or_head(const struct model *m, int i)
{
	return &m->weights[i < (int)m->n_weights ? i : model_head(m)];
}

bool weight_is_embedding(const struct model *m, int i)
{
	return i < (int)m->n_weights && (m->weights[i].spec->flags & WEIGHT_EMBED);
}

static size_t hf_row(struct row_order o, size_t row)
{
	size_t D = o.D, i = row % D;

	if (o.kind == ROWS_ROTATED)
		return row - i + i / 2 + i % 2 * (D / 2);
	return o.kind == ROWS_QKV ? row / D % o.H * 3 * D + row / D / o.H * D + i : row;
}

static struct row_order order_of(const struct config *c, unsigned flags)
{
	return (struct row_order){ flags & WEIGHT_ROPE ? ROWS_ROTATED : flags & WEIGHT_QKV ? ROWS_QKV : ROWS_ALIKE,
		                   (size_t)c->D, (size_t)c->H };
}

struct row_order weight_row_order(const struct model *m, int i)
{
	return order_of(&m->config, i >= 0 && (size_t)i < m->n_weights ? m->weights[i].spec->flags : 0);
}

bool weight_is_permuted(const struct model *m, int i)
{
	return (m->source.is_gguf || m->gguf_rows) && weight_row_order(m, i).kind != ROWS_ALIKE;
}

size_t weight_hf_row(const struct model *m, int i, size_t row)
{
	return weight_is_permuted(m, i) ? hf_row(weight_row_order(m, i), row) : row;
}

void weight_permute_rows(float *w, size_t rows, size_t cols, struct row_order o, bool to_hf)
{
	size_t block = o.kind == ROWS_QKV ? 3 * o.H * o.D : o.D;
	float *was = mem_array(block * cols, sizeof(*was));

	if (rows % block)
		BUG("%zu rows are no blocks of %zu", rows, block);
	for (size_t first = 0; first < rows; first += block) {
		float *at = w + first * cols;
		memcpy(was, at, block * cols * sizeof(*was));
		for (size_t r = 0; r < block; r++) {
			size_t hf = hf_row(o, r), from = to_hf ? r : hf, to = to_hf ? hf : r;
			memcpy(at + to * cols, was + from * cols, cols * sizeof(*was));
		}
	}
	mem_free(was);
}

int weights_as_gguf(struct model *m, struct err *e)
{
	if (m->source.is_gguf || m->gguf_rows)
		return 0;
	m->gguf_rows = true;
	order_of_gguf(m);
	for (size_t i = 0; i < m->n_weights; i++) {
		struct weight *w = &m->weights[i];
		struct row_order o = weight_row_order(m, (int)i);
		size_t bytes = w->bytes / w->dim[0];
		void *to;
		if (o.kind == ROWS_ALIKE)
			continue;
		if (mem_map(&to, w->bytes, w->name, e) < 0)
			return -1;
		for (size_t row = 0; row < w->dim[0]; row++)
			memcpy((char *)to + row * bytes, (const char *)w->data + hf_row(o, row) * bytes, bytes);
		if (w->copy)
			mem_unmap(w->copy, w->bytes);
		else if (!w->owned)
			source_forget(&m->source, w->data, w->bytes);
		w->data = w->copy = to;
		w->owned = true;
	}
	return 0;
}

void weight_convert(const struct model *m, int i, float *w, bool to_hf)
{
	const struct weight *x = &m->weights[i];
	size_t n = weight_numbers(x);

	if (weight_is_permuted(m, i))
		weight_permute_rows(w, x->dim[0], n / x->dim[0], weight_row_order(m, i), to_hf);
	for (size_t k = 0; k < n && (x->spec->flags & WEIGHT_PLUS_ONE); k++)
		w[k] += to_hf ? -1.0F : 1.0F;
}

void weight_to_gguf(const struct config *c, const struct weight_spec *s, const struct weight *w, float *x)
{
	struct row_order o = order_of(c, s->flags);
	size_t n = weight_numbers(w);

	if (o.kind != ROWS_ALIKE)
		weight_permute_rows(x, w->dim[0], n / w->dim[0], o, false);
	for (size_t k = 0; k < n && (s->flags & WEIGHT_PLUS_ONE); k++)
		x[k] += 1.0F;
}

bool weight_is_converted(const struct model *m, int i)
{
	return weight_is_permuted(m, i) ||
	       (i >= 0 && (size_t)i < m->n_weights && (m->weights[i].spec->flags & WEIGHT_PLUS_ONE));
}

void model_weight_float(const struct model *m, int i, float *out)
{
	const struct weight *w = &m->weights[i];
	struct source_tensor t;

	/* 1 + x − 1 is not always x: the file's own number is */
	if ((w->spec->flags & WEIGHT_PLUS_ONE) && !m->source.is_gguf && find_tensor(m, w, &t) == 0) {
		dtypes[t.dtype].to_float(t.data, out, weight_numbers(w));
		return;
	}
	dtype_rows_to_float(w->dtype, w->data, w->dim[0], weight_numbers(w) / w->dim[0], out);
	weight_convert(m, i, out, true);
}

void model_weight_original(const struct model *m, int i, float *out)
{
	const struct weight *w = &m->weights[i];
	size_t rows = w->dim[0], cols = w->dim[1];
	struct source_tensor t;

	if (find_tensor(m, w, &t))
		BUG("%s is in no file", w->name);
	if (m->source.is_gguf || !(w->spec->flags & WEIGHT_TRANSPOSED)) {
		dtypes[t.dtype].to_float(t.data, out, rows * cols);
	} else {
		float *row = mem_array(rows, sizeof(*row));
		for (size_t c = 0; c < cols; c++) {
			dtypes[t.dtype].to_float((const char *)t.data + c * rows * dtypes[t.dtype].bytes, row, rows);
			for (size_t r = 0; r < rows; r++)
				out[r * cols + c] = row[r];
		}
		mem_free(row);
	}
	source_forget(&m->source, t.data, t.bytes);
	weight_convert(m, i, out, true);
}
