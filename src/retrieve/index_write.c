/* index_write: documents added, replaced, removed; commits; all written anew. See index.h.
 *
 * A transaction is open from the first change to the commit. Files are written behind what is committed, synced, and
 * only then does the transaction count them. */
#include "retrieve/index.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/stop.h"
#include "retrieve/index_parts.h"

enum { MOST_SEGMENTS = 64, SEGMENT_CHUNKS = 200000, SEGMENT_POSTINGS = 1 << 24, DEAD_SHARE = 4,
       IVF_LATER = 5 };

static int begin(struct index *x, struct err *e)
{
	if (!x->writable)
		BUG("an index that was opened to be read is written");
	if (x->open)
		return 0;
	if (index_exec(x, "BEGIN IMMEDIATE", e) < 0 || index_read_meta(x, e) < 0)
		return -1;
	x->open = true;
	x->maker = postings_begin();
	return 0;
}

static void forget(struct index *x)
{
	postings_free(x->maker);
	x->maker = NULL;
	x->n_pending = x->waiting = 0;
	x->open = false;
}

size_t index_waiting(const struct index *x) { return x->waiting; }

/* --- documents --- */

static int64_t find(struct index *x, const char *id, const char *hash, enum index_known *known, struct err *e)
{
	sqlite3_stmt *s = index_prepare(x, "SELECT number, hash FROM document WHERE id = ?", e);
	int64_t number = -1;

	*known = INDEX_NEW;
	if (!s)
		return -2;
	sqlite3_bind_text(s, 1, id, -1, SQLITE_STATIC);
	int step = sqlite3_step(s);
	if (step == SQLITE_ROW) {
		number = sqlite3_column_int64(s, 0);
		*known = strcmp((const char *)sqlite3_column_text(s, 1), hash) ? INDEX_OTHER : INDEX_SAME;
	}
	sqlite3_finalize(s);
	return step == SQLITE_ROW || step == SQLITE_DONE ? number : index_error(x, "cannot be read", e) - 1;
}

int index_knows(struct index *x, const char *id, const char *hash, enum index_known *known, struct err *e)
{
	return begin(x, e) < 0 || find(x, id, hash, known, e) < -1 ? -1 : 0;
}

static int run_with(struct index *x, const char *sql, int64_t number, struct err *e)
{
	sqlite3_stmt *s = index_prepare(x, sql, e);

	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, number);
	return index_finish(x, s, e);
}

static int drop(struct index *x, int64_t document, struct err *e)
{
	if (run_with(x, "UPDATE chunk SET document = NULL, text = NULL WHERE document = ?", document, e) < 0)
		return -1;
	return run_with(x, "DELETE FROM document WHERE number = ?", document, e);
}

static int put_document(struct index *x, const struct index_document *d, int64_t *number, struct err *e)
{
	sqlite3_stmt *s = index_prepare(x,
	                                "INSERT INTO document (id, hash, title, source, fields) VALUES (?, ?, ?, ?, ?)",
	                                e);

	if (!s)
		return -1;
	sqlite3_bind_text(s, 1, d->id, -1, SQLITE_STATIC);
	sqlite3_bind_text(s, 2, d->hash, -1, SQLITE_STATIC);
	sqlite3_bind_text(s, 3, d->title, -1, SQLITE_STATIC);
	sqlite3_bind_text(s, 4, d->source, -1, SQLITE_STATIC);
	sqlite3_bind_text(s, 5, d->fields, -1, SQLITE_STATIC);
	if (index_finish(x, s, e) < 0)
		return -1;
	*number = sqlite3_last_insert_rowid(x->db);
	return 0;
}

static void keep_vector(struct index *x, const float *vector)
{
	size_t width = (size_t)x->settings.width;

	if (!width)
		return;
	if (!vector)
		BUG("a chunk without a vector in an index of vectors");
	if (x->n_pending == x->cap_pending) {
		x->cap_pending = MAX((size_t)1024, 2 * x->cap_pending);
		x->pending = mem_grow(x->pending, x->cap_pending * width, sizeof(*x->pending));
	}
	memcpy(x->pending + x->n_pending++ * width, vector, width * sizeof(*vector));
}

static int put_chunk(struct index *x, int64_t document, size_t place, const struct index_chunk *c, struct err *e)
{
	sqlite3_stmt *s = index_prepare(x, "INSERT INTO chunk VALUES (?, ?, ?, ?)", e);

	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, x->places++);
	sqlite3_bind_int64(s, 2, document);
	sqlite3_bind_int64(s, 3, (sqlite3_int64)place);
	sqlite3_bind_text64(s, 4, c->text, c->n, SQLITE_STATIC, SQLITE_UTF8);
	if (index_finish(x, s, e) < 0)
		return -1;
	postings_add(x->maker, c->text, c->n);
	keep_vector(x, c->vector);
	x->waiting += c->n + 1; /* an empty one is to be written too */
	return 0;
}

