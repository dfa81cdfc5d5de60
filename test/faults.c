/* faults: see faults.h. The C library's calls are interposed in the test program, as guard.c does with malloc. */
#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

static long allowed = -1, calls;
static bool halved;

void faults_after(long n)
{
	allowed = n;
	calls = 0;
	halved = false;
}

long faults_calls(void) { return calls; }

static bool fails(void)
{
	return calls++ >= allowed && allowed >= 0;
}

static int no_space(void)
{
	errno = ENOSPC;
	return -1;
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
