/* split: a group of rows (one text, or one value of a column) has a key, the hash of that. Groups are sorted by their
 * label and then by a permutation of their keys, and the k-th of all goes where frac(u + k·φ) says, φ the golden
 * ratio: of any run of such a sequence the share below s is s, as near as can be (Weyl), so every label is parted
 * alike, those of three rows too. Groups that came later come after those, so the sequence goes on. */
#include "data/split.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/shape.h"

static const double golden = 0.61803398874989484820;

/* --- texts --- */

static bool is_word(unsigned char c)
{
	return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

uint64_t split_key(const char *text)
{
	struct buf b = BUF_INIT;

	for (const char *at = text; *at; at++) {
		unsigned char c = (unsigned char)*at;
		if (is_word(c))
			buf_addc(&b, c >= 'A' && c <= 'Z' ? (char)(c + 32) : *at);
		else if (b.len && b.data[b.len - 1] != ' ')
			buf_addc(&b, ' ');
	}
	while (b.len && b.data[b.len - 1] == ' ')
		b.len--;
	uint64_t key = b.len ? hash_64(b.data, b.len) : hash_64(text, strlen(text));
	buf_release(&b);
	return key;
}

static const char *as_text(struct arena *mem, const json_t *value)
{
	if (json_is_string(value))
		return arena_strdup(mem, json_string_value(value));
	char *text = jsonx_line(value);
	const char *kept = arena_strdup(mem, text);
	mem_free(text);
	return kept;
}

/* A conversation whose last turn answers asks all before it. */
static json_t *without_answer(json_t *asked)
{
	size_t n = json_array_size(asked);
	const json_t *last = json_array_get(asked, n - 1), *role = json_object_get(last, "role");
	const char *who = json_string_value(role ? role : json_object_get(last, "from"));

	if (n < 2 || !who || (strcmp(who, "assistant") != 0 && strcmp(who, "gpt") != 0))
		return asked;
	json_t *rest = json_copy(asked);
	json_array_remove(rest, n - 1);
	json_decref(asked);
	return rest;
}

/* Of rows that ask nothing: their texts, which are all columns but a label. */
static const char *own_texts(struct arena *mem, const struct row *r, const struct shape *s)
{
	json_t *all = json_array();

	for (int i = 0; i < SHAPE_COLUMNS && s->columns[i].key; i++)
		if (s->columns[i].need == NEED_STRING)
			json_array_append(all, json_object_get(r->json, s->columns[i].key));
	const char *text = as_text(mem, json_array_size(all) == 1 ? json_array_get(all, 0) : all);
	json_decref(all);
	return text;
}

const char *split_text(struct arena *mem, const struct row *r, const struct shape *s, struct err *e)
{
	if (!s->ask && !s->asks)
		return own_texts(mem, r, s);
	json_t *asked = shape_ask(s, r->json, e);
	if (!asked) {
		err_prefix(e, "%s:%zu", r->file, r->line);
		return NULL;
	}
	asked = without_answer(asked);
	const char *text = as_text(mem, asked);
	json_decref(asked);
	return text;
}

/* --- sides --- */

struct group {
	uint64_t key;
	const char *label; /* of its first row */
	size_t first;      /* row */
	int since;         /* when that came */
	enum side side;
};

static int by_key(const void *a, const void *b)
{
	const struct group *x = a, *y = b;
	return x->key != y->key ? (x->key < y->key ? -1 : 1) : (x->first > y->first) - (x->first < y->first);
}

static int by_label(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	if (x->since != y->since)
		return x->since - y->since;
	int order = strcmp(x->label ? x->label : "", y->label ? y->label : "");
	return order ? order : by_key(a, b);
}

/* The key of a row's group: mixed with the seed, so that another seed is another order. */
static int key_of(const struct rows *r, const struct split_row *row, const struct split_options *o, size_t i,
                  uint64_t *key, struct err *e)
{
	const json_t *value = o->group_by ? json_object_get(r->items[i].json, o->group_by) : NULL;
	uint64_t of = 0;

	if (o->group_by && !value)
		return err_set(e, "%s:%zu: --group-by %s: the row has no such column", r->items[i].file,
		               r->items[i].line, o->group_by);
	if (value) {
		char *text = jsonx_line(value);
		of = hash_64(text, strlen(text));
		mem_free(text);
	} else {
		of = split_key(row->text);
	}
	*key = rng_next(&(struct rng_stream){ of ^ (o->seed * 0x9E3779B97F4A7C15u) });
	return 0;
}

static enum side side_at(double u, const struct split_options *o)
{
	return u < o->test ? SIDE_TEST : u < o->test + o->choose ? SIDE_CHOOSE : SIDE_TRAIN;
}

/* Rows in the file's order: those of one group go where its first one goes. */
static enum side side_in_time(const struct group *g, size_t n, const struct split_options *o)
{
	size_t begin = g->since ? o->later[g->since - 1] : 0,
	       end = (size_t)g->since < o->n_later ? o->later[g->since] : n;

	return side_at(1 - ((double)(g->first - begin) + 0.5) / (double)(end - begin), o);
}

static int since_of(const struct split_options *o, size_t row)
{
	size_t k = 0;

	while (k < o->n_later && o->later[k] <= row)
		k++;
	return (int)k;
}

static void give_sides(struct group *g, size_t n, size_t n_rows, const struct split_options *o)
{
	double whole, start = (double)(o->seed % 1024) / 1024;

	qsort(g, n, sizeof(*g), by_label);
	for (size_t i = 0; i < n; i++)
		g[i].side = o->time_order ? side_in_time(&g[i], n_rows, o) :
		                            side_at(modf(start + (double)i * golden, &whole), o);
}

/* Rows sorted by key become groups, in place; of[i] is row i's. */
static size_t gather(struct group *g, size_t n)
{
	size_t groups = 0;

	qsort(g, n, sizeof(*g), by_key);
	for (size_t i = 0; i < n; i++)
		if (!groups || g[groups - 1].key != g[i].key)
			g[groups++] = g[i];
	return groups;
}

/* The group of a key; groups are sorted by theirs. */
static const struct group *group_of(const struct group *g, size_t n, uint64_t key)
{
	size_t low = 0, high = n;

	while (high - low > 1) {
		size_t middle = (low + high) / 2;
		if (g[middle].key <= key)
			low = middle;
		else
			high = middle;
	}
	return &g[low];
}

int split_rows(const struct rows *r, const struct split_row *rows, const struct split_options *o, enum side *side,
               int *since, struct err *e)
{
	struct group *g = mem_array(r->n, sizeof(*g));
	uint64_t *key = mem_array(r->n, sizeof(*key));
	int status = 0;

	for (size_t i = 0; i < r->n && status == 0; i++) {
		status = key_of(r, &rows[i], o, i, &key[i], e);
		g[i] = (struct group){ .key = key[i], .label = rows[i].label, .first = i, .since = since_of(o, i) };
	}
	if (status == 0) {
		size_t n = gather(g, r->n);
		give_sides(g, n, r->n, o);
		qsort(g, n, sizeof(*g), by_key);
		for (size_t i = 0; i < r->n; i++) {
			const struct group *own = group_of(g, n, key[i]);
			side[i] = own->side;
			if (since)
				since[i] = own->since;
		}
	}
	mem_free(key);
	mem_free(g);
	return status;
}