int index_add(struct index *x, const struct index_document *d, struct err *e)
{
	enum index_known known;
	int64_t number;

	if (begin(x, e) < 0)
		return -1;
	number = find(x, d->id, d->hash, &known, e);
	if (number < -1 || known == INDEX_SAME)
		return known == INDEX_SAME ? 1 : -1;
	if ((known == INDEX_OTHER && drop(x, number, e) < 0) || put_document(x, d, &number, e) < 0)
		return -1;
	for (size_t i = 0; i < d->n_chunks; i++)
		if (put_chunk(x, number, i, &d->chunks[i], e) < 0)
			return -1;
	return 0;
}

int index_remove(struct index *x, const char *id, bool *there, struct err *e)
{
	enum index_known known;

	if (begin(x, e) < 0)
		return -1;
	int64_t number = find(x, id, "", &known, e);
	*there = number >= 0;
	return number < -1 ? -1 : number < 0 ? 0 : drop(x, number, e);
}

/* --- files --- */

static int file_error(const char *path, struct err *e) { return err_set(e, "%s: %s", path, strerror(errno)); }

static int write_at(int fd, const void *data, size_t n, size_t at, const char *path, struct err *e)
{
	const char *from = data;

	while (n) {
		ssize_t some = pwrite(fd, from, n, (off_t)at);
		if (some < 0 && errno == EINTR)
			continue;
		if (some <= 0)
			return file_error(path, e);
		from += some;
		at += (size_t)some;
		n -= (size_t)some;
	}
	return 0;
}

static int sync_folder(const char *path, struct err *e)
{
	char *folder = io_parent(path);
	int fd = open(folder, O_RDONLY | O_CLOEXEC), status = fd < 0 || fsync(fd) < 0 ? file_error(folder, e) : 0;

	if (fd >= 0)
		close(fd);
	mem_free(folder);
	return status;
}

/* New files beside the database may be read by whom it may. */
static mode_t mode_of(const struct index *x)
{
	struct stat st;

	return stat(x->path, &st) == 0 ? st.st_mode & 0666 : 0600;
}

/* A file opened to be written from `at` on, `put` does it, its length is set, and all of it is on the disk. */
static int grow_file(const struct index *x, const char *what, int64_t generation, size_t length,
                     int (*put)(const struct index *x, void *ctx, int fd, const char *path, struct err *e), void *ctx,
                     struct err *e)
{
	char *path = index_file(x, what, generation);
	bool fresh = !io_exists(path);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, mode_of(x)), status = fd < 0 ? file_error(path, e) : 0;

	if (status == 0)
		status = put(x, ctx, fd, path, e);
	if (status == 0 && (ftruncate(fd, (off_t)length) < 0 || fdatasync(fd) < 0))
		status = file_error(path, e);
	if (fd >= 0)
		close(fd);
	if (status == 0 && fresh)
		status = sync_folder(path, e);
	mem_free(path);
	return status;
}

struct bytes { const struct buf *data; size_t at; };

static int put_bytes(const struct index *x, void *ctx, int fd, const char *path, struct err *e)
{
	const struct bytes *b = ctx;
	(void)x;

	return write_at(fd, buf_str(b->data), b->data->len, b->at, path, e);
}

static int put_row(int fd, const struct vectors_form *f, size_t row, const void *numbers, float scale, const char *path,
                   struct err *e)
{
	if (f->kind == VECTORS_INT8 && write_at(fd, &scale, sizeof(scale), vectors_scale_at(f, row), path, e) < 0)
		return -1;
	return write_at(fd, numbers, vectors_row_bytes(f), vectors_row_at(f, row), path, e);
}

/* The vectors that wait are those of the last chunks. */
static int put_pending(const struct index *x, void *ctx, int fd, const char *path, struct err *e)
{
	const struct vectors_form f = index_form(x);
	size_t first = (size_t)x->places - x->n_pending;
	void *row = mem_alloc(vectors_row_bytes(&f));
	int status = 0;
	(void)ctx;

	for (size_t i = 0; i < x->n_pending && status == 0; i++) {
		float scale;
		vectors_put(&f, x->pending + i * f.width, row, &scale);
		status = put_row(fd, &f, first + i, row, scale, path, e);
	}
	mem_free(row);
	return status;
}

/* --- commits --- */

static int put_counts(struct index *x, struct err *e)
{
	if (index_put_number(x, "chunks", x->places, e) < 0 || index_put_number(x, "words_bytes", x->words_bytes,
	                                                                        e) < 0 ||
	    index_put_number(x, "segments", x->segments, e) < 0)
		return -1;
	return index_put_number(x, "ivf", x->ivf, e) < 0 ? -1 : index_put_number(x, "generation", x->generation, e);
}

