/* store: states of answers, as floats of this machine in one blob an item. See store.h. */
#include "feedback/store.h"

#include <string.h>

#include "base/mem.h"
#include "feedback/store_parts.h"

int feedback_set_states(struct feedback *f, const struct feedback_item *it, const char *model, const float *x,
                        size_t width, struct err *e)
{
	sqlite3_stmt *s = store_prepare(f, "INSERT OR REPLACE INTO states (item, model, x) VALUES (?, ?, ?)", e);

	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, it->id);
	store_bind(s, 2, model);
	sqlite3_bind_blob64(s, 3, x, (size_t)it->n * width * sizeof(*x), SQLITE_STATIC);
	return store_finish(f, s, e);
}

/* The model of most of them. */
static int find_model(struct feedback *f, struct arena *mem, const char **model, struct err *e)
{
	sqlite3_stmt *s = store_prepare(f, "SELECT model, count(*) FROM states GROUP BY model "
	                                   "ORDER BY 2 DESC, 1 LIMIT 1", e);
	int status;

	*model = NULL;
	if (!s)
		return -1;
	while (store_next(f, s, &status, e))
		*model = store_text(s, 0, mem);
	return status;
}

/* The row's states into of[]; items are by ids, and so are rows: at is where the last one was found. */
static int take(const struct feedback *f, sqlite3_stmt *s, struct arena *mem, const struct feedback_item *items,
                size_t n, struct feedback_states *out, const float **of, size_t *at, struct err *e)
{
	int64_t id = sqlite3_column_int64(s, 0);
	size_t bytes = (size_t)sqlite3_column_bytes(s, 1), width;

	while (*at < n && items[*at].id < id)
		++*at;
	if (*at == n || items[*at].id != id)
		return 0;
	width = bytes / sizeof(float) / (size_t)items[*at].n;
	if (width == 0 || bytes != width * sizeof(float) * (size_t)items[*at].n || (out->width && out->width != width))
		return err_set(e, "feedback %s: damaged: the states of item %lld are %zu bytes", f->path, (long long)id,
		               bytes);
	out->width = width;
	of[*at] = memcpy(arena_alloc(mem, bytes), sqlite3_column_blob(s, 1), bytes);
	return 0;
}

int feedback_states(struct feedback *f, struct arena *mem, const struct feedback_item *items, size_t n,
                    struct feedback_states *out, const char **model, struct err *e)
{
	const float **of = arena_array(mem, n, sizeof(*of));
	size_t at = 0;
	int status;

	*out = (struct feedback_states){ of, 0 };
	if (find_model(f, mem, model, e) < 0)
		return -1;
	sqlite3_stmt *s = store_prepare(f, "SELECT item, x FROM states WHERE model = ? ORDER BY item", e);
	if (!s)
		return -1;
	store_bind(s, 1, *model);
	while (store_next(f, s, &status, e))
		if (take(f, s, mem, items, n, out, of, &at, e) < 0) {
			sqlite3_finalize(s);
			return -1;
		}
	return status;
}
