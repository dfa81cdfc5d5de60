/* index_queries: see index_queries.h. */
#include "cmd/index/index_queries.h"

#include <string.h>

#include "base/mem.h"
#include "data/rows.h"

void queries_add(struct queries *q, const char *id, const char *text)
{
	if (q->n == q->cap) {
		q->cap = MAX((size_t)64, 2 * q->cap);
		q->items = mem_grow(q->items, q->cap, sizeof(*q->items));
	}
	q->items[q->n++] = (struct query){ arena_strdup(&q->mem, id), arena_strdup(&q->mem, text), strlen(text) };
}

static const json_t *first_of(const json_t *row, const char *const *names)
{
	for (; *names; names++)
		if (json_object_get(row, *names))
			return json_object_get(row, *names);
	return NULL;
}

static int add_row(struct queries *q, const struct row *r, struct err *e)
{
	static const char *const ids[] = { "_id", "id", "query_id", NULL }, *const texts[] = { "text", "query", NULL };
	const json_t *id = first_of(r->json, ids), *text = first_of(r->json, texts);
	char number[32];

	if (!json_is_string(text))
		return err_set(e, "%s:%zu: no query: a column `text` was wanted", r->file, r->line);
	snprintf(number, sizeof(number), "%lld",
	         json_is_integer(id) ? (long long)json_integer_value(id) : (long long)q->n);
	queries_add(q, json_is_string(id) ? json_string_value(id) : number, json_string_value(text));
	return 0;
}

int queries_read(struct queries *q, const char *path, struct err *e)
{
	struct rows rows = { 0 };
	int status = rows_load_objects(&rows, path, e);

	for (size_t i = 0; i < rows.n && status == 0; i++)
		status = add_row(q, &rows.items[i], e);
	if (status == 0 && !q->n)
		status = err_set(e, "%s holds no queries", path);
	rows_release(&rows);
	return status;
}

int queries_embed(struct queries *q, struct index_embedder *x, struct err *e)
{
	struct index_span *spans = mem_array(q->n + 1, sizeof(*spans));

	for (size_t i = 0; i < q->n; i++)
		spans[i] = (struct index_span){ q->items[i].text, q->items[i].n };
	q->vectors = mem_array(q->n * x->width + 1, sizeof(*q->vectors));
	int status = index_embed(x, spans, q->n, true, q->vectors, e);
	mem_free(spans);
	return status;
}

void queries_release(struct queries *q)
{
	mem_free(q->items);
	mem_free(q->vectors);
	arena_release(&q->mem);
	*q = (struct queries){ 0 };
}
