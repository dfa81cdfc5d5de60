/* index: made, opened, told. See index.h; index_write.c changes it, index_search.c searches.
 *
 * WAL with synchronous=FULL: what a commit said is there after a loss of power too, and readers see what was committed
 * when they opened, whoever writes. */
#include "retrieve/index.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "retrieve/bm25.h"
#include "retrieve/index_parts.h"

enum { APPLICATION_ID = 0x6b666978 /* "kfix" */, SCHEMA = 1, BUSY_MS = 10000 };

static const char schema[] =
	"CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
	"CREATE TABLE document (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, hash TEXT NOT NULL, title TEXT,"
	" source TEXT, fields TEXT);"
	"CREATE TABLE chunk (number INTEGER PRIMARY KEY, document INTEGER, place INTEGER, text TEXT);"
	"CREATE INDEX chunk_document ON chunk (document)";

/* --- SQLite with our errors --- */

int index_error(const struct index *x, const char *what, struct err *e)
{
	return err_set(e, "index %s: %s: %s", x->path, what, sqlite3_errmsg(x->db));
}

int index_exec(struct index *x, const char *sql, struct err *e)
{
	return sqlite3_exec(x->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : index_error(x, "cannot be written", e);
}

sqlite3_stmt *index_prepare(struct index *x, const char *sql, struct err *e)
{
	sqlite3_stmt *s = NULL;

	if (sqlite3_prepare_v2(x->db, sql, -1, &s, NULL) != SQLITE_OK)
		index_error(x, "cannot be read", e);
	return s;
}

int index_finish(struct index *x, sqlite3_stmt *s, struct err *e)
{
	int status = sqlite3_step(s) == SQLITE_DONE ? 0 : index_error(x, "cannot be written", e);

	sqlite3_finalize(s);
	return status;
}

char *index_file(const struct index *x, const char *what, int64_t generation)
{
	return mem_printf("%s.%s-%lld", x->path, what, (long long)generation);
}

/* --- meta --- */

int index_put_number(struct index *x, const char *key, int64_t value, struct err *e)
{
	sqlite3_stmt *s = index_prepare(x, "INSERT OR REPLACE INTO meta VALUES (?, ?)", e);

	if (!s)
		return -1;
	sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
	sqlite3_bind_int64(s, 2, value);
	return index_finish(x, s, e);
}

static int put_text(struct index *x, const char *key, const char *value, struct err *e)
{
	sqlite3_stmt *s = value ? index_prepare(x, "INSERT OR REPLACE INTO meta VALUES (?, ?)", e) : NULL;

	if (!s)
		return value ? -1 : 0;
	sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
	sqlite3_bind_text(s, 2, value, -1, SQLITE_STATIC);
	return index_finish(x, s, e);
}

static void take(struct index *x, const char *key, sqlite3_stmt *s)
{
	struct index_settings *t = &x->settings;
	int64_t n = sqlite3_column_int64(s, 1);
	const char *text = (const char *)sqlite3_column_text(s, 1);

	if (!strcmp(key, "generation"))
		x->generation = n;
	else if (!strcmp(key, "chunks"))
		x->places = n;
	else if (!strcmp(key, "words_bytes"))
		x->words_bytes = n;
	else if (!strcmp(key, "segments"))
		x->segments = n;
	else if (!strcmp(key, "ivf"))
		x->ivf = n;
	else if (!strcmp(key, "ivf_lists"))
		t->ivf_lists = (int)n;
	else if (!strcmp(key, "chunk_tokens"))
		t->chunk_tokens = (int)n;
	else if (!strcmp(key, "overlap"))
		t->overlap = (int)n;
	else if (!strcmp(key, "width"))
		t->width = (int)n;
	else if (!strcmp(key, "vectors") && text)
		t->vectors = !strcmp(text, vectors_names[VECTORS_F16]) ? VECTORS_F16 : VECTORS_INT8;
	else if (!strcmp(key, "embedder") && text)
		t->embedder = arena_strdup(&x->mem, text);
	else if (!strcmp(key, "embedder_hash") && text)
		t->embedder_hash = arena_strdup(&x->mem, text);
}

struct vectors_form index_form(const struct index *x)
{
	return (struct vectors_form){ x->settings.vectors, (size_t)x->settings.width };
}

int index_read_meta(struct index *x, struct err *e)
{
	sqlite3_stmt *s = index_prepare(x, "SELECT key, value FROM meta", e);
	int step = SQLITE_DONE;

	if (!s)
		return -1;
	while ((step = sqlite3_step(s)) == SQLITE_ROW)
		take(x, (const char *)sqlite3_column_text(s, 0), s);
	sqlite3_finalize(s);
	if (step != SQLITE_DONE)
		return index_error(x, "cannot be read", e);
	if (x->places < 0 || x->places > UINT32_MAX / 2 || x->words_bytes < 0 || x->settings.width < 0)
		return err_set(e, "index %s: damaged: %lld chunks, %lld bytes of words", x->path, (long long)x->places,
		               (long long)x->words_bytes);
	return 0;
}

/* --- making --- */

static int fill(struct index *x, const struct index_settings *s, struct err *e)
{
	char sql[128];

	sqlite3_snprintf(sizeof(sql), sql, "PRAGMA application_id = %d; PRAGMA user_version = %d", APPLICATION_ID,
	                 SCHEMA);
	if (index_exec(x, "PRAGMA journal_mode = WAL", e) < 0 || index_exec(x, "BEGIN IMMEDIATE", e) < 0 ||
	    index_exec(x, sql, e) < 0 || index_exec(x, schema, e) < 0 ||
	    put_text(x, "bm25", INDEX_BM25, e) < 0 || index_put_number(x, "generation", 1, e) < 0 ||
	    index_put_number(x, "chunks", 0, e) < 0 || index_put_number(x, "words_bytes", 0, e) < 0 ||
	    index_put_number(x, "segments", 0, e) < 0 || index_put_number(x, "chunk_tokens", s->chunk_tokens, e) < 0 ||
	    index_put_number(x, "overlap", s->overlap, e) < 0 || index_put_number(x, "width", s->width, e) < 0 ||
	    index_put_number(x, "ivf_lists", s->ivf_lists, e) < 0 ||
	    put_text(x, "vectors", s->width ? vectors_names[s->vectors] : NULL, e) < 0 ||
	    put_text(x, "embedder", s->embedder, e) < 0 || put_text(x, "embedder_hash", s->embedder_hash, e) < 0)
		return -1;
	return index_exec(x, "COMMIT", e);
}

/* An empty file is what a killed process left that had not begun. */
int index_is_there(const char *path, struct err *e)
{
	struct stat st;

	if (stat(path, &st) || (S_ISREG(st.st_mode) && st.st_size == 0))
		return 0;
	if (!S_ISREG(st.st_mode))
		return err_set(e, "%s is a %s, the name of a file was wanted", path,
		               S_ISDIR(st.st_mode) ? "folder" : "device or pipe");
	return err_set(e, "%s is there already; kungfu index add adds to an index", path);
}

int index_create(const char *path, const struct index_settings *settings, struct err *e)
{
	if (index_is_there(path, e) < 0)
		return -1;
	struct index x = { .path = mem_strdup(path) };
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600); /* documents are in it: its owner's alone */
	if (fd >= 0)
		close(fd);
	int opened = sqlite3_open_v2(path, &x.db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
	int status = opened == SQLITE_OK ? fill(&x, settings, e) : index_error(&x, "cannot be made", e);
	sqlite3_close(x.db);
	if (status < 0)
		index_discard(path);
	mem_free(x.path);
	return status;
}

void index_discard(const char *path)
{
	const struct index x = { .path = (char *)(uintptr_t)path };
	static const char *const what[] = { "words", "vectors", "ivf" };

	unlink(path);
	for (size_t i = 0; i < ARRAY_LEN(what); i++) {
		char *beside = index_file(&x, what[i], 1);
		unlink(beside);
		mem_free(beside);
	}
}

/* --- opening --- */

static int64_t pragma(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *s;
	int64_t value = -1;

	if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
		value = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return value;
}

static int check_kind(struct index *x, struct err *e)
{
	if (pragma(x->db, "PRAGMA application_id") != APPLICATION_ID)
		return err_set(e, "%s is no index; kungfu index build makes one", x->path);
	if (pragma(x->db, "PRAGMA user_version") != SCHEMA)
		return err_set(e, "index %s has version %lld, this program reads %d", x->path,
		               (long long)pragma(x->db, "PRAGMA user_version"), SCHEMA);
	return 0;
}

static int map_file(struct index *x, const char *what, int64_t number, size_t need, struct mapping *m, struct err *e)
{
	char *path = index_file(x, what, number);
	int status = need ? io_map(m, path, e) : 0;

	if (status == 0 && m->size < need)
		status = err_set(e, "%s has %zu bytes, the index counts %zu", path, m->size, need);
	mem_free(path);
	return status;
}

static int read_segments(struct index *x, struct err *e)
{
	size_t at = 0, chunk = 0;

	x->segment = arena_array(&x->mem, (size_t)x->segments + 1, sizeof(*x->segment));
	x->first = arena_array(&x->mem, (size_t)x->segments + 1, sizeof(*x->first));
	for (; x->n_segments < (size_t)x->segments; x->n_segments++) {
		struct postings *p = &x->segment[x->n_segments];
		if (postings_read(p, x->words.data + at, (size_t)x->words_bytes - at, x->path, e) < 0)
			return -1;
		x->first[x->n_segments] = (uint32_t)chunk;
		at += p->head.bytes;
		chunk += p->head.chunks;
	}
	if (chunk != (size_t)x->places)
		return err_set(e, "index %s: damaged: %zu chunks have words, %lld are there", x->path, chunk,
		               (long long)x->places);
	return 0;
}

int index_read_dead(struct index *x, uint8_t *dead, struct err *e)
{
	sqlite3_stmt *s = index_prepare(x, "SELECT number FROM chunk WHERE document IS NULL", e);
	int step;

	if (!s)
		return -1;
	while ((step = sqlite3_step(s)) == SQLITE_ROW) {
		int64_t n = sqlite3_column_int64(s, 0);
		if (n >= 0 && n < x->places)
			dead[n] = 1;
	}
	sqlite3_finalize(s);
	return step == SQLITE_DONE ? 0 : index_error(x, "cannot be read", e);
}

static void measure(struct index *x)
{
	for (size_t k = 0; k < x->n_segments; k++)
		for (uint32_t i = 0; i < x->segment[k].head.chunks; i++)
			if (!x->dead[x->first[k] + i]) {
				x->live++;
				x->total += x->segment[k].length[i];
			}
	double mean = x->live && x->total > 0 ? x->total / (double)x->live : 1;
	for (size_t k = 0; k < x->n_segments; k++)
		for (uint32_t i = 0; i < x->segment[k].head.chunks; i++)
			x->norm[x->first[k] + i] = (float)bm25_norm(x->segment[k].length[i], mean);
}

static int load_lists(struct index *x, struct err *e)
{
	if (map_file(x, "ivf", x->ivf, sizeof(struct ivf_head), &x->lists, e) < 0 ||
	    ivf_read(&x->near, x->lists.data, x->lists.size, (size_t)x->places, (size_t)x->settings.width, x->path,
	             e) < 0)
		return -1;
	x->candidate = mem_array((size_t)x->near.head.rows + 1, sizeof(*x->candidate));
	return 0;
}

/* What searching needs, of the transaction that is open. */
static int load(struct index *x, struct err *e)
{
	size_t n = (size_t)x->places;
	const struct vectors_form f = index_form(x);

	x->kernels = kernels_get(NULL, e);
	if (!x->kernels)
		return -1;
	if (map_file(x, "words", x->generation, (size_t)x->words_bytes, &x->words, e) < 0 ||
	    map_file(x, "vectors", x->generation, f.width ? vectors_bytes(&f, n) : 0, &x->vectors, e) < 0 ||
	    read_segments(x, e) < 0)
		return -1;
	if (x->ivf && load_lists(x, e) < 0)
		return -1;
	x->dead = mem_array(n + 1, 1);
	x->norm = mem_array(n + 1, sizeof(*x->norm));
	x->score = mem_array(n + 1, sizeof(*x->score));
	if (index_read_dead(x, x->dead, e) < 0)
		return -1;
	measure(x);
	return 0;
}

static int open_it(struct index *x, struct err *e)
{
	if (!io_exists(x->path))
		return err_set(e, "%s: no such index; kungfu index build makes one", x->path);
	if (sqlite3_open_v2(x->path, &x->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
		return index_error(x, "cannot be opened", e);
	sqlite3_busy_timeout(x->db, BUSY_MS);
	if (check_kind(x, e) < 0 || index_exec(x, "PRAGMA synchronous = FULL", e) < 0)
		return -1;
	if (x->writable)
		return index_read_meta(x, e);
	return index_exec(x, "BEGIN", e) < 0 || index_read_meta(x, e) < 0 ? -1 : load(x, e);
}

/* Before the transaction is opened that is read: what is committed between them is a change. */
static int begin_watch(struct index *x, struct err *e)
{
	if (stat(x->path, &x->file) < 0 ||
	    sqlite3_open_v2(x->path, &x->watch, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
		return err_set(e, "%s: no such index; kungfu index build makes one", x->path);
	sqlite3_busy_timeout(x->watch, BUSY_MS);
	x->version = pragma(x->watch, "PRAGMA data_version");
	return 0;
}

static int open_new(struct index **out, const char *path, bool write, bool watched, struct err *e)
{
	struct index *x = mem_alloc(sizeof(*x));

	*x = (struct index){ .path = mem_strdup(path), .writable = write };
	if ((watched && begin_watch(x, e) < 0) || open_it(x, e) < 0) {
		index_close(x);
		return -1;
	}
	*out = x;
	return 0;
}

int index_open(struct index **out, const char *path, bool write, struct err *e)
{
	return open_new(out, path, write, false, e);
}

int index_open_watched(struct index **out, const char *path, struct err *e)
{
	return open_new(out, path, false, true, e);
}

bool index_changed(const struct index *x)
{
	struct stat now;

	if (stat(x->path, &now) < 0 || now.st_dev != x->file.st_dev || now.st_ino != x->file.st_ino)
		return true;
	return pragma(x->watch, "PRAGMA data_version") != x->version;
}

void index_close(struct index *x)
{
	if (!x)
		return;
	if (x->db)
		sqlite3_exec(x->db, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_close(x->db);
	sqlite3_close(x->watch);
	io_unmap(&x->words);
	io_unmap(&x->vectors);
	io_unmap(&x->lists);
	mem_free(x->candidate);
	postings_free(x->maker);
	mem_free(x->pending);
	mem_free(x->dead);
	mem_free(x->norm);
	mem_free(x->score);
	mem_free(x->path);
	arena_release(&x->mem);
	mem_free(x);
}

/* --- what it is --- */

const struct index_settings *index_settings(const struct index *x) { return &x->settings; }

size_t index_places(const struct index *x) { return (size_t)x->places; }

void index_count(const struct index *x, struct index_counts *c)
{
	*c = (struct index_counts){ .chunks = x->live, .dead = (size_t)x->places - x->live, .segments = x->n_segments,
		                    .words = x->total,
		                    .bytes = (size_t)x->words_bytes + x->vectors.size + x->lists.size,
		                    .in_lists = x->near.head.rows, .lists = x->near.head.lists,
		                    .probes = x->near.head.probes, .recall = x->near.head.recall };
	c->documents = (size_t)MAX(pragma(x->db, "SELECT count(*) FROM document"), 0);
}

static const char *text_of(struct arena *mem, sqlite3_stmt *s, int at)
{
	const char *text = (const char *)sqlite3_column_text(s, at);

	return text ? arena_strndup(mem, text, (size_t)sqlite3_column_bytes(s, at)) : NULL;
}

int index_fetch(struct index *x, uint32_t chunk, struct arena *mem, struct index_text *t, struct err *e)
{
	sqlite3_stmt *s = index_prepare(x,
	                                "SELECT d.id, d.title, d.source, c.text, c.place, (SELECT count(*) FROM chunk "
	                                "WHERE document = d.number) FROM chunk c JOIN document d ON d.number = "
	                                "c.document WHERE c.number = ?", e);

	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, chunk);
	bool there = sqlite3_step(s) == SQLITE_ROW;
	if (there)
		*t = (struct index_text){ text_of(mem, s, 0), text_of(mem, s, 1), text_of(mem, s, 2),
			                  text_of(mem, s, 3), sqlite3_column_int(s, 4), sqlite3_column_int(s, 5) };
	sqlite3_finalize(s);
	return there ? 0 : err_set(e, "index %s: damaged: chunk %u belongs to no document", x->path, chunk);
}

int index_each(struct index *x, int (*see)(void *ctx, const char *id, const char *title, const char *source,
                                           int chunks),
               void *ctx, struct err *e)
{
	sqlite3_stmt *s = index_prepare(x, "SELECT id, title, source, (SELECT count(*) FROM chunk WHERE document = "
	                                "d.number) FROM document d ORDER BY number", e);
	int step = SQLITE_DONE;

	if (!s)
		return -1;
	while ((step = sqlite3_step(s)) == SQLITE_ROW)
		if (see(ctx, (const char *)sqlite3_column_text(s, 0), (const char *)sqlite3_column_text(s, 1),
		        (const char *)sqlite3_column_text(s, 2), sqlite3_column_int(s, 3)))
			break;
	sqlite3_finalize(s);
	return step == SQLITE_DONE || step == SQLITE_ROW ? 0 : index_error(x, "cannot be read", e);
}
