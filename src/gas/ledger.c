/* ledger: opening, schema, and the entries of dead processes. See ledger.h.
 *
 * WAL with synchronous=NORMAL: a killed process corrupts nothing, and a machine that loses power may lose the last
 * entries, never the file. Writers wait for one another up to BUSY_MS. A schema grows by columns: what entry_columns
 * has and the file lacks is added, so that a step of the version needs no code of its own; LEDGER_SCHEMA rises with it,
 * and an older program refuses the newer file. */
#include "gas/ledger.h"

#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/env.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/stop.h"
#include "gas/ledger_parts.h"

enum { APPLICATION_ID = 0x6b756e67 /* "kung" */, BUSY_MS = 5000, WAIT_MS = 20 };

char *ledger_default_path(void) { return env_state_file("ledger.db"); }

/* --- SQLite with our errors --- */

int ledger_error(const struct ledger *l, const char *what, struct err *e)
{
	return err_set(e, "ledger %s: %s: %s", l->path, what, sqlite3_errmsg(l->db));
}

static int ledger_exec(const struct ledger *l, const char *sql, struct err *e)
{
	return sqlite3_exec(l->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : ledger_error(l, "cannot be written", e);
}

sqlite3_stmt *ledger_prepare(const struct ledger *l, const char *sql, struct err *e)
{
	sqlite3_stmt *s = NULL;
	if (sqlite3_prepare_v2(l->db, sql, -1, &s, NULL) != SQLITE_OK)
		ledger_error(l, "cannot be read", e);
	return s;
}

int ledger_finish(const struct ledger *l, sqlite3_stmt *s, struct err *e)
{
	int status = sqlite3_step(s) == SQLITE_DONE ? 0 : ledger_error(l, "cannot be written", e);
	sqlite3_finalize(s);
	return status;
}

void bind_text(sqlite3_stmt *s, int at, const char *text) { sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC); }

void bind_count(sqlite3_stmt *s, int at, int64_t n)
{
	if (n >= 0)
		sqlite3_bind_int64(s, at, n);
}

const char *column_text(sqlite3_stmt *s, int at, struct arena *a)
{
	const char *text = (const char *)sqlite3_column_text(s, at);
	return text ? arena_strdup(a, text) : NULL;
}

int64_t column_count(sqlite3_stmt *s, int at)
{
	return sqlite3_column_type(s, at) == SQLITE_NULL ? -1 : sqlite3_column_int64(s, at);
}

int ledger_begin(struct ledger *l, struct err *e)
{
	if (l->depth == 0 && ledger_exec(l, "BEGIN IMMEDIATE", e) < 0)
		return -1;
	l->depth++;
	return 0;
}

int ledger_end(struct ledger *l, int status, struct err *e)
{
	if (--l->depth > 0)
		return status;
	if (!status)
		status = ledger_exec(l, "COMMIT", e);
	if (status)
		sqlite3_exec(l->db, "ROLLBACK", NULL, NULL, NULL);
	return status;
}

