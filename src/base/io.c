/* io: files, with errors that name the path and the system's reason.
 *
 * A file is written beside its target, synced, renamed over it, and the folder is synced: after a crash the target is
 * whole, old or new. Until it is whole it has no name (O_TMPFILE), so a killed process leaves nothing; where the file
 * system cannot do that it is `target.tmp-<64 random bits>`, made anew (O_EXCL) and never through a link. A link is
 * followed to its target, which keeps its mode; what is no regular file (a pipe, a device) is written into, not
 * replaced. Names of folders are UTF-8 or bytes, never interpreted. */
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <zlib.h>

#include "base/hash.h"
#include "base/human.h"
#include "base/mem.h"
#include "base/stop.h"

/* a piece is taken from the heap and stays with the process: a small one, so that reading a few bytes takes few */
enum { PIECE = 1 << 16, WRITE_MAX = 1 << 30, LOOK_MS = 200, LARGE = 1 << 26 };

static int io_error(struct err *e, const char *what, const char *path)
{
	if (!*path) /* errno says that it does not exist */
		return err_set(e, "cannot %s an empty name; that of a file was wanted", what);
	if (errno == ENOENT && strchr(path, ' ') && !strcmp(what, "open"))
		return err_set(e, "cannot open %s: no file has this name, and a text itself has no place here; - reads "
		                  "standard input", path);
	return err_set(e, "cannot %s %s: %s", what, path, strerror(errno));
}

/* A pipe that nobody writes to is not waited for here but where it is read. */
static int open_read(const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? io_error(e, "open", path) : fd;
}

/* A device that is neither a terminal nor /dev/null: /dev/zero never ends. */
static int check_ends(int fd, const char *path, struct err *e)
{
	struct stat st, null;

	if (fstat(fd, &st) || !S_ISCHR(st.st_mode) || isatty(fd) ||
	    (stat("/dev/null", &null) == 0 && null.st_rdev == st.st_rdev))
		return 0;
	return err_set(e, "cannot read %s: it is a device, which need not end; a file or a pipe was wanted", path);
}

/* Names of what is mapped, for io_mapped_at, which a signal's handler calls: a slot is taken while `data` is not NULL,
 * and whole once `ready`. More maps than slots have no names. */
enum { NAMED_MAPS = 64, NAME_BYTES = 200 };
static struct named_map {
	_Atomic(const uint8_t *) data;
	atomic_bool ready;
	size_t size;
	char path[NAME_BYTES];
} named[NAMED_MAPS];

static void name_map(const struct mapping *m, const char *path)
{
	for (int i = 0; i < NAMED_MAPS; i++) {
		const uint8_t *none = NULL;
		if (!atomic_compare_exchange_strong(&named[i].data, &none, m->data))
			continue;
		named[i].size = m->size;
		snprintf(named[i].path, sizeof(named[i].path), "%s", path);
		atomic_store(&named[i].ready, true);
		return;
	}
}

static void forget_name(const struct mapping *m)
{
	for (int i = 0; i < NAMED_MAPS; i++)
		if (atomic_load(&named[i].data) == m->data) {
			atomic_store(&named[i].ready, false);
			atomic_store(&named[i].data, NULL);
		}
}

const char *io_mapped_at(const void *p)
{
	for (int i = 0; i < NAMED_MAPS; i++) {
		const uint8_t *data = atomic_load(&named[i].data);
		if (data && atomic_load(&named[i].ready) && (const uint8_t *)p >= data &&
		    (size_t)((const uint8_t *)p - data) < ROUND_UP(named[i].size, (size_t)1 << 16))
			return named[i].path;
	}
	return NULL;
}

