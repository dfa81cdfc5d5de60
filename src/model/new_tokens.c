/* new_tokens: a model's tables with more rows. See new_tokens.h.
 *
 * transformers' resize_token_embeddings (mean_resizing) draws new rows from a normal distribution around the mean of
 * the old ones with 1e-9 of their covariance, so that probabilities stay nearly what they were; here it is the mean
 * itself, in the form that the table is stored in. */
#include "model/new_tokens.h"

#include <string.h>

#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/utf8.h"
#include "model/weights.h"
#include "token/tokenizer.h"

enum { MOST = 100000 };

/* --- rows --- */

/* A table with a row for each token: the embedding, a head, its bias. */
static bool has_rows(const struct model *m, const struct weight *w)
{
	return w->spec->shape[0] == 'V' && w->dim[0] == (size_t)m->config.V;
}

static void mean_of(const struct weight *w, size_t width, float *out)
{
	const struct dtype_info *d = &dtypes[w->dtype];
	size_t bytes = w->bytes / w->dim[0];
	double *sum = mem_array(width, sizeof(*sum));
	float *row = mem_array(width, sizeof(*row));

	for (size_t i = 0; i < w->dim[0]; i++) {
		d->to_float((const char *)w->data + i * bytes, row, width);
		for (size_t k = 0; k < width; k++)
			sum[k] += (double)row[k];
	}
	for (size_t k = 0; k < width; k++)
		out[k] = (float)(sum[k] / (double)w->dim[0]);
	mem_free(sum);
	mem_free(row);
}

static void grow_weight(struct model *m, struct weight *w, size_t more)
{
	size_t width = w->n_dims == 2 ? w->dim[1] : 1, row = w->bytes / w->dim[0];
	char *data = arena_alloc64(&m->mem, w->bytes + more * row);
	float *mean = mem_array(width, sizeof(*mean));

	mean_of(w, width, mean);
	memcpy(data, w->data, w->bytes);
	for (size_t i = 0; i < more; i++)
		dtypes[w->dtype].from_float(mean, data + w->bytes + i * row, width);
	source_forget(&m->source, w->data, w->bytes);
	w->data = data;
	w->bytes += more * row;
	w->dim[0] += more;
	w->owned = true;
	mem_free(mean);
}

/* Tables with at least so many rows. */
static int grow(struct model *m, size_t rows, struct err *e)
{
	size_t had = (size_t)m->config.V;

	if (rows <= had)
		return 0;
	if (m->prepared_bytes)
		return err_set(e, "%s is prepared to compute already: new tokens come before that", m->source.path);
	for (size_t i = 0; i < m->n_weights; i++)
		if (has_rows(m, &m->weights[i]) && !dtypes[m->weights[i].dtype].from_float)
			return err_set(e, "%s is stored as %s, in which no new row can be written: kungfu convert or "
			                  "quantize to another form first", m->weights[i].name,
			               dtypes[m->weights[i].dtype].name);
	for (size_t i = 0; i < m->n_weights; i++)
		if (has_rows(m, &m->weights[i]))
			grow_weight(m, &m->weights[i], rows - had);
	m->config.V = (int)rows;
	return 0;
}

/* Takes t, which has the model's tokens and more. */
static int take(struct model *m, struct tokenizer *t, size_t had, const char *where, struct err *e)
{
	if (grow(m, tokenizer_size(t), e) < 0 || tokenizer_bound(t, (size_t)m->config.V, where, e) < 0) {
		tokenizer_free(t);
		return -1;
	}
	m->first_new = (int)had;
	m->n_new = (int)(tokenizer_size(t) - had);
	tokenizer_free(m->tokenizer);
	m->tokenizer = t;
	return 0;
}

/* --- asked for --- */

struct asked { struct arena mem; const char **text; size_t n; };

static void add_text(struct asked *a, const char *text, size_t n)
{
	if (!n)
		return;
	a->text = mem_grow(a->text, a->n + 1, sizeof(*a->text));
	a->text[a->n++] = arena_printf(&a->mem, "%.*s", (int)n, text);
}

static void split(struct asked *a, const char *text, size_t n, char at)
{
	for (size_t i = 0, from = 0; i <= n; i++)
		if (i == n || text[i] == at || (at == '\n' && text[i] == '\r')) {
			add_text(a, text + from, i - from);
			from = i + 1;
		}
}

static int read_asked(struct asked *a, const char *asked, struct err *e)
{
	struct mapping file;

	*a = (struct asked){ .mem = ARENA_INIT };
	if (asked[0] != '@') {
		split(a, asked, strlen(asked), ',');
	} else {
		if (io_map(&file, asked + 1, e) < 0)
			return -1;
		split(a, (const char *)file.data, file.size, '\n');
		io_unmap(&file);
	}
	if (a->n < 1 || a->n > MOST)
		return err_set(e, "--new-tokens: %zu tokens, 1 to %d were wanted, as '<a>,<b>' or @FILE with one on "
		                  "each line", a->n, MOST);
	for (size_t i = 0; i < a->n; i++)
		if (!utf8_valid(a->text[i], strlen(a->text[i]), NULL))
			return err_set(e, "--new-tokens: token %zu is not UTF-8", i + 1);
	return 0;
}

struct tokenizer *new_tokens_tokenizer(const struct tokenizer *of, const char *asked, const char *where, struct err *e)
{
	struct asked a;
	struct tokenizer *t =
		read_asked(&a, asked, e) == 0 ? tokenizer_extended(of, a.text, a.n, where, e) : NULL;

	arena_release(&a.mem);
	mem_free(a.text);
	return t;
}

int new_tokens_add(struct model *m, const char *asked, struct err *e)
{
	size_t had = tokenizer_size(m->tokenizer);
	struct tokenizer *t = new_tokens_tokenizer(m->tokenizer, asked, m->source.path, e);

	return t ? take(m, t, had, m->source.path, e) : -1;
}

/* --- of a folder --- */

static bool same_new(const struct model *m, const struct tokenizer *t)
{
	bool same = tokenizer_size(t) == tokenizer_size(m->tokenizer);

	for (int i = m->first_new; same && i < m->first_new + m->n_new; i++)
		same = !strcmp(tokenizer_text(t, i), tokenizer_text(m->tokenizer, i));
	return same;
}

bool new_tokens_has(const struct model *m, const char *dir)
{
	struct err why = ERR_INIT;
	struct tokenizer *t = tokenizer_from_dir(dir, &why);
	bool has = t && (tokenizer_size(t) > tokenizer_size(m->tokenizer) ||
	                 (tokenizer_size(t) == tokenizer_size(m->tokenizer) && !same_new(m, t)));

	tokenizer_free(t);
	return has;
}

int new_tokens_load(struct model *m, const char *dir, struct err *e)
{
	struct err why = ERR_INIT;
	char *path = io_join(dir, "tokenizer.json");
	bool there = io_is_dir(dir) && io_exists(path);

	mem_free(path);
	if (!there || model_tokenizer_whole(m, &why) < 0)
		return 0;
	struct tokenizer *t = tokenizer_from_dir(dir, &why);
	size_t had = m->n_new ? (size_t)m->first_new : tokenizer_size(m->tokenizer);
	if (!t || (tokenizer_size(t) > had && !m->n_new)) {
		if (!t || take(m, t, had, dir, &why) < 0)
			log_warn("%s: its tokenizer is not used, the model's is: %s", dir, why.msg);
		return 0;
	}
	bool other = tokenizer_size(t) > had && !same_new(m, t);
	tokenizer_free(t);
	return other ? err_set(e, "%s: it has other new tokens than the adapter before it", dir) : 0;
}
