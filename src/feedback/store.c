/* store: the file itself: made, opened, its transactions, what is asked. See store.h.
 *
 * WAL with synchronous=FULL: a commit is on the disk when it returns, readers see what was committed when they began.
 * The schema is written before the file is turned to WAL, so that its first page says what it is from the beginning.
 * That one process serves is a lock on FILE.server, a file of its own: closing any descriptor of the database would
 * drop the locks that SQLite holds on it. */
#include "feedback/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "feedback/store_parts.h"

enum { APPLICATION_ID = 0x6b666662 /* "kffb" */, SCHEMA = 1, BUSY_MS = 10000 };

const char *const feedback_ask_names[ASK_KINDS] = { [ASK_COMPARE] = "compare", [ASK_RANK] = "rank",
	                                            [ASK_RATE] = "rate", [ASK_CORRECT] = "correct",
	                                            [ASK_LABEL] = "label" };

static const char schema[] =
	"CREATE TABLE study (ask TEXT NOT NULL, answers INTEGER NOT NULL, instructions TEXT, labels TEXT,"
	" scale INTEGER NOT NULL, gold_share REAL NOT NULL, repeat_share REAL NOT NULL,"
	" labels_per_item INTEGER NOT NULL, wage REAL NOT NULL, model TEXT, model_hash TEXT);"
	"CREATE TABLE rater (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,"
	" role INTEGER NOT NULL, token TEXT);"
	"CREATE TABLE item (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, version TEXT NOT NULL,"
	" prompt TEXT NOT NULL, answers TEXT NOT NULL, models TEXT, extra TEXT, gold INTEGER,"
	" UNIQUE (key, version));"
	"CREATE TABLE label (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE,"
	" item INTEGER NOT NULL REFERENCES item, rater INTEGER NOT NULL REFERENCES rater, version TEXT NOT NULL,"
	" shown TEXT, winner INTEGER, tie INTEGER NOT NULL, both_bad INTEGER NOT NULL, skipped INTEGER NOT NULL,"
	" strength INTEGER NOT NULL, rank TEXT, rating TEXT, label TEXT, edited_answer INTEGER, edited TEXT,"
	" unsafe INTEGER NOT NULL, comment TEXT, seconds REAL, repeat_of INTEGER REFERENCES label,"
	" time REAL NOT NULL, withdrawn INTEGER NOT NULL DEFAULT 0);"
	"CREATE INDEX label_rater ON label (rater, item);"
	"CREATE TABLE states (item INTEGER PRIMARY KEY REFERENCES item, model TEXT NOT NULL, x BLOB NOT NULL);"
	"CREATE TABLE shown (id INTEGER PRIMARY KEY AUTOINCREMENT, rater INTEGER NOT NULL REFERENCES rater,"
	" item INTEGER NOT NULL REFERENCES item, answers TEXT NOT NULL, repeat_of INTEGER REFERENCES label,"
	" label INTEGER REFERENCES label);"
	"CREATE INDEX shown_rater ON shown (rater, label)";

/* --- SQLite with our errors --- */

int store_error(const struct feedback *f, const char *what, struct err *e)
{
	return err_set(e, "feedback %s: %s: %s", f->path, what, sqlite3_errmsg(f->db));
}

int store_exec(const struct feedback *f, const char *sql, struct err *e)
{
	return sqlite3_exec(f->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : store_error(f, "cannot be written", e);
}

sqlite3_stmt *store_prepare(struct feedback *f, const char *sql, struct err *e)
{
	sqlite3_stmt *s = NULL;

	for (int i = 0; i < f->n_kept; i++)
		if (f->kept[i].sql == sql && !sqlite3_stmt_busy(f->kept[i].s))
			return f->kept[i].s;
	if (sqlite3_prepare_v2(f->db, sql, -1, &s, NULL) != SQLITE_OK)
		store_error(f, "cannot be read", e);
	else if (f->n_kept < STATEMENTS) {
		f->kept[f->n_kept].sql = sql;
		f->kept[f->n_kept++].s = s;
	}
	return s;
}

void store_release(const struct feedback *f, sqlite3_stmt *s)
{
	for (int i = 0; i < f->n_kept; i++)
		if (f->kept[i].s == s) {
			sqlite3_reset(s);
			sqlite3_clear_bindings(s);
			return;
		}
	sqlite3_finalize(s);
}

int store_finish(const struct feedback *f, sqlite3_stmt *s, struct err *e)
{
	int status = sqlite3_step(s) == SQLITE_DONE ? 0 : store_error(f, "cannot be written", e);

	store_release(f, s);
	return status;
}

bool store_next(const struct feedback *f, sqlite3_stmt *s, int *status, struct err *e)
{
	int step = sqlite3_step(s);

	if (step == SQLITE_ROW)
		return true;
	*status = step == SQLITE_DONE ? 0 : store_error(f, "cannot be read", e);
	store_release(f, s);
	return false;
}

void store_bind(sqlite3_stmt *s, int at, const char *text)
{
	if (text)
		sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC);
}

