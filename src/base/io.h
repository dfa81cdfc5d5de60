/* io: files. Reading maps or loads whole files; writing always goes to a temporary name beside
 * the target, is synced, and renamed, so a reader or a crash never sees half a file. */
#ifndef BASE_IO_H
#define BASE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct mapping {
	const uint8_t *data; /* NULL for an empty file */
	size_t size;
};

int io_map(struct mapping *m, const char *path, struct err *e);  /* read-only, shared */
void io_unmap(struct mapping *m);
/* The file that is mapped there, or NULL; for a signal's handler: a file that somebody shortens has pages that cannot
 * be read any more (SIGBUS). */
const char *io_mapped_at(const void *p);
/* Does p lie in the mapping? The one question that decides whether bytes are the file's or memory of our own. */
bool io_maps(const struct mapping *m, const void *p);
/* Gives back the pages of [p, p+n) that are the mapping's; they are read from the file again when they are wanted.
 * Bytes elsewhere, a copy on the heap for example, are left alone. */
void io_forget(const struct mapping *m, const void *p, size_t n);
int io_read(struct buf *out, const char *path, struct err *e);   /* "-" is stdin */
/* inflates when the bytes start as gzip, else as they are */
int io_read_gz(struct buf *out, const char *path, struct err *e);
/* The same where somebody looks at what has come after each piece, deflated or not, and ends it by −1 and a sentence:
 * an input without an end, that is wrong, is refused soon. */
struct io_look {
	int (*at)(void *ctx, const struct buf *so_far, struct err *e);
	void *ctx;
};
int io_read_looked(struct buf *out, const char *path, const struct io_look *watch, struct err *e);

/* Writes the whole file beside and renames it over `path`, whose links are followed and whose mode stays; into a pipe
 * or a device it writes. */
int io_write(const char *path, const void *data, size_t n, struct err *e);

/* The same in pieces: open, write…, then commit or abort. After a write that failed only abort is legal; an open or
 * commit that failed has done it. */
struct io_writer {
	int fd;
	char *path;          /* what is replaced: links are followed */
	char *temporary;     /* the name before the last; NULL: path is no regular file and written into */
	bool unnamed;        /* it has no name yet */
	size_t written;
};
int io_writer_open(struct io_writer *w, const char *path, struct err *e);
int io_writer_open_private(struct io_writer *w, const char *path, struct err *e); /* a new file is its owner's alone */
int io_writer_add(struct io_writer *w, const void *data, size_t n, struct err *e);
int io_writer_commit(struct io_writer *w, struct err *e); /* fsync, rename, fsync of the folder */
/* commits where status, what became of the writing, is 0, else aborts; returns what became of it in the end */
int io_writer_end(struct io_writer *w, int status, struct err *e);
/* removes the temporary; harmless after commit and after a failed open */
void io_writer_abort(struct io_writer *w);

int io_append(const char *path, const void *data, size_t n, struct err *e); /* O_APPEND, one write; for logs */
int io_sync(const char *path, struct err *e);              /* the file's bytes and its name are on the disk */
/* Opens the file (made empty when missing) and holds it against other processes that do the same, until io_unlock or
 * the process's end. */
int io_lock(const char *path, int *lock, struct err *e);
/* The same of a folder, in which nothing is made for it; the error names the process that holds it. On a file system
 * that has no locks everybody gets one. */
int io_lock_dir(const char *path, int *lock, struct err *e);
void io_unlock(int lock);
int io_truncate(const char *path, size_t size, struct err *e);
/* Makes a folder that was not there; the last six characters, XXXXXX, become a name that is nobody else's. */
int io_temporary_dir(char *path, struct err *e);
int io_mkdirs(const char *path, struct err *e);           /* like mkdir -p */
/* /dev/stdout and its kin lead to what the process has open, which is to be written and not replaced. */
bool io_is_open_file(const char *path);
bool io_exists(const char *path);
bool io_is_dir(const char *path);
int io_dir_is_empty(const char *path, bool *empty, struct err *e); /* a missing folder counts as empty */
int io_rename_dir(const char *from, const char *to, struct err *e); /* fsyncs the parent */
/* Each gets the other's name, in one step; errno tells a file system that cannot (EINVAL, ENOSYS, EOPNOTSUPP). */
int io_exchange(const char *a, const char *b, struct err *e);
/* Where a path leads: through the links of its last part, also one whose target is not there yet. mem_free; NULL with
 * errno. */
char *io_follow(const char *path);
int io_remove_tree(const char *path, struct err *e);
int io_size(const char *path, size_t *size, struct err *e);
/* on the file system of the nearest existing parent */
int io_free_space(const char *path, size_t *bytes, struct err *e);
int io_need_space(const char *path, size_t need, const char *what, struct err *e); /* what: in the sentence */
int io_hash(const char *path, char hex[33], struct err *e);        /* XXH3-128 of the file's bytes */
/* Names in a folder, sorted bytewise, "." and ".." left out. Freed by io_list_free. */
int io_list(const char *dir, char ***names, size_t *n, struct err *e);
void io_list_free(char **names, size_t n);
char *io_join(const char *dir, const char *name);         /* mem_free */
char *io_parent(const char *path);                        /* the folder that it lies in; mem_free */
const char *io_basename(const char *path);                /* points into path */

#endif
