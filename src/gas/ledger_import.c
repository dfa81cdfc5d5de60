/* ledger_import: another ledger's runs, or a JSONL export, or the entry that a run kept in its own directory. A run's
 * id is a UUID, so what is known already is left as it is, unless here it still stands as running or killed and there
 * it is closed. */
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "gas/ledger_parts.h"

/* Whether the run is here, and whether it still stands as not ended; −1: error. */
static int look_up(struct ledger *l, const char *id, bool *open, struct err *e)
{
	sqlite3_stmt *s = ledger_prepare(l, "SELECT status IN ('running', 'killed') FROM run WHERE id = ?", e);

	if (!s)
		return -1;
	bind_text(s, 1, id);
	bool known = sqlite3_step(s) == SQLITE_ROW;
	*open = known && sqlite3_column_int(s, 0);
	sqlite3_finalize(s);
	return known;
}

/* 1: added, 0: known, −1: error. */
static int add_entry(struct ledger *l, const struct entry *x, struct err *e)
{
	bool open;
	int known = look_up(l, x->id, &open, e);
	if (known < 0)
		return -1;
	bool closed = strcmp(x->status, "running") && strcmp(x->status, "killed");
	if (known && !(open && closed))
		return 0;
	return ledger_put(l, x, e) < 0 ? -1 : !known;
}

static int count_entry(struct ledger *l, const struct entry *x, size_t *added, size_t *known, struct err *e)
{
	int came = add_entry(l, x, e);
	*added += came > 0;
	*known += came == 0;
	return came < 0 ? -1 : 0;
}

static int import_ledger(struct ledger *l, const char *path, size_t *added, size_t *known, struct err *e)
{
	struct ledger *from;
	struct entries all;
	struct artefacts artefacts;
	int status = 0;

	if (ledger_open(&from, path, LEDGER_READ, e) < 0)
		return -1;
	if (ledger_runs(from, NULL, &all, e) < 0) {
		ledger_close(from);
		return -1;
	}
	for (size_t i = 0; i < all.n && !status; i++)
		status = count_entry(l, &all.items[i], added, known, e);
	if (!status && (status = ledger_artefacts(from, &artefacts, e)) == 0) {
		for (size_t i = 0; i < artefacts.n && !status; i++)
			status = ledger_put_artefact(l, &artefacts.items[i], e);
		artefacts_release(&artefacts);
	}
	entries_release(&all);
	ledger_close(from);
	return status;
}

static int import_object(struct ledger *l, const json_t *j, const char *where, size_t *added, size_t *known,
                         struct err *e)
{
	struct arena mem = ARENA_INIT;
	struct entry x;
	int status = entry_from_json(&x, j, &mem, where, e);

	if (!status)
		status = count_entry(l, &x, added, known, e);
	arena_release(&mem);
	return status;
}

static int import_lines(struct ledger *l, const struct buf *text, const char *path, size_t *added, size_t *known,
                        struct err *e)
{
	int status = 0, number = 0;

	for (const char *at = text->data, *end = at + text->len; at < end && !status;) {
		size_t n = (size_t)((const char *)memchr(at, '\n', (size_t)(end - at)) - at);
		if (n > (size_t)(end - at))
			n = (size_t)(end - at);
		char *where = mem_printf("%s:%d", path, ++number);
		json_t *j = n ? jsonx_load(at, n, where, e) : NULL;
		if (n)
			status = j ? import_object(l, j, where, added, known, e) : -1;
		json_decref(j);
		mem_free(where);
		at += n + 1;
	}
	return status;
}

int ledger_import(struct ledger *l, const char *path, size_t *added, size_t *known, struct err *e)
{
	static const char magic[] = "SQLite format 3";
	struct buf text = BUF_INIT;
	json_error_t ignored;
	int status;

	*added = *known = 0; /* all of it or nothing: one transaction */
	if (io_read(&text, path, e) < 0)
		return -1;
	if (ledger_begin(l, e) < 0) {
		buf_release(&text);
		return -1;
	}
	json_t *one = text.len ? json_loadb(text.data, text.len, 0, &ignored) : NULL;
	if (text.len >= sizeof(magic) && !memcmp(text.data, magic, sizeof(magic)))
		status = import_ledger(l, path, added, known, e);
	else if (one)
		status = import_object(l, one, path, added, known, e);
	else if (text.len)
		status = import_lines(l, &text, path, added, known, e);
	else
		status = err_set(e, "%s is empty: a ledger, its export or one run's entry was wanted", path);
	status = ledger_end(l, status, e);
	json_decref(one);
	buf_release(&text);
	return status;
}