void store_bind_number(sqlite3_stmt *s, int at, double x)
{
	sqlite3_bind_double(s, at, x); /* SQLite has no NAN: it stores null */
}

const char *store_text(sqlite3_stmt *s, int at, struct arena *mem)
{
	const char *text = (const char *)sqlite3_column_text(s, at);

	return text ? arena_strndup(mem, text, (size_t)sqlite3_column_bytes(s, at)) : NULL;
}

void *store_room(struct arena *mem, void *list, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return list;
	*cap = MAX((size_t)64, 2 * *cap);
	return arena_resize(mem, list, *cap * size);
}

char *store_list(const char *const *texts, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, texts[i] ? json_string(texts[i]) : json_null());
	char *text = jsonx_line(list);
	json_decref(list);
	return text;
}

int store_take_list(sqlite3_stmt *s, int at, struct arena *mem, const char **out, size_t room)
{
	const char *text = (const char *)sqlite3_column_text(s, at);
	json_t *list = text ? json_loads(text, 0, NULL) : NULL, *entry;
	size_t i, n = json_array_size(list);
	int status = json_is_array(list) && n <= room ? (int)n : -1;

	json_array_foreach(list, i, entry)
		if (status >= 0)
			out[i] = json_is_string(entry) ? arena_strdup(mem, json_string_value(entry)) : NULL;
	json_decref(list);
	return status;
}

char *store_places(const int8_t *x, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_integer(x[i]));
	char *text = jsonx_line(list);
	json_decref(list);
	return text;
}

void store_take_places(sqlite3_stmt *s, int at, int8_t out[FEEDBACK_ANSWERS], int8_t otherwise)
{
	const char *text = (const char *)sqlite3_column_text(s, at);
	json_t *list = text ? json_loads(text, 0, NULL) : NULL;

	for (size_t i = 0; i < FEEDBACK_ANSWERS; i++) {
		const json_t *x = json_array_get(list, i);
		out[i] = json_is_integer(x) ? (int8_t)json_integer_value(x) : otherwise;
	}
	json_decref(list);
}