static int write_segment(struct index *x, struct err *e)
{
	struct buf out = { .max = SIZE_MAX / 2 };
	const struct vectors_form f = index_form(x);

	postings_write(x->maker, &out);
	struct bytes b = { &out, (size_t)x->words_bytes };
	int status = grow_file(x, "words", x->generation, b.at + out.len, put_bytes, &b, e);
	if (status == 0 && f.width)
		status = grow_file(x, "vectors", x->generation, vectors_bytes(&f, (size_t)x->places), put_pending,
		                   NULL, e);
	x->words_bytes += (int64_t)out.len;
	x->segments++;
	buf_release(&out);
	return status;
}

/* Ends the transaction: what was written counts, or nothing of it. */
static int settle(struct index *x, int status, struct err *e)
{
	if (status == 0)
		status = index_exec(x, "COMMIT", e);
	else
		sqlite3_exec(x->db, "ROLLBACK", NULL, NULL, NULL);
	forget(x);
	return status;
}

int index_commit(struct index *x, struct err *e)
{
	if (!x->open)
		return 0;
	int status = x->waiting ? write_segment(x, e) : 0;
	return settle(x, status == 0 ? put_counts(x, e) : -1, e);
}

/* --- all anew --- */

struct tidying {
	struct buf out;                /* all segments */
	struct mapping old;            /* vectors */
	int64_t generation, segments;
	uint32_t *from;                /* [n] the number that a chunk had */
	size_t n, cap;
};

static void end_segment(struct index *x, struct tidying *t)
{
	postings_write(x->maker, &t->out);
	t->segments++;
	postings_free(x->maker);
	x->maker = postings_begin();
}

static int gather(struct index *x, struct tidying *t, struct err *e)
{
	sqlite3_stmt *s = index_prepare(x, "SELECT number, text FROM chunk ORDER BY number", e);
	int step = SQLITE_DONE, status = s ? 0 : -1;
	size_t begun = 0;

	while (s && status == 0 && (step = sqlite3_step(s)) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(s, 1);
		status = stop_look(e, "an index was written anew");
		postings_add(x->maker, text, (size_t)sqlite3_column_bytes(s, 1));
		if (t->n == t->cap) {
			t->cap = MAX((size_t)4096, 2 * t->cap);
			t->from = mem_grow(t->from, t->cap, sizeof(*t->from));
		}
		t->from[t->n++] = (uint32_t)sqlite3_column_int64(s, 0);
		if (postings_room(x->maker) > SEGMENT_POSTINGS) {
			end_segment(x, t);
			begun = t->n;
		}
	}
	sqlite3_finalize(s);
	if (t->n > begun)
		end_segment(x, t);
	return status < 0 ? -1 : step == SQLITE_DONE ? 0 : index_error(x, "cannot be read", e);
}

static int renumber(struct index *x, const struct tidying *t, struct err *e)
{
	sqlite3_stmt *s = index_prepare(x, "UPDATE chunk SET number = ? WHERE number = ?", e);
	int status = s ? 0 : -1;

	for (size_t i = 0; i < t->n && status == 0; i++) {
		if (t->from[i] == i)
			continue;
		sqlite3_bind_int64(s, 1, (sqlite3_int64)i);
		sqlite3_bind_int64(s, 2, t->from[i]);
		status = sqlite3_step(s) == SQLITE_DONE ? 0 : index_error(x, "cannot be written", e);
		sqlite3_reset(s);
	}
	sqlite3_finalize(s);
	return status;
}

static int copy_vectors(const struct index *x, void *ctx, int fd, const char *path, struct err *e)
{
	const struct tidying *t = ctx;
	const struct vectors_form f = index_form(x);

	for (size_t i = 0; i < t->n; i++) {
		float scale;
		memcpy(&scale, t->old.data + vectors_scale_at(&f, t->from[i]), sizeof(scale));
		if (put_row(fd, &f, i, t->old.data + vectors_row_at(&f, t->from[i]), scale, path, e) < 0)
			return -1;
	}
	return 0;
}

static int write_anew(struct index *x, struct tidying *t, struct err *e)
{
	const struct vectors_form f = index_form(x);
	struct bytes b = { &t->out, 0 };

	if (f.width && x->places) {
		char *path = index_file(x, "vectors", x->generation);
		int status = io_map(&t->old, path, e);
		mem_free(path);
		if (status < 0 || t->old.size < vectors_bytes(&f, (size_t)x->places))
			return status < 0 ? -1 : err_set(e, "index %s: vectors are missing", x->path);
	}
	if (index_exec(x, "DELETE FROM chunk WHERE document IS NULL", e) < 0 || gather(x, t, e) < 0 ||
	    renumber(x, t, e) < 0 || grow_file(x, "words", t->generation, t->out.len, put_bytes, &b, e) < 0 ||
	    (f.width && grow_file(x, "vectors", t->generation, vectors_bytes(&f, t->n), copy_vectors, t, e) < 0))
		return -1;
	x->generation = t->generation;
	x->places = (int64_t)t->n;
	x->words_bytes = (int64_t)t->out.len;
	x->segments = t->segments;
	x->ivf = 0; /* of numbers that are others now */
	return put_counts(x, e);
}