int io_map(struct mapping *m, const char *path, struct err *e)
{
	struct stat st;
	int rc = -1, fd = open_read(path, e);
	*m = (struct mapping){ 0 };
	if (fd < 0)
		return -1;
	if (fstat(fd, &st)) {
		io_error(e, "look at", path);
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		err_set(e, "cannot read %s: it is not a regular file", path);
		goto out;
	}
	if (st.st_size > 0) {
		void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED) {
			if (errno == ENOMEM)
				mem_refused((size_t)st.st_size, path, e);
			else
				io_error(e, "map", path);
			goto out;
		}
		*m = (struct mapping){ .data = p, .size = (size_t)st.st_size };
		name_map(m, path);
	}
	rc = 0;
out:
	close(fd);
	return rc;
}

void io_unmap(struct mapping *m)
{
	if (m->data) {
		forget_name(m);
		munmap((void *)m->data, m->size);
	}
	*m = (struct mapping){ 0 };
}

bool io_maps(const struct mapping *m, const void *p)
{
	return (uintptr_t)p >= (uintptr_t)m->data && (uintptr_t)p - (uintptr_t)m->data < m->size;
}

void io_forget(const struct mapping *m, const void *p, size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (!n || !io_maps(m, p))
		return;
	uintptr_t start = (uintptr_t)m->data, first = (uintptr_t)p / page * page;
	uintptr_t end = ROUND_UP(MIN((uintptr_t)p + n, start + m->size), page);
	madvise((void *)first, end - first, MADV_DONTNEED);
}

/* read() that waits, in pieces of time: until there is something, the end, or somebody wants to stop (0 bytes). */
static ssize_t read_some(int fd, void *data, size_t n)
{
	struct pollfd one = { .fd = fd, .events = POLLIN };

	while (!stop_asked()) {
		int there = poll(&one, 1, LOOK_MS);
		ssize_t got = there > 0 ? read(fd, data, n) : there;
		if (got > 0 || (got == 0 && there > 0) || (got < 0 && errno != EINTR && errno != EAGAIN))
			return got;
	}
	return 0;
}

static int look(const char *path, struct err *e)
{
	return stop_asked() ? err_set(e, "interrupted while %s was read", path) : 0;
}

/* A file may fill half of the memory that is free when it turns out to be large; *room: 0 at first. */
static bool has_room(const struct buf *b, size_t *room)
{
	if (b->len >= LARGE && !*room)
		*room = b->len + mem_available() / 2;
	return b->len < LARGE || b->len < *room;
}

static int too_large(const char *path, const char *is, const struct buf *b, size_t room, struct err *e)
{
	char size[32];
	size_t max = b->max ? b->max : (size_t)1 << 30;

	return b->overflow ? err_set(e, "cannot read %s: it %s more than %zu bytes", path, is, max) :
	                     err_set(e, "cannot read %s: it %s more than %s, half of the memory that is free", path, is,
	                             human_bytes(room, size));
}

/* Everything that fd still has, appended to out in pieces. */
static int read_all(int fd, struct buf *out, const char *path, const struct io_look *watch, struct err *e)
{
	char *piece = mem_alloc(PIECE);
	size_t room = 0;
	ssize_t n = 0;
	int rc = check_ends(fd, path, e);
	while (!rc && (n = read_some(fd, piece, PIECE)) > 0 && !out->overflow && has_room(out, &room)) {
		buf_add(out, piece, (size_t)n);
		rc = watch ? watch->at(watch->ctx, out, e) : 0;
	}
	mem_free(piece);
	if (rc)
		return rc;
	if (out->overflow || !has_room(out, &room))
		return too_large(path, "has", out, room, e);
	return n < 0 ? io_error(e, "read", path) : look(path, e);
}

static int read_path(struct buf *out, const char *path, const struct io_look *watch, struct err *e)
{
	if (strcmp(path, "-") == 0)
		return read_all(STDIN_FILENO, out, "standard input", watch, e);
	int fd = open_read(path, e);
	if (fd < 0)
		return -1;
	int rc = read_all(fd, out, path, watch, e);
	close(fd);
	return rc;
}

int io_read(struct buf *out, const char *path, struct err *e) { return read_path(out, path, NULL, e); }

static bool is_zero(const struct buf *in, size_t from)
{
	while (from < in->len && !in->data[from])
		from++;
	return from == in->len;
}

