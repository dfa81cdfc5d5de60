/* decontaminate: see decontaminate.h. A broken row of an evaluation is an error: what is not read is not guarded. */
#include "corpus/decontaminate.h"

#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "corpus/input.h"

enum { MOST_TEXT = 64 << 20 };

void decontaminate_begin(struct decontaminate *d, int ngram, double ratio)
{
	*d = (struct decontaminate){ .ngram = ngram, .ratio = ratio };
}

/* --- what an evaluation has --- */

static void gram_key(uint64_t gram, uint64_t key[2])
{
	key[0] = gram;
	key[1] = gram * 0x9e3779b97f4a7c15u;
}

static void add_text(struct decontaminate *d, struct shingles *s, const char *text, size_t n, uint64_t line)
{
	uint64_t key[2];

	shingles_make(s, text, n);
	if (s->n < (size_t)d->ngram) {
		d->too_short++;
		return;
	}
	if (d->n_texts == d->cap_texts) {
		d->cap_texts = MAX(256, 2 * d->cap_texts);
		d->texts = mem_grow(d->texts, d->cap_texts, sizeof(*d->texts));
	}
	struct contaminant *c = &d->texts[d->n_texts++];
	*c = (struct contaminant){ (uint32_t)(d->n_files - 1), line, 0 };
	for (size_t i = 0; i + (size_t)d->ngram <= s->n; i++) {
		gram_key(shingle_at(s, i, d->ngram), key);
		if (exact_find(&d->grams, key) >= 0)
			continue;
		exact_add(&d->grams, key, (uint32_t)(d->n_texts - 1));
		c->grams++;
	}
}

static void add_strings(struct decontaminate *d, struct shingles *s, const json_t *j, uint64_t line)
{
	const char *key;
	json_t *v;
	size_t i;

	if (json_is_string(j))
		add_text(d, s, json_string_value(j), json_string_length(j), line);
	json_array_foreach ((json_t *)j, i, v)
		add_strings(d, s, v, line);
	json_object_foreach ((json_t *)j, key, v)
		add_strings(d, s, v, line);
}

static int add_item(struct decontaminate *d, struct shingles *s, const struct input_text *x, const char *name,
                    struct err *e)
{
	struct err inner = ERR_INIT;

	if (!x->row) {
		struct buf mended = BUF_INIT;
		utf8_repair(&mended, x->data, x->n);
		add_text(d, s, buf_str(&mended), mended.len, x->line);
		buf_release(&mended);
		return 0;
	}
	json_t *row = jsonx_load_nul(x->data, x->n, "", &inner);
	if (!row)
		return err_set(e, "%s:%llu is no JSON, so what it asks cannot be kept out: %s", name,
		               (unsigned long long)x->line, inner.msg);
	add_strings(d, s, row, x->line);
	json_decref(row);
	return 0;
}

static int add_file(struct decontaminate *d, struct shingles *s, const struct input_file *f, struct err *e)
{
	const struct input_options o = { "\n", MOST_TEXT };
	enum input_kind kind;
	struct input_text text;
	struct input *x;
	char hex[33];
	int status;

	if (input_open(&x, f, &o, &kind, e) < 0)
		return -1;
	if (!x)
		return err_set(e, "%s cannot be kept out: rows (.jsonl, .json) or lines of text were wanted", f->path);
	d->files = mem_grow(d->files, d->n_files + 1, sizeof(*d->files));
	d->files[d->n_files++] = arena_strdup(&d->mem, f->name);
	while ((status = input_next(x, &text, e)) > 0)
		if ((status = add_item(d, s, &text, f->name, e)) < 0)
			break;
	if (!status && input_damaged(x))
		status = err_set(e, "%s: its gzip data are damaged, so it cannot be kept out", f->path);
	input_close(x, hex);
	return status;
}

int decontaminate_add(struct decontaminate *d, const char *path, struct err *e)
{
	struct input_list files = { 0 };
	struct shingles s = { 0 };
	size_t before = d->n_texts;
	int status = input_list_add(&files, path, path, 0, e);

	for (size_t i = 0; i < files.n && !status; i++)
		status = add_file(d, &s, &files.items[i], e);
	if (!status && d->n_texts == before)
		status = err_set(e, "%s has no text of %d words or more that could be kept out", path, d->ngram);
	shingles_release(&s);
	input_list_release(&files);
	return status;
}

/* --- what a document has --- */

struct found {
	uint32_t text;
	uint64_t gram;
};

static int by_text(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->text != y->text)
		return x->text < y->text ? -1 : 1;
	return x->gram < y->gram ? -1 : x->gram > y->gram;
}

/* The text of which most is there. */
static bool judge(const struct decontaminate *d, struct found *found, size_t n, struct decontaminate_hit *hit)
{
	*hit = (struct decontaminate_hit){ 0 };
	qsort(found, n, sizeof(*found), by_text);
	for (size_t i = 0, j; i < n; i = j) {
		size_t different = 0;
		for (j = i; j < n && found[j].text == found[i].text; j++)
			different += j == i || found[j].gram != found[j - 1].gram;
		double share = (double)different / d->texts[found[i].text].grams;
		if (share > hit->share)
			*hit = (struct decontaminate_hit){ found[i].text, share };
	}
	return n && hit->share >= d->ratio;
}

bool decontaminate_find(const struct decontaminate *d, const struct shingles *s, struct decontaminate_hit *hit)
{
	struct found *found = NULL;
	size_t n = 0, cap = 0;
	uint64_t key[2];

	for (size_t i = 0; i + (size_t)d->ngram <= s->n; i++) {
		gram_key(shingle_at(s, i, d->ngram), key);
		int64_t text = exact_find(&d->grams, key);
		if (text < 0)
			continue;
		if (n == cap) {
			cap = MAX(64, 2 * cap);
			found = mem_grow(found, cap, sizeof(*found));
		}
		found[n++] = (struct found){ (uint32_t)text, key[0] };
	}
	bool is = n && judge(d, found, n, hit);
	mem_free(found);
	return is;
}

void decontaminate_release(struct decontaminate *d)
{
	mem_free(d->files);
	mem_free(d->texts);
	exact_release(&d->grams);
	arena_release(&d->mem);
	*d = (struct decontaminate){ 0 };
}