static void remove_file(const struct index *x, const char *what, int64_t number)
{
	char *path = index_file(x, what, number);

	unlink(path);
	mem_free(path);
}

static int count_dead(struct index *x, int64_t *dead, struct err *e)
{
	sqlite3_stmt *s = index_prepare(x, "SELECT count(*) FROM chunk WHERE document IS NULL", e);

	if (!s)
		return -1;
	*dead = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
	sqlite3_finalize(s);
	return 0;
}

static int tidy_all(struct index *x, struct err *e)
{
	struct tidying t = { .out = { .max = SIZE_MAX / 2 } };
	int64_t dead = 0;

	if (begin(x, e) < 0)
		return -1;
	int64_t old = x->generation, lists = x->ivf;
	t.generation = old + 1;
	int status = count_dead(x, &dead, e);
	bool pays = x->segments > MOST_SEGMENTS + x->places / SEGMENT_CHUNKS || dead > x->places / DEAD_SHARE;
	if (status == 0 && pays)
		status = write_anew(x, &t, e);
	status = settle(x, status, e);
	if (pays) {
		remove_file(x, "words", status == 0 ? old : t.generation);
		remove_file(x, "vectors", status == 0 ? old : t.generation);
	}
	if (pays && status == 0 && lists)
		remove_file(x, "ivf", lists);
	io_unmap(&t.old);
	buf_release(&t.out);
	mem_free(t.from);
	return status;
}

/* --- lists of vectors --- */

/* How many lists are to be made now; 0: those that there are do, or none are wanted. */
static size_t lists_wanted(struct index *x, struct err *e)
{
	struct ivf_head head = { .rows = 0 };
	struct mapping m = { 0 };
	char *path = index_file(x, "ivf", x->ivf);
	int lists = x->settings.ivf_lists;

	if (x->ivf && io_map(&m, path, e) == 0 && m.size >= sizeof(head))
		memcpy(&head, m.data, sizeof(head));
	io_unmap(&m);
	mem_free(path);
	bool fresh = (double)head.rows >= (double)x->places * (1 - 1.0 / IVF_LATER);
	if (!x->settings.width || !x->places || !lists || (x->ivf && fresh) ||
	    (lists == INDEX_IVF_AUTO && x->places <= IVF_ROWS))
		return 0;
	return lists == INDEX_IVF_AUTO ? ivf_lists((size_t)x->places) : (size_t)lists;
}

static int write_lists(struct index *x, size_t lists, struct pool *pool, struct err *e)
{
	const struct vectors_form f = index_form(x);
	const struct kernels *k = kernels_get(NULL, e);
	char *path = index_file(x, "vectors", x->generation);
	struct mapping m = { 0 };
	struct buf out = { .max = SIZE_MAX / 2 };
	struct bytes b = { &out, 0 };
	uint8_t *dead = mem_array((size_t)x->places + 1, 1);
	int status = k ? io_map(&m, path, e) : -1;

	if (status == 0 && m.size < vectors_bytes(&f, (size_t)x->places))
		status = err_set(e, "index %s: vectors are missing", x->path);
	if (status == 0)
		status = index_read_dead(x, dead, e);
	if (status == 0)
		status = ivf_build(&f, k, m.data, (size_t)x->places, dead, lists, pool, &out, e);
	if (status == 0)
		status = grow_file(x, "ivf", x->ivf + 1, out.len, put_bytes, &b, e);
	if (status == 0) {
		x->ivf++;
		status = put_counts(x, e);
	}
	io_unmap(&m);
	buf_release(&out);
	mem_free(dead);
	mem_free(path);
	return status;
}

static int tidy_lists(struct index *x, struct pool *pool, struct err *e)
{
	struct err unused = ERR_INIT;

	if (begin(x, e) < 0)
		return -1;
	int64_t old = x->ivf;
	size_t lists = lists_wanted(x, &unused);
	int status = settle(x, lists ? write_lists(x, lists, pool, e) : 0, e);
	if (status == 0 && lists && old)
		remove_file(x, "ivf", old);
	return status;
}

int index_tidy(struct index *x, struct pool *pool, struct err *e)
{
	return tidy_all(x, e) < 0 ? -1 : tidy_lists(x, pool, e);
}
