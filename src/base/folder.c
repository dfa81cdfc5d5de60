/* folder: made beside, moved in by one call of the system. Two folders are exchanged by renameat2; file systems without
 * it (NFS, some of user space) have the old one renamed away first. The lock is on the new folder itself, so it goes
 * with the process, and what nobody holds is a leftover. */
#include "base/folder.h"

#include <errno.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"

#define BESIDE ".kungfu-tmp-"
#define RANDOM "XXXXXX"
#define OLD ".kungfu-old"
#define PART ".kungfu-part"

static char *plain_of(const char *path)
{
	size_t n = strlen(path);
	while (n > 1 && path[n - 1] == '/')
		n--;
	return mem_strndup(path, n);
}

char *folder_old(const char *path)
{
	char *plain = plain_of(path), *old = mem_printf("%s" OLD, plain);
	mem_free(plain);
	return old;
}

size_t folder_is_beside(const char *name)
{
	size_t n = strlen(name), end = strlen(BESIDE RANDOM);
	return n > end && !strncmp(name + n - end, BESIDE, strlen(BESIDE)) ? n - end : 0;
}

size_t folder_is_old(const char *name)
{
	size_t n = strlen(name), end = strlen(OLD);
	return n > end && !strcmp(name + n - end, OLD) ? n - end : 0;
}

/* Folders beside that a killed process left: nobody holds them any more. */
static void sweep(const char *plain)
{
	struct err ignored = ERR_INIT;
	const char *base = io_basename(plain);
	char **names, *parent = mem_strndup(plain, (size_t)(base - plain));
	size_t n = 0;
	int lock, status = io_list(*parent ? parent : ".", &names, &n, &ignored);

	for (size_t i = 0; !status && i < n; i++) {
		char *path = io_join(parent, names[i]);
		size_t of = folder_is_beside(names[i]);
		bool ours = of && of == strlen(base) && !strncmp(names[i], base, of);
		if (ours && io_lock_dir(path, &lock, &ignored) == 0) {
			io_remove_tree(path, &ignored);
			io_unlock(lock);
		}
		mem_free(path);
	}
	if (!status)
		io_list_free(names, n);
	mem_free(parent);
}

static void clear(struct folder *f)
{
	mem_free(f->path);
	mem_free(f->beside);
	mem_free(f->part);
	*f = (struct folder){ 0 };
}

static void begin(struct folder *f, const char *path)
{
	char *plain = plain_of(path), *target = io_follow(plain);

	*f = (struct folder){ .path = plain_of(target ? target : plain) };
	mem_free(plain);
	mem_free(target);
	sweep(f->path);
}

/* Its parents are there, or it is not made. */
static int make(const char *path, struct err *e)
{
	char *parent = io_parent(path);
	int status = io_is_dir(parent) ? io_mkdirs(path, e) :
	                                 err_set(e, "%s cannot be made: there is no folder %s", path, parent);

	mem_free(parent);
	return status;
}

int folder_begin_kept(struct folder *f, const char *path, bool *found, struct err *e)
{
	begin(f, path);
	f->part = mem_printf("%s" PART, f->path);
	f->beside = io_join(f->part, "new");
	if (make(f->part, e) == 0 && io_lock_dir(f->part, &f->lock, e) == 0) {
		*found = io_is_dir(f->beside);
		if (make(f->beside, e) == 0)
			return 0;
		io_unlock(f->lock);
	}
	clear(f);
	return -1;
}

void folder_leave(struct folder *f)
{
	io_unlock(f->lock);
	clear(f);
}

int folder_begin(struct folder *f, const char *path, struct err *e)
{
	struct err ignored = ERR_INIT;

	begin(f, path);
	f->beside = mem_printf("%s" BESIDE RANDOM, f->path);
	if (io_temporary_dir(f->beside, e) < 0) {
		clear(f);
		return -1;
	}
	if (io_lock_dir(f->beside, &f->lock, e) == 0)
		return 0;
	io_remove_tree(f->beside, &ignored);
	clear(f);
	return -1;
}

static int end(struct folder *f, int status)
{
	struct err ignored = ERR_INIT;

	if (status < 0) {
		folder_abort(f);
		return status;
	}
	if (f->part)
		io_remove_tree(f->part, &ignored);
	io_unlock(f->lock);
	clear(f);
	return status;
}

int folder_place(struct folder *f, struct err *e)
{
	return end(f, io_rename_dir(f->beside, f->path, e));
}

/* The old one comes back where the new one cannot take its place. */
static int replace_by_two(const struct folder *f, struct err *e)
{
	struct err ignored = ERR_INIT;
	char *old = folder_old(f->path);
	int status = io_rename_dir(f->path, old, e);

	if (status == 0 && (status = io_rename_dir(f->beside, f->path, e)) < 0)
		io_rename_dir(old, f->path, &ignored);
	else if (status == 0)
		status = io_remove_tree(old, e);
	mem_free(old);
	return status;
}

int folder_replace(struct folder *f, struct err *e)
{
	int status = 0;

	if (io_exchange(f->beside, f->path, e) == 0)
		status = io_remove_tree(f->beside, e);
	else if (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)
		status = replace_by_two(f, e);
	else
		status = -1;
	return end(f, status);
}

void folder_abort(struct folder *f)
{
	struct err ignored = ERR_INIT;

	if (!f->path)
		return;
	io_remove_tree(f->part ? f->part : f->beside, &ignored);
	io_unlock(f->lock);
	clear(f);
}