static int64_t pragma(const struct ledger *l, const char *sql, int64_t otherwise)
{
	sqlite3_stmt *s;
	int64_t value = otherwise;

	if (sqlite3_prepare_v2(l->db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
		value = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return value;
}

/* --- schema --- */

static const char *const other_tables =
	"CREATE TABLE IF NOT EXISTS artefact(hash TEXT PRIMARY KEY, kind TEXT, name TEXT, path TEXT, source TEXT, "
        "bytes INTEGER, parameters INTEGER, tokens INTEGER);"
	"CREATE TABLE IF NOT EXISTS artefact_use(run TEXT NOT NULL REFERENCES run(id) ON DELETE CASCADE, artefact TEXT "
        "NOT NULL, role TEXT NOT NULL,"
	" is_out INTEGER NOT NULL, PRIMARY KEY(run, artefact, role, is_out)) WITHOUT ROWID;"
	"CREATE INDEX IF NOT EXISTS artefact_use_by_artefact ON artefact_use(artefact);"
	"CREATE TABLE IF NOT EXISTS file_hash(path TEXT PRIMARY KEY, size INTEGER, mtime INTEGER, inode INTEGER, hash "
        "TEXT) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS served(run TEXT NOT NULL REFERENCES run(id) ON DELETE CASCADE, day TEXT NOT NULL, "
        "key TEXT NOT NULL, model TEXT NOT NULL, adapter TEXT NOT NULL, requests INTEGER, tokens_in INTEGER, "
        "cached INTEGER, tokens_out INTEGER, guessed INTEGER, accepted INTEGER, seconds REAL, joules REAL, joules_low "
        "REAL, joules_high REAL, money REAL, currency TEXT, PRIMARY KEY(run, day, key, model, adapter)) WITHOUT ROWID;"
	"CREATE INDEX IF NOT EXISTS served_by_day ON served(day);"
	"CREATE TABLE IF NOT EXISTS same(quick TEXT PRIMARY KEY, hash TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS machine(id TEXT PRIMARY KEY, idle_watts REAL, idle_source TEXT);";

static const char *sql_type(const struct column *c)
{
	return c->type == COLUMN_INT ? "INTEGER" : c->type == COLUMN_REAL ? "REAL" : "TEXT";
}

static bool has_column(const struct ledger *l, const char *name)
{
	char sql[160];
	sqlite3_snprintf(sizeof(sql), sql, "SELECT count(*) FROM pragma_table_info('run') WHERE name = '%q'", name);
	return pragma(l, sql, 0) > 0;
}

static int add_columns(const struct ledger *l, struct err *e)
{
	int status = 0;
	for (const struct column *c = entry_columns; c->name && !status; c++) {
		char sql[160];
		if (has_column(l, c->name))
			continue;
		sqlite3_snprintf(sizeof(sql), sql, "ALTER TABLE run ADD COLUMN %s %s", c->name, sql_type(c));
		status = ledger_exec(l, sql, e);
	}
	return status;
}

/* In one transaction, and only by the one process that is first. */
static int migrate(struct ledger *l, struct err *e)
{
	char version[64];

	if (ledger_begin(l, e) < 0)
		return -1;
	int status = 0;
	if (pragma(l, "PRAGMA user_version", 0) < LEDGER_SCHEMA) {
		sqlite3_snprintf(sizeof(version), version, "PRAGMA application_id = %d; PRAGMA user_version = %d",
		                 APPLICATION_ID, LEDGER_SCHEMA);
		status = ledger_exec(l, "CREATE TABLE IF NOT EXISTS run(id TEXT PRIMARY KEY)", e) ||
		                         add_columns(l, e) || ledger_exec(l, other_tables, e) ||
		                         ledger_exec(l, "CREATE INDEX IF NOT EXISTS run_by_status ON run(status)", e) ||
		                         ledger_exec(l, version, e) ?
		                 -1 :
		                 0;
	}
	return ledger_end(l, status, e);
}

static int check_version(struct ledger *l, struct err *e)
{
	int64_t application = pragma(l, "PRAGMA application_id", -1), version = pragma(l, "PRAGMA user_version", -1);

	if (application < 0)
		return ledger_error(l, "cannot be read", e);
	if (application != APPLICATION_ID && (application || pragma(l, "SELECT count(*) FROM sqlite_schema", 0)))
		return err_set(e, "ledger %s: it is a database of something else", l->path);
	if (version > LEDGER_SCHEMA)
		return err_set(e,
		               "ledger %s: its schema is version %lld, this program knows %d: it was written by a "
		               "newer kungfu",
		               l->path, (long long)version, LEDGER_SCHEMA);
	if (version == LEDGER_SCHEMA)
		return 0;
	if (!l->writable)
		return err_set(e, "ledger %s: its schema is version %lld and it cannot be written to make it %d",
		               l->path, (long long)version, LEDGER_SCHEMA);
	return migrate(l, e);
}

/* --- entries whose process is dead --- */

struct self { const char *machine, *boot, *space; };

static bool is_dead(sqlite3_stmt *s, const struct self *self)
{
	const char *machine = (const char *)sqlite3_column_text(s, 1), *boot = (const char *)sqlite3_column_text(s, 2);
	const char *space = (const char *)sqlite3_column_text(s, 5);

	if (!machine || !boot || !self->boot)
		return false;
	if (strcmp(boot, self->boot))
		return !strcmp(machine, self->machine);
	/* another container's: its process ids mean nothing here */
	if (!space || !self->space || strcmp(space, self->space))
		return false;
	return process_start(sqlite3_column_int64(s, 3)) != sqlite3_column_int64(s, 4);
}

static void close_dead(const struct ledger *l)
{
	struct arena mem = ARENA_INIT;
	struct err ignored = ERR_INIT;
	struct self self = { this_machine(&mem), this_boot(&mem), this_pid_space(&mem) };
	sqlite3_stmt *s =
		ledger_prepare(l,
	                       "SELECT id, machine, boot, pid, pid_start, pid_space FROM run WHERE status = 'running'",
	                       &ignored);

	while (s && sqlite3_step(s) == SQLITE_ROW) {
		if (!is_dead(s, &self))
			continue;
		sqlite3_stmt *u = ledger_prepare(l,
		                                 "UPDATE run SET status = 'killed', note = 'its process ended without "
		                                 "a word; figures up to its last report'"
		                                 " WHERE id = ? AND status = 'running'",
		                                 &ignored);
		sqlite3_bind_value(u, 1, sqlite3_column_value(s, 0));
		ledger_finish(l, u, &ignored);
	}
	sqlite3_finalize(s);
	arena_release(&mem);
}

/* --- opening --- */

/* SQLite's name of a file that cannot be written: what a URI gives a meaning is written as %xx. */
static char *immutable_uri(const char *path)
{
	struct buf uri = BUF_INIT;
	buf_adds(&uri, "file:");
	for (; *path; path++) {
		if (strchr("?#%", *path))
			buf_addf(&uri, "%%%02x", (unsigned char)*path);
		else
			buf_addc(&uri, *path);
	}
	buf_adds(&uri, "?immutable=1");
	return buf_detach(&uri, NULL);
}

/* A new ledger is its owner's alone, and what SQLite lays beside it takes the same mode: it holds command lines. */
static void make_private(const char *path, enum ledger_mode mode)
{
	int fd = mode == LEDGER_WRITE ? open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;

	if (fd >= 0)
		close(fd);
}

static int open_file(struct ledger *l, enum ledger_mode mode)
{
	int flags = SQLITE_OPEN_READWRITE | (mode == LEDGER_WRITE ? SQLITE_OPEN_CREATE : 0);
	bool read_only = mode == LEDGER_READ && access(l->path, W_OK) != 0;

	if (!read_only) {
		l->writable = true;
		make_private(l->path, mode);
		return sqlite3_open_v2(l->path, &l->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
	}
	char *uri = immutable_uri(l->path);
	int status = sqlite3_open_v2(uri, &l->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
	mem_free(uri);
	return status;
}

static int make_folder(const char *path, struct err *e)
{
	const char *name = io_basename(path);
	if (name == path)
		return 0;
	char *folder = mem_strndup(path, (size_t)(name - path));
	int status = io_mkdirs(folder, e);
	mem_free(folder);
	return status;
}

/* Others write: is it worth to wait on? Somebody who wants to stop does not. */
static int wait_for_others(void *ctx, int waited)
{
	(void)ctx;
	if (stop_asked() || waited * WAIT_MS >= BUSY_MS)
		return 0;
	sqlite3_sleep(WAIT_MS);
	return 1;
}

static int set_up(struct ledger *l, struct err *e)
{
	struct stat st;

	sqlite3_extended_result_codes(l->db, 1);
	sqlite3_busy_handler(l->db, wait_for_others, NULL);
	if (l->writable &&
	    (ledger_exec(l, "PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -128", e) < 0))
		return -1;
	/* Only a new file is turned to WAL: the mode is in the file. */
	if (l->writable && pragma(l, "PRAGMA application_id", -1) == 0 &&
	    ledger_exec(l, "PRAGMA journal_mode = WAL", e) < 0)
		return -1;
	if (check_version(l, e) < 0)
		return -1;
	if (l->writable)
		close_dead(l);
	if (stat(l->path, &st) == 0) {
		l->device = st.st_dev;
		l->inode = st.st_ino;
	}
	return 0;
}

int ledger_open(struct ledger **out, const char *path, enum ledger_mode mode, struct err *e)
{
	*out = NULL;
	if (mode == LEDGER_WRITE && make_folder(path, e) < 0)
		return err_prefix(e, "ledger %s", path);
	if (mode == LEDGER_READ && !io_exists(path))
		return err_set(e, "there is no ledger %s", path);
	struct ledger *l = mem_alloc(sizeof(*l));
	l->path = mem_strdup(path);
	if (open_file(l, mode) != SQLITE_OK)
		ledger_error(l, "cannot be opened", e);
	else if (set_up(l, e) == 0)
		*out = l;
	if (!*out)
		ledger_close(l);
	return *out ? 0 : -1;
}

void ledger_close(struct ledger *l)
{
	if (!l)
		return;
	sqlite3_close(l->db);
	mem_free(l->path);
	mem_free(l);
}

double ledger_idle_watts(struct ledger *l)
{
	struct arena mem = ARENA_INIT;
	struct err ignored = ERR_INIT;
	double watts = NAN;
	sqlite3_stmt *s = ledger_prepare(l, "SELECT idle_watts FROM machine WHERE id = ?", &ignored);

	if (s) {
		bind_text(s, 1, this_machine(&mem));
		if (sqlite3_step(s) == SQLITE_ROW && sqlite3_column_type(s, 0) == SQLITE_FLOAT)
			watts = sqlite3_column_double(s, 0);
	}
	sqlite3_finalize(s);
	arena_release(&mem);
	return watts;
}

int ledger_set_idle_watts(struct ledger *l, double watts, const char *source, struct err *e)
{
	struct arena mem = ARENA_INIT;
	sqlite3_stmt *s = ledger_prepare(
		l,
		"INSERT INTO machine(id, idle_watts, idle_source) VALUES(?, ?, ?)"
		" ON CONFLICT(id) DO UPDATE SET idle_watts = excluded.idle_watts, idle_source = excluded.idle_source",
		e);
	int status = -1;

	if (s) {
		bind_text(s, 1, this_machine(&mem));
		sqlite3_bind_double(s, 2, watts);
		bind_text(s, 3, source);
		status = ledger_finish(l, s, e);
	}
	arena_release(&mem);
	return status;
}
