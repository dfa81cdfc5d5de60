/* faults: see faults.h. The C library's calls are interposed in the test program, as guard.c does with malloc. */
#include "faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Threads that are ranks write beside each other. */
static _Atomic long allowed = -1, maps = -1, alive = -1;
static bool halved, no_exchange;
static double wall_jump, slept, stopped = -1;

void faults_after(long n)
{
	allowed = n;
	halved = false;
}

void faults_maps_after(long n) { maps = n; }

void faults_die_after(long n) { alive = n; }

void faults_exchange(bool possible) { no_exchange = !possible; }

void faults_clock(double jump, double sleep)
{
	wall_jump = jump;
	slept = sleep;
}

void faults_stop(double steady) { stopped = steady; }

/* One of so many more; −1: of any number. */
static bool is_used_up(_Atomic long *left)
{
	long now = *left;

	while (now > 0 && !atomic_compare_exchange_weak(left, &now, now - 1))
		continue;
	return now == 0;
}

static void maybe_die(void)
{
	if (is_used_up(&alive))
		_exit(FAULTS_DIED);
}

static bool fails(void)
{
	maybe_die();
	return is_used_up(&allowed);
}

static int no_space(void)
{
	errno = ENOSPC;
	return -1;
}

/* The C library's, which needs no system call: the pool's waits read it all the time. */
static int (*real_clock_gettime)(clockid_t id, struct timespec *t);

__attribute__((constructor)) static void find_clock(void)
{
	real_clock_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
}

int clock_gettime(clockid_t id, struct timespec *t)
{
	int status = real_clock_gettime ? real_clock_gettime(id, t) : (int)syscall(SYS_clock_gettime, id, t);
	double more = id == CLOCK_REALTIME ? wall_jump : id == CLOCK_BOOTTIME ? slept : 0;
	if (stopped >= 0 && (id == CLOCK_MONOTONIC || id == CLOCK_BOOTTIME))
		*t = (struct timespec){ (time_t)stopped, lround(1e9 * fmod(stopped, 1)) };
	t->tv_sec += (time_t)more;
	return status;
}

time_t time(time_t *out)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	if (out)
		*out = t.tv_sec;
	return t.tv_sec;
}

ssize_t write(int fd, const void *data, size_t n)
{
	if (fd <= STDERR_FILENO || !fails())
		return syscall(SYS_write, fd, data, n);
	if (halved || n < 2)
		return no_space();
	halved = true;
	return syscall(SYS_write, fd, data, n / 2);
}

int fsync(int fd)
{
	return fails() ? no_space() : (int)syscall(SYS_fsync, fd);
}

int rename(const char *from, const char *to)
{
	return fails() ? no_space() : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
	if (flags && no_exchange) {
		errno = EINVAL;
		return -1;
	}
	return fails() ? no_space() : (int)syscall(SYS_renameat2, a, from, b, to, flags);
}

int unlink(const char *path)
{
	maybe_die();
	return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
	maybe_die();
	return (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}

int mkdir(const char *path, mode_t mode)
{
	if (access(path, F_OK) == 0) { /* nothing to make, nothing to fail */
		errno = EEXIST;
		return -1;
	}
	return fails() ? no_space() : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	if (flags & O_CREAT) {
		va_list ap;
		va_start(ap, flags);
		mode = (mode_t)va_arg(ap, int);
		va_end(ap);
		if (fails())
			return no_space();
	}
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

#ifndef KUNGFU_SANITIZE /* which maps memory of its own through this name */
void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
	if ((flags & MAP_ANONYMOUS) && is_used_up(&maps)) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return (void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset);
}
#endif