/* Inflates all members of a gzip file, one after another, as gzip -d does; zeros behind the last are padding. */
static int inflate_all(struct buf *out, const struct buf *in, const char *path, struct err *e)
{
	z_stream z = { 0 };
	char *piece = mem_alloc(PIECE);
	size_t pos = 0, room = 0;
	int status = Z_OK;
	if (inflateInit2(&z, 15 + 16) != Z_OK)
		BUG("zlib: inflateInit2");
	while (status == Z_OK && !out->overflow && has_room(out, &room) && !stop_asked()) {
		if (z.avail_in == 0) {
			z.avail_in = (uInt)MIN(in->len - pos, (size_t)PIECE);
			z.next_in = (Bytef *)in->data + pos;
			pos += z.avail_in;
		}
		z.next_out = (Bytef *)piece;
		z.avail_out = PIECE;
		status = inflate(&z, Z_NO_FLUSH);
		buf_add(out, piece, PIECE - z.avail_out);
		if (status == Z_STREAM_END && !is_zero(in, pos - z.avail_in))
			status = inflateReset(&z);
	}
	inflateEnd(&z);
	mem_free(piece);
	if (out->overflow || !has_room(out, &room))
		return too_large(path, "inflates to", out, room, e);
	if (look(path, e) < 0)
		return -1;
	if (status != Z_STREAM_END)
		return err_set(e, "cannot read %s: its gzip data is %s", path,
		               status == Z_BUF_ERROR ? "cut short" : "damaged");
	return 0;
}

int io_read_gz(struct buf *out, const char *path, struct err *e) { return io_read_looked(out, path, NULL, e); }

int io_read_looked(struct buf *out, const char *path, const struct io_look *watch, struct err *e)
{
	struct buf raw = { .max = out->max };
	int rc = read_path(&raw, path, watch, e);
	if (rc == 0 && raw.len >= 2 && (uint8_t)raw.data[0] == 0x1f && (uint8_t)raw.data[1] == 0x8b) {
		rc = inflate_all(out, &raw, path, e);
	} else if (rc == 0 && !out->len && !out->arena) { /* what is large is not there twice */
		struct buf unused = *out;
		*out = raw;
		raw = unused;
	} else if (rc == 0) {
		buf_add(out, raw.data, raw.len);
		if (out->overflow)
			rc = err_set(e, "cannot read %s: it is larger than the room left for it", path);
	}
	buf_release(&raw);
	return rc;
}

/* write() of everything, going on after signals and short writes. */
static int write_all(int fd, const void *data, size_t n)
{
	const char *at = data;
	while (n) {
		ssize_t done = write(fd, at, MIN(n, (size_t)WRITE_MAX));
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return -1;
		at += done;
		n -= (size_t)done;
	}
	return 0;
}

char *io_parent(const char *path)
{
	size_t n = strlen(path);
	while (n > 1 && path[n - 1] == '/')
		n--;
	while (n > 0 && path[n - 1] != '/')
		n--;
	while (n > 1 && path[n - 1] == '/')
		n--;
	return n ? mem_strndup(path, n) : mem_strdup(".");
}

/* Makes a rename durable. File systems that cannot sync a folder say EINVAL; they lose nothing by it. */
static int sync_parent(const char *path, struct err *e)
{
	char *parent = io_parent(path);
	int rc = 0, fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || (fsync(fd) && errno != EINVAL))
		rc = io_error(e, "sync the folder", parent);
	if (fd >= 0)
		close(fd);
	mem_free(parent);
	return rc;
}

static void writer_clear(struct io_writer *w)
{
	mem_free(w->path);
	mem_free(w->temporary);
	*w = (struct io_writer){ .fd = -1 };
}