static int64_t pragma(const struct feedback *f, const char *sql)
{
	sqlite3_stmt *s;
	int64_t value = -1;

	if (sqlite3_prepare_v2(f->db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
		value = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return value;
}

static void close_database(struct feedback *f)
{
	for (int i = 0; i < f->n_kept; i++)
		sqlite3_finalize(f->kept[i].s);
	f->n_kept = 0;
	sqlite3_close(f->db);
}

int feedback_begin(struct feedback *f, struct err *e)
{
	if (f->depth == 0 && store_exec(f, "BEGIN IMMEDIATE", e) < 0)
		return -1;
	f->depth++;
	return 0;
}

int feedback_end(struct feedback *f, int status, struct err *e)
{
	if (--f->depth > 0)
		return status;
	if (status >= 0 && store_exec(f, "COMMIT", e) < 0)
		status = -1;
	if (status < 0)
		sqlite3_exec(f->db, "ROLLBACK", NULL, NULL, NULL);
	return status;
}

/* --- making --- */

static int put_study(struct feedback *f, const struct feedback_study *d, struct err *e)
{
	sqlite3_stmt *s = store_prepare(f, "INSERT INTO study VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", e);
	size_t n = 0;

	if (!s)
		return -1;
	while (d->labels && d->labels[n])
		n++;
	char *labels = n ? store_list(d->labels, n) : NULL;
	store_bind(s, 1, feedback_ask_names[d->ask]);
	sqlite3_bind_int(s, 2, d->n_answers);
	store_bind(s, 3, d->instructions);
	store_bind(s, 4, labels);
	sqlite3_bind_int(s, 5, d->scale);
	store_bind_number(s, 6, d->gold_share);
	store_bind_number(s, 7, d->repeat_share);
	sqlite3_bind_int(s, 8, d->labels_per_item);
	store_bind_number(s, 9, d->wage);
	store_bind(s, 10, d->model);
	store_bind(s, 11, d->model_hash);
	int status = store_finish(f, s, e);
	mem_free(labels);
	return status;
}

static int fill(struct feedback *f, const struct feedback_study *s, struct err *e)
{
	char sql[128];

	sqlite3_snprintf(sizeof(sql), sql, "PRAGMA application_id = %d; PRAGMA user_version = %d", APPLICATION_ID,
	                 SCHEMA);
	if (feedback_begin(f, e) < 0)
		return -1;
	int status = store_exec(f, sql, e) < 0 || store_exec(f, schema, e) < 0 ? -1 : put_study(f, s, e);
	return feedback_end(f, status, e) < 0 ? -1 : store_exec(f, "PRAGMA journal_mode = WAL", e);
}

/* The file is its owner's alone, and what SQLite lays beside it takes the same mode. */
int feedback_create(const char *path, const struct feedback_study *s, struct err *e)
{
	struct feedback f = { .path = (char *)(uintptr_t)path, .lock = -1 };
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EEXIST)
		return err_set(e, "%s is there already", path);
	if (fd < 0)
		return err_set(e, "cannot make %s: %s", path, strerror(errno));
	close(fd);
	int open = sqlite3_open_v2(path, &f.db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	int status = open == SQLITE_OK ? fill(&f, s, e) : store_error(&f, "cannot be made", e);
	close_database(&f);
	if (status < 0)
		feedback_discard(path);
	return status;
}

void feedback_discard(const char *path)
{
	static const char *const beside[] = { "", "-wal", "-shm" };

	for (size_t i = 0; i < ARRAY_LEN(beside); i++) {
		char *name = mem_printf("%s%s", path, beside[i]);
		unlink(name);
		mem_free(name);
	}
}

/* --- opening --- */

bool feedback_is(const char *path)
{
	static const char magic[16] = "SQLite format 3";
	char head[sizeof(magic)];
	struct stat st;
	/* what a pipe gave would be lost to who reads it after us */
	FILE *file = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? fopen(path, "re") : NULL;
	bool is = file && fread(head, 1, sizeof(head), file) == sizeof(head) && !memcmp(head, magic, sizeof(magic));

	if (file)
		fclose(file);
	return is;
}

static int check_kind(struct feedback *f, struct err *e)
{
	int64_t application = pragma(f, "PRAGMA application_id"), version = pragma(f, "PRAGMA user_version");

	if (application < 0)
		return store_error(f, "cannot be read", e);
	if (application != APPLICATION_ID)
		return err_set(e, "%s is a database of something else, no file of feedback; kungfu feedback new makes "
		                  "one", f->path);
	if (version > SCHEMA)
		return err_set(e, "feedback %s: its schema is version %lld, this program knows %d: it was written by a "
		                  "newer kungfu", f->path, (long long)version, SCHEMA);
	return version == SCHEMA ? 0 : err_set(e, "feedback %s: damaged: its schema is version %lld", f->path,
	                                       (long long)version);
}

static int ask_of(const char *name)
{
	for (int i = 0; i < ASK_KINDS; i++)
		if (name && !strcmp(name, feedback_ask_names[i]))
			return i;
	return -1;
}

/* The labels of a class, until NULL. */
static const char *const *classes_of(struct feedback *f, sqlite3_stmt *s, int at)
{
	size_t room = (size_t)sqlite3_column_bytes(s, at) / 3 + 2; /* "," and two quotes each */
	const char **list = arena_array(&f->mem, room, sizeof(*list));

	return store_take_list(s, at, &f->mem, list, room - 1) > 0 ? list : NULL;
}

static int read_study(struct feedback *f, struct err *e)
{
	sqlite3_stmt *s = store_prepare(f, "SELECT ask, answers, instructions, labels, scale, gold_share, "
	                                   "repeat_share, labels_per_item, wage, model, model_hash FROM study", e);
	int status, ask = -1;

	if (!s)
		return -1;
	while (store_next(f, s, &status, e)) {
		ask = ask_of((const char *)sqlite3_column_text(s, 0));
		f->study = (struct feedback_study){
			.ask = ask < 0 ? ASK_COMPARE : (enum feedback_ask)ask,
			.n_answers = sqlite3_column_int(s, 1),
			.instructions = store_text(s, 2, &f->mem),
			.labels = classes_of(f, s, 3),
			.scale = sqlite3_column_int(s, 4),
			.gold_share = sqlite3_column_double(s, 5),
			.repeat_share = sqlite3_column_double(s, 6),
			.labels_per_item = sqlite3_column_int(s, 7),
			.wage = sqlite3_column_double(s, 8),
			.model = store_text(s, 9, &f->mem),
			.model_hash = store_text(s, 10, &f->mem),
		};
	}
	return status == 0 && ask < 0 ? err_set(e, "feedback %s: damaged: it does not say what is asked", f->path) :
	                                status;
}

static int open_it(struct feedback *f, bool write, struct err *e)
{
	if (!io_exists(f->path))
		return err_set(e, "%s: there is no such file of feedback; kungfu feedback new makes one", f->path);
	size_t size = 0;
	if (io_is_dir(f->path) || (io_size(f->path, &size, NULL) == 0 && size && !feedback_is(f->path)))
		return err_set(e, "%s is no file of feedback: it is no SQLite file", f->path);
	if (sqlite3_open_v2(f->path, &f->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return store_error(f, "cannot be opened", e);
	sqlite3_busy_timeout(f->db, BUSY_MS);
	if (check_kind(f, e) < 0 || store_exec(f, "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON", e) < 0)
		return -1;
	if (write && sqlite3_db_readonly(f->db, "main"))
		return err_set(e, "feedback %s: it may not be written", f->path);
	return read_study(f, e);
}

int feedback_open(struct feedback **out, const char *path, bool write, struct err *e)
{
	struct feedback *f = mem_alloc(sizeof(*f));

	*out = NULL;
	*f = (struct feedback){ .path = mem_strdup(path), .lock = -1 };
	if (open_it(f, write, e) < 0) {
		feedback_close(f);
		return -1;
	}
	*out = f;
	return 0;
}

void feedback_close(struct feedback *f)
{
	if (!f)
		return;
	close_database(f);
	if (f->lock >= 0) {
		unlink(f->lock_path);
		io_unlock(f->lock);
	}
	mem_free(f->lock_path);
	mem_free(f->path);
	arena_release(&f->mem);
	mem_free(f);
}

const struct feedback_study *feedback_study(const struct feedback *f) { return &f->study; }

/* --- one server --- */

static int already_served(const struct feedback *f, const char *lock_path, struct err *e)
{
	struct buf pid = BUF_INIT;
	int status = io_read(&pid, lock_path, NULL);

	if (status == 0 && pid.len)
		err_set(e, "feedback %s: process %s serves it already", f->path, buf_str(&pid));
	else
		err_set(e, "feedback %s: another process serves it already", f->path);
	buf_release(&pid);
	return -1;
}

int feedback_lock(struct feedback *f, struct err *e)
{
	char *path = mem_printf("%s.server", f->path), pid[24];
	struct stat st = { 0 };
	int lock;

	/* whoever held it may have removed the name between our opening and our locking it */
	while (io_lock(path, &lock, e) == 0 && (fstat(lock, &st) || !st.st_nlink))
		io_unlock(lock);
	if (!st.st_nlink) {
		int status = io_exists(path) ? already_served(f, path, e) : -1;
		mem_free(path);
		return status;
	}
	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	f->lock = lock;
	f->lock_path = path;
	if (ftruncate(lock, 0) || pwrite(lock, pid, strlen(pid), 0) < 0)
		return err_set(e, "cannot write %s: %s", path, strerror(errno));
	return 0;
}
