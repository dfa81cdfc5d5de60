/* ledger_rows: runs and artefacts into the file and out of it; every statement is made from entry_columns. */
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/mem.h"
#include "gas/ledger_parts.h"

/* --- in --- */

static char *put_sql(void)
{
	struct buf names = BUF_INIT, marks = BUF_INIT, sets = BUF_INIT;

	for (const struct column *c = entry_columns; c->name; c++) {
		const char *comma = c == entry_columns ? "" : ", ";
		buf_addf(&names, "%s%s", comma, c->name);
		buf_addf(&marks, "%s?", comma);
		buf_addf(&sets, "%s%s = excluded.%s", comma, c->name, c->name);
	}
	char *sql = mem_printf("INSERT INTO run(%s) VALUES(%s) ON CONFLICT(id) DO UPDATE SET %s", buf_str(&names),
	                       buf_str(&marks), buf_str(&sets));
	buf_release(&names);
	buf_release(&marks);
	buf_release(&sets);
	return sql;
}

static void bind_column(sqlite3_stmt *s, int at, const struct column *c, const struct entry *x)
{
	const void *field = (const char *)x + c->offset;

	switch (c->type) {
	case COLUMN_INT:
		bind_count(s, at, *(const int64_t *)field);
		break;
	case COLUMN_REAL:
		if (isfinite(*(const double *)field))
			sqlite3_bind_double(s, at, *(const double *)field);
		break;
	case COLUMN_METHOD:
		bind_text(s, at, energy_method_name(*(const enum energy_method *)field));
		break;
	case COLUMN_TEXT:
	case COLUMN_JSON:
		if (!c->width)
			bind_text(s, at, *(const char *const *)field);
		else if (*(const char *)field)
			bind_text(s, at, field);
	}
}

static int put_run(const struct ledger *l, const struct entry *x, struct err *e)
{
	char *sql = put_sql();
	sqlite3_stmt *s = ledger_prepare(l, sql, e);
	int at = 0;

	mem_free(sql);
	if (!s)
		return -1;
	for (const struct column *c = entry_columns; c->name; c++)
		bind_column(s, ++at, c, x);
	return ledger_finish(l, s, e);
}

int ledger_put_artefact(struct ledger *l, const struct artefact *a, struct err *e)
{
	sqlite3_stmt *s = ledger_prepare(
		l,
		"INSERT INTO artefact(hash, kind, name, path, source, bytes, parameters, tokens) VALUES(?, ?, ?, ?, ?, "
	        "?, ?, ?)"
		" ON CONFLICT(hash) DO UPDATE SET kind = coalesce(excluded.kind, kind), name = coalesce(excluded.name, "
	        "name),"
		" path = coalesce(excluded.path, path), source = coalesce(excluded.source, source), bytes = "
	        "coalesce(excluded.bytes, bytes),"
		" parameters = coalesce(excluded.parameters, parameters), tokens = coalesce(excluded.tokens, tokens)",
		e);
	if (!s)
		return -1;
	bind_text(s, 1, a->hash);
	bind_text(s, 2, a->kind);
	bind_text(s, 3, a->name);
	bind_text(s, 4, a->path);
	bind_text(s, 5, a->source);
	bind_count(s, 6, a->bytes);
	bind_count(s, 7, a->parameters);
	bind_count(s, 8, a->tokens);
	return ledger_finish(l, s, e);
}

static int put_use(struct ledger *l, const char *run, const struct artefact_use *u, struct err *e)
{
	sqlite3_stmt *s;

	if (ledger_put_artefact(l, &u->artefact, e) < 0 ||
	    !(s = ledger_prepare(l,
	                         "INSERT OR REPLACE INTO artefact_use(run, artefact, role, is_out) VALUES(?, ?, ?, ?)",
	                         e)))
		return -1;
	bind_text(s, 1, run);
	bind_text(s, 2, u->artefact.hash);
	bind_text(s, 3, u->role);
	sqlite3_bind_int(s, 4, u->out);
	return ledger_finish(l, s, e);
}