char *io_follow(const char *path)
{
	enum { LINKS_MOST = 40 };
	char *at = mem_strdup(path);

	for (int i = 0; i < LINKS_MOST; i++) {
		char to[PATH_MAX];
		ssize_t n = readlink(at, to, sizeof(to) - 1);
		if (n < 0)
			return at;
		to[n] = 0;
		char *parent = io_parent(at), *next = to[0] == '/' ? mem_strdup(to) : io_join(parent, to);
		mem_free(parent);
		mem_free(at);
		at = next;
	}
	mem_free(at);
	errno = ELOOP;
	return NULL;
}

/* A file without a name in the target's folder, or under a temporary one; −1 with errno. */
static int open_temporary(struct io_writer *w, mode_t mode)
{
	char *parent = io_parent(w->path);
	uint64_t random = 0;
	int fd = access("/proc/self/fd", X_OK) ? -1 : open(parent, O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);

	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		random = (uint64_t)getpid();
	w->temporary = mem_printf("%s.tmp-%016llx", w->path, (unsigned long long)random);
	w->unnamed = fd >= 0;
	if (fd < 0)
		fd = open(w->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	mem_free(parent);
	return fd;
}

bool io_is_open_file(const char *path)
{
	return !strncmp(path, "/dev/std", 8) || !strncmp(path, "/dev/fd/", 8) || !strncmp(path, "/proc/", 6);
}

static int open_writer(struct io_writer *w, const char *path, mode_t mode, struct err *e)
{
	struct stat st;
	bool there = stat(path, &st) == 0;

	*w = (struct io_writer){ .fd = -1 };
	if (there && S_ISDIR(st.st_mode)) {
		errno = EISDIR;
	} else if (there && (!S_ISREG(st.st_mode) || io_is_open_file(path))) {
		w->path = mem_strdup(path);
		w->fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	} else if ((w->path = io_follow(path))) {
		w->fd = open_temporary(w, mode);
		if (there && w->fd >= 0 && fchmod(w->fd, st.st_mode & 07777)) {
			io_error(e, "keep the mode of", path);
			io_writer_abort(w);
			return -1;
		}
	}
	if (w->fd >= 0)
		return 0;
	io_error(e, "write", path);
	writer_clear(w);
	return -1;
}

int io_writer_open(struct io_writer *w, const char *path, struct err *e) { return open_writer(w, path, 0666, e); }

int io_writer_open_private(struct io_writer *w, const char *path, struct err *e)
{
	return open_writer(w, path, 0600, e);
}

int io_writer_add(struct io_writer *w, const void *data, size_t n, struct err *e)
{
	if (write_all(w->fd, data, n))
		return io_error(e, "write", w->path);
	w->written += n;
	return 0;
}

/* The unnamed file gets its temporary name, from which it is renamed: a link does not replace. */
static int give_name(struct io_writer *w)
{
	char fd[40];

	if (!w->unnamed)
		return 0;
	snprintf(fd, sizeof(fd), "/proc/self/fd/%d", w->fd);
	if (linkat(AT_FDCWD, fd, AT_FDCWD, w->temporary, AT_SYMLINK_FOLLOW))
		return -1;
	w->unnamed = false;
	return 0;
}

static int commit(struct io_writer *w, struct err *e)
{
	int fd = w->fd;
	if (w->temporary && fsync(fd))
		return io_error(e, "sync", w->path);
	if (w->temporary && give_name(w))
		return io_error(e, "name a temporary of", w->path);
	w->fd = -1;
	if (close(fd))
		return io_error(e, "close", w->path);
	if (!w->temporary)
		return 0;
	if (rename(w->temporary, w->path))
		return io_error(e, "rename a temporary to", w->path);
	return sync_parent(w->path, e);
}

int io_writer_commit(struct io_writer *w, struct err *e)
{
	int rc = commit(w, e);
	if (rc)
		io_writer_abort(w);
	else
		writer_clear(w);
	return rc;
}

void io_writer_abort(struct io_writer *w)
{
	if (!w->path)
		return;
	if (w->fd >= 0)
		close(w->fd);
	if (w->temporary && !w->unnamed)
		unlink(w->temporary);
	writer_clear(w);
}

int io_writer_end(struct io_writer *w, int status, struct err *e)
{
	if (status == 0)
		return io_writer_commit(w, e);
	io_writer_abort(w);
	return status;
}

int io_write(const char *path, const void *data, size_t n, struct err *e)
{
	struct io_writer w;
	if (io_writer_open(&w, path, e) == 0 && io_writer_add(&w, data, n, e) == 0 && io_writer_commit(&w, e) == 0)
		return 0;
	io_writer_abort(&w);
	return -1;
}

int io_append(const char *path, const void *data, size_t n, struct err *e)
{
	int rc = 0, fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0)
		return io_error(e, "append to", path);
	if (write_all(fd, data, n))
		rc = io_error(e, "append to", path);
	if (close(fd) && rc == 0)
		rc = io_error(e, "append to", path);
	return rc;
}

