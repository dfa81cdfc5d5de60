/* ledger_hash: content hashes remembered by path, size, time and inode, so that a file of gigabytes is read once and
 * quick commands stay quick.
 *
 * A big file that nobody has read whole gets the hash of samples instead: "quick:" and XXH3 of its size, its first and
 * last megabyte and 256 pieces of 4 KB between. When someone hashes it whole, both are told to mean the same, so that
 * its runs are found under one name. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"
#include "gas/ledger_parts.h"

enum { END = 1 << 20, PIECE = 4096, PIECES = 256 };
static const int64_t big = 1000000000;

static int64_t mtime_ns(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static bool recall(const struct ledger *l, const char *path, const struct stat *st, char hex[40])
{
	struct err ignored = ERR_INIT;
	sqlite3_stmt *s =
		ledger_prepare(l, "SELECT hash FROM file_hash WHERE path = ? AND size = ? AND mtime = ? AND inode = ?",
	                       &ignored);
	bool found = false;

	if (!s)
		return false;
	bind_text(s, 1, path);
	sqlite3_bind_int64(s, 2, st->st_size);
	sqlite3_bind_int64(s, 3, mtime_ns(st));
	sqlite3_bind_int64(s, 4, (int64_t)st->st_ino);
	if (sqlite3_step(s) == SQLITE_ROW) {
		snprintf(hex, 40, "%s", (const char *)sqlite3_column_text(s, 0));
		found = true;
	}
	sqlite3_finalize(s);
	return found;
}

static void remember(const struct ledger *l, const char *path, const struct stat *st, const char *hex)
{
	struct err ignored = ERR_INIT;
	sqlite3_stmt *s =
		ledger_prepare(l,
	                       "INSERT OR REPLACE INTO file_hash(path, size, mtime, inode, hash) VALUES(?, ?, ?, ?, ?)",
	                       &ignored);

	if (!s)
		return;
	bind_text(s, 1, path);
	sqlite3_bind_int64(s, 2, st->st_size);
	sqlite3_bind_int64(s, 3, mtime_ns(st));
	sqlite3_bind_int64(s, 4, (int64_t)st->st_ino);
	bind_text(s, 5, hex);
	ledger_finish(l, s, &ignored);
}

static int sample_file(const char *path, int64_t size, char hex[40], struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), status = fd < 0 ? err_set(e, "cannot read %s", path) : 0;
	struct hash_stream *h = hash_begin();
	char *piece = mem_alloc(END), whole[33];

	hash_add(h, &size, sizeof(size));
	for (int i = 0; i < PIECES + 2 && !status; i++) {
		int64_t at = i == 0 ? 0 : i == 1 ? size - END : (size - PIECE) / PIECES * (i - 2);
		size_t n = i < 2 ? END : PIECE;
		if (pread(fd, piece, n, at) != (ssize_t)n)
			status = err_set(e, "cannot read %s at %lld", path, (long long)at);
		hash_add(h, piece, n);
	}
	hash_end(h, whole);
	snprintf(hex, 40, "quick:%s", whole);
	mem_free(piece);
	if (fd >= 0)
		close(fd);
	return status;
}

static void tell_same(const struct ledger *l, const char *path, int64_t size, const char *hex)
{
	char quick[40];
	struct err ignored = ERR_INIT;
	sqlite3_stmt *s;

	if (size < big || sample_file(path, size, quick, &ignored) < 0 ||
	    !(s = ledger_prepare(l, "INSERT OR REPLACE INTO same(quick, hash) VALUES(?, ?)", &ignored)))
		return;
	bind_text(s, 1, quick);
	bind_text(s, 2, hex);
	ledger_finish(l, s, &ignored);
}

void ledger_remember_hash(struct ledger *l, const char *path, const char *hex)
{
	struct stat st;
	if (!l || !l->writable || stat(path, &st))
		return;
	remember(l, path, &st, hex);
	tell_same(l, path, st.st_size, hex);
}

int ledger_hash_file(struct ledger *l, const char *path, bool quick, char hex[40], struct err *e)
{
	struct stat st;

	if (stat(path, &st))
		return err_set(e, "cannot look at %s", path);
	if (l && recall(l, path, &st, hex))
		return 0;
	if (quick && st.st_size >= big)
		return sample_file(path, st.st_size, hex, e);
	if (io_hash(path, hex, e) < 0)
		return -1;
	ledger_remember_hash(l, path, hex);
	return 0;
}