static int delete_by_run(const struct ledger *l, const char *sql, const char *id, struct err *e)
{
	sqlite3_stmt *s = ledger_prepare(l, sql, e);
	if (!s)
		return -1;
	bind_text(s, 1, id);
	return ledger_finish(l, s, e);
}

/* In WAL mode SQLite goes on writing to a file that was deleted, moved or replaced, and says nothing. */
static int check_place(const struct ledger *l, struct err *e)
{
	struct stat st;

	if (l->inode && (stat(l->path, &st) || st.st_dev != l->device || st.st_ino != l->inode))
		return err_set(e, "ledger %s: it was deleted, moved or replaced while it was open", l->path);
	return 0;
}

int ledger_put(struct ledger *l, const struct entry *x, struct err *e)
{
	if (check_place(l, e) < 0)
		return -1;
	if (ledger_begin(l, e) < 0)
		return -1;
	int status = put_run(l, x, e);
	if (!status)
		status = delete_by_run(l, "DELETE FROM artefact_use WHERE run = ?", x->id, e);
	for (size_t i = 0; i < x->n_uses && !status; i++)
		status = put_use(l, x->id, &x->uses[i], e);
	if (!status)
		status = ledger_put_served(l, x->id, x->served, x->n_served, e);
	return ledger_end(l, status, e);
}

int ledger_remove(struct ledger *l, const char *id, struct err *e)
{
	return delete_by_run(l, "DELETE FROM run WHERE id = ?", id, e);
}

/* --- out --- */

static void read_text(sqlite3_stmt *s, int at, const struct column *c, void *field, struct arena *a)
{
	const char *text = (const char *)sqlite3_column_text(s, at);

	if (!c->width)
		*(const char **)field = text ? arena_strdup(a, text) : NULL;
	else if (text)
		strncpy(field, text, c->width - 1);
}

static void read_column(sqlite3_stmt *s, int at, const struct column *c, struct entry *x, struct arena *a)
{
	void *field = (char *)x + c->offset;
	const char *text;

	switch (c->type) {
	case COLUMN_INT:
		*(int64_t *)field = column_count(s, at);
		break;
	case COLUMN_REAL:
		*(double *)field = sqlite3_column_type(s, at) == SQLITE_NULL ? NAN : sqlite3_column_double(s, at);
		break;
	case COLUMN_METHOD:
		text = (const char *)sqlite3_column_text(s, at);
		for (int m = ENERGY_NONE; m <= ENERGY_ESTIMATED; m++)
			if (text && !strcmp(text, energy_method_name((enum energy_method)m)))
				*(enum energy_method *)field = (enum energy_method)m;
		break;
	case COLUMN_TEXT:
	case COLUMN_JSON:
		read_text(s, at, c, field, a);
	}
}

/* The newest `limit` that fit the filter, oldest first; rowid is the order in which they were entered here. */
static char *runs_sql(const struct ledger_filter *f)
{
	struct buf sql = BUF_INIT;

	buf_adds(&sql, "SELECT * FROM (SELECT ");
	for (const struct column *c = entry_columns; c->name; c++)
		buf_addf(&sql, "%s, ", c->name);
	buf_addf(&sql, "rowid AS place FROM run WHERE %s AND (?2 IS NULL OR command = ?2)",
	         f->id ? "id >= ?1 AND id < ?1 || '~'" : "?1 IS NULL"); /* a beginning, found by the key's index */
	buf_adds(&sql,
	         " AND (?3 IS NULL OR status = ?3) AND (?4 IS NULL OR began >= ?4) ORDER BY began DESC, place DESC");
	if (f->limit > 0)
		buf_addf(&sql, " LIMIT %lld", (long long)f->limit);
	buf_adds(&sql, ") ORDER BY began, place");
	return buf_detach(&sql, NULL);
}

static void read_artefact(sqlite3_stmt *s, int at, struct artefact *x, struct arena *a)
{
	*x = (struct artefact){
		.hash = column_text(s, at, a),
		.kind = column_text(s, at + 1, a),
		.name = column_text(s, at + 2, a),
		.path = column_text(s, at + 3, a),
		.source = column_text(s, at + 4, a),
		.bytes = column_count(s, at + 5),
		.parameters = column_count(s, at + 6),
		.tokens = column_count(s, at + 7),
	};
}