int io_sync(const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc = fd < 0 || fsync(fd) ? io_error(e, "sync", path) : 0;

	if (fd >= 0)
		close(fd);
	return rc ? rc : sync_parent(path, e);
}

int io_lock(const char *path, int *lock, struct err *e)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0)
		return io_error(e, "open", path);
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		int status = errno == EWOULDBLOCK ? err_set(e, "%s: another process is writing it", path) :
		                                    io_error(e, "lock", path);
		close(fd);
		return status;
	}
	*lock = fd;
	return 0;
}

/* Who holds a lock on the file, as the kernel's list has it ("1: FLOCK ADVISORY WRITE 4242 08:01:1234 0 EOF"); 0 when
 * it cannot be said. */
static long lock_holder(int fd)
{
	struct stat st;
	char line[256], kind[16];
	long pid, found = 0;
	unsigned long long inode;
	FILE *f = fopen("/proc/locks", "re");

	while (f && !found && fstat(fd, &st) == 0 && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*d: %15s %*s %*s %ld %*x:%*x:%llu", kind, &pid, &inode) == 3 &&
		    !strcmp(kind, "FLOCK") && inode == (unsigned long long)st.st_ino)
			found = pid;
	if (f)
		fclose(f);
	return MAX(found, 0);
}

int io_lock_dir(const char *path, int *lock, struct err *e)
{
	char who[48] = "another process";
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return io_error(e, "open the folder", path);
	if (flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) {
		long pid = lock_holder(fd);
		if (pid)
			snprintf(who, sizeof(who), "process %ld", pid);
		close(fd);
		return err_set(e, "%s: %s is writing it; wait for its end, or stop it", path, who);
	}
	*lock = fd;
	return 0;
}

void io_unlock(int lock) { close(lock); }

int io_truncate(const char *path, size_t size, struct err *e)
{
	return truncate(path, (off_t)size) ? io_error(e, "shorten", path) : 0;
}

int io_temporary_dir(char *path, struct err *e)
{
	mode_t mask = umask(0);

	umask(mask);
	return mkdtemp(path) && chmod(path, 0777 & ~mask) == 0 ? 0 : io_error(e, "make the folder", path);
}

int io_mkdirs(const char *path, struct err *e)
{
	char *copy = mem_strdup(path);
	int rc = 0;
	for (char *at = copy + 1; rc == 0 && copy[0]; at++) {
		char old = *at;
		if (old && old != '/')
			continue;
		*at = 0;
		if (mkdir(copy, 0777) && !(errno == EEXIST && io_is_dir(copy)))
			rc = io_error(e, "make the folder", copy);
		*at = old;
		if (!old)
			break;
	}
	mem_free(copy);
	return rc;
}

bool io_exists(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0;
}

bool io_is_dir(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int io_dir_is_empty(const char *path, bool *empty, struct err *e)
{
	DIR *d = opendir(path);
	*empty = true;
	if (!d)
		return errno == ENOENT ? 0 : io_error(e, "open the folder", path);
	for (struct dirent *entry; (entry = readdir(d));)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			*empty = false;
	closedir(d);
	return 0;
}

int io_rename_dir(const char *from, const char *to, struct err *e)
{
	if (rename(from, to))
		return err_set(e, "cannot rename %s to %s: %s", from, to, strerror(errno));
	return sync_parent(to, e);
}

int io_exchange(const char *a, const char *b, struct err *e)
{
	if (renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE)) {
		int why = errno;
		err_set(e, "cannot exchange %s and %s: %s", a, b, strerror(why));
		errno = why;
		return -1;
	}
	return sync_parent(b, e);
}

int io_remove_tree(const char *path, struct err *e)
{
	struct stat st;
	char **names;
	size_t n;
	int rc = 0;
	if (lstat(path, &st))
		return errno == ENOENT ? 0 : io_error(e, "look at", path);
	if (!S_ISDIR(st.st_mode))
		return unlink(path) && errno != ENOENT ? io_error(e, "remove", path) : 0;
	if (io_list(path, &names, &n, e))
		return -1;
	for (size_t i = 0; i < n && rc == 0; i++) {
		char *child = io_join(path, names[i]);
		rc = io_remove_tree(child, e);
		mem_free(child);
	}
	io_list_free(names, n);
	if (rc == 0 && rmdir(path))
		rc = io_error(e, "remove", path);
	return rc;
}

int io_size(const char *path, size_t *size, struct err *e)
{
	struct stat st;
	if (stat(path, &st))
		return io_error(e, "look at", path);
	*size = (size_t)st.st_size;
	return 0;
}

int io_free_space(const char *path, size_t *bytes, struct err *e)
{
	struct statvfs v;
	char *at = mem_strdup(path);
	while (statvfs(at, &v)) {
		char *up = io_parent(at);
		bool top = strcmp(up, at) == 0;
		if (errno != ENOENT || top) {
			int rc = io_error(e, "ask for the free space of", at);
			mem_free(up);
			mem_free(at);
			return rc;
		}
		mem_free(at);
		at = up;
	}
	*bytes = (size_t)v.f_bavail * v.f_frsize;
	mem_free(at);
	return 0;
}

int io_need_space(const char *path, size_t need, const char *what, struct err *e)
{
	struct stat st;
	size_t room;

	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return 0; /* a pipe's or a device's room is its own */
	if (io_free_space(path, &room, e) < 0)
		return -1;
	return room >= need ? 0 : err_set(e, "%s: %s needs %zu bytes on disk, %zu are free", path, what, need, room);
}

int io_hash(const char *path, char hex[33], struct err *e)
{
	struct stat st;
	int fd = open_read(path, e);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) { /* its bytes are for who reads them */
		close(fd);
		return err_set(e, "cannot read %s: it is not a regular file", path);
	}
	struct hash_stream *h = hash_begin();
	char *piece = mem_alloc(PIECE);
	ssize_t n;
	while ((n = read_some(fd, piece, PIECE)) > 0)
		hash_add(h, piece, (size_t)n);
	int rc = n < 0 ? io_error(e, "read", path) : look(path, e);
	hash_end(h, hex);
	mem_free(piece);
	close(fd);
	return rc;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int io_list(const char *dir, char ***names, size_t *n, struct err *e)
{
	DIR *d = opendir(dir);
	size_t cap = 0;
	*names = NULL;
	*n = 0;
	if (!d)
		return io_error(e, "open the folder", dir);
	for (struct dirent *entry; (entry = readdir(d));) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (*n == cap) {
			cap = cap ? cap * 2 : 16;
			*names = mem_grow(*names, cap, sizeof(**names));
		}
		(*names)[(*n)++] = mem_strdup(entry->d_name);
	}
	closedir(d);
	if (*n)
		qsort(*names, *n, sizeof(**names), by_bytes);
	return 0;
}

void io_list_free(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		mem_free(names[i]);
	mem_free(names);
}

char *io_join(const char *dir, const char *name)
{
	size_t n = strlen(dir);
	bool slash = n && dir[n - 1] != '/';
	return mem_printf("%s%s%s", dir, slash ? "/" : "", name);
}

const char *io_basename(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}