/* Uses of one run; a quick hash whose whole one is known by now is given as that. */
static int read_uses(const struct ledger *l, struct entry *x, struct arena *a, struct err *e)
{
	sqlite3_stmt *s = ledger_prepare(
		l,
		"SELECT u.role, u.is_out, coalesce(q.hash, a.hash), a.kind, a.name, a.path, a.source, a.bytes, "
	        "a.parameters, a.tokens"
		" FROM artefact_use u JOIN artefact a ON a.hash = u.artefact LEFT JOIN same q ON q.quick = u.artefact"
		" WHERE u.run = ? ORDER BY u.is_out, u.role, a.hash",
		e);
	size_t room = 0;

	if (!s)
		return -1;
	bind_text(s, 1, x->id);
	while (sqlite3_step(s) == SQLITE_ROW) {
		if (x->n_uses == room) {
			struct artefact_use *more = arena_array(a, room = room ? 2 * room : 4, sizeof(*more));
			if (x->n_uses)
				memcpy(more, x->uses, x->n_uses * sizeof(*more));
			x->uses = more;
		}
		struct artefact_use *u = &x->uses[x->n_uses++];
		u->role = column_text(s, 0, a);
		u->out = sqlite3_column_int(s, 1);
		read_artefact(s, 2, &u->artefact, a);
	}
	sqlite3_finalize(s);
	return 0;
}

static struct entry *next_entry(struct entries *x, size_t *room)
{
	if (x->n == *room)
		x->items = mem_grow(x->items, *room = *room ? 2 * *room : 16, sizeof(*x->items));
	struct entry *next = &x->items[x->n++];
	entry_init(next);
	return next;
}

int ledger_runs(struct ledger *l, const struct ledger_filter *f, struct entries *out, struct err *e)
{
	static const struct ledger_filter all = { 0 };
	size_t room = 0;
	int status = 0, step = SQLITE_DONE;

	*out = (struct entries){ 0 };
	f = f ? f : &all;
	char *sql = runs_sql(f);
	sqlite3_stmt *s = ledger_prepare(l, sql, e);
	mem_free(sql);
	if (!s)
		return -1;
	bind_text(s, 1, f->id);
	bind_text(s, 2, f->command);
	bind_text(s, 3, f->status);
	bind_text(s, 4, f->since);
	while (!status && (step = sqlite3_step(s)) == SQLITE_ROW) {
		struct entry *x = next_entry(out, &room);
		for (int i = 0; entry_columns[i].name; i++)
			read_column(s, i, &entry_columns[i], x, &out->mem);
		status = read_uses(l, x, &out->mem, e) < 0 ? -1 : ledger_read_served(l, x, &out->mem, e);
	}
	if (!status && step != SQLITE_DONE)
		status = ledger_error(l, "cannot be read", e);
	sqlite3_finalize(s);
	if (status)
		entries_release(out);
	return status;
}

void entries_release(struct entries *x)
{
	mem_free(x->items);
	arena_release(&x->mem);
	*x = (struct entries){ 0 };
}

int ledger_artefacts(struct ledger *l, struct artefacts *out, struct err *e)
{
	sqlite3_stmt *s =
		ledger_prepare(l,
	                       "SELECT hash, kind, name, path, source, bytes, parameters, tokens FROM artefact"
	                       " WHERE hash NOT IN (SELECT quick FROM same) ORDER BY hash",
	                       e);
	size_t room = 0;
	int step;

	*out = (struct artefacts){ 0 };
	if (!s)
		return -1;
	while ((step = sqlite3_step(s)) == SQLITE_ROW) {
		if (out->n == room)
			out->items = mem_grow(out->items, room = room ? 2 * room : 16, sizeof(*out->items));
		read_artefact(s, 0, &out->items[out->n++], &out->mem);
	}
	sqlite3_finalize(s);
	return step == SQLITE_DONE ? 0 : ledger_error(l, "cannot be read", e);
}

void artefacts_release(struct artefacts *x)
{
	mem_free(x->items);
	arena_release(&x->mem);
	*x = (struct artefacts){ 0 };
}
