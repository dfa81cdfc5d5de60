/* mem: malloc behind one door, big blocks from mmap, and what the kernel says about memory.
 *
 * Big blocks are aligned to 2 MiB and ask for huge pages from 4 MiB on: below that the tail wastes more than the
 * page walks cost. Reading /proc uses plain system calls, so that these figures can be asked for inside a guarded
 * step. */
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/human.h"

#define HUGE_PAGE ((size_t)2 << 20)
#define HUGE_FROM ((size_t)4 << 20)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static _Thread_local bool guard_on;

void mem_guard_arm(void) { guard_on = true; }
void mem_guard_disarm(void) { guard_on = false; }
bool mem_guard_armed(void) { return guard_on; }

static void guard_check(size_t bytes)
{
	if (!mem_guard_armed())
		return;
	mem_guard_disarm();
	BUG("an allocation of %zu bytes inside a step", bytes);
}

static _Noreturn void out_of_memory(size_t bytes)
{
	fprintf(stderr, "kungfu: out of memory: the system refused %zu bytes\n", bytes);
	_Exit(1);
}

bool size_mul(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
bool size_add(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }

void *mem_alloc(size_t bytes)
{
	guard_check(bytes);
	void *p = calloc(1, bytes ? bytes : 1);
	if (!p)
		out_of_memory(bytes);
	return p;
}

void *mem_array(size_t n, size_t size)
{
	size_t bytes;
	if (!size_mul(n, size, &bytes))
		BUG("an array of %zu items of %zu bytes", n, size);
	return mem_alloc(bytes);
}

void *mem_grow(void *p, size_t n, size_t size)
{
	size_t bytes;
	if (!size_mul(n, size, &bytes))
		BUG("an array of %zu items of %zu bytes", n, size);
	guard_check(bytes);
	p = realloc(p, bytes ? bytes : 1);
	if (!p)
		out_of_memory(bytes);
	return p;
}

char *mem_strndup(const char *s, size_t n)
{
	n = strnlen(s, n);
	char *out = mem_alloc(n + 1);
	memcpy(out, s, n);
	return out;
}

char *mem_strdup(const char *s) { return mem_strndup(s, strlen(s)); }

char *mem_vprintf(const char *fmt, va_list ap)
{
	va_list again;
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	if (n < 0)
		BUG("a format that cannot be printed: %s", fmt);
	char *out = mem_alloc((size_t)n + 1);
	vsnprintf(out, (size_t)n + 1, fmt, again);
	va_end(again);
	return out;
}

char *mem_printf(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	char *out = mem_vprintf(fmt, ap);
	va_end(ap);
	return out;
}

void mem_free(void *p) { free(p); }

void mem_trim(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

static size_t page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }

/* Whole pages, at least one; 0 when the number cannot be rounded up. */
static size_t map_length(size_t bytes)
{
	size_t page = page_size();
	if (bytes > SIZE_MAX - page - HUGE_PAGE)
		return 0;
	return ROUND_UP(MAX(bytes, (size_t)1), page);
}

static void *map_pages(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

/* The number after `name` in a file of "Name:   123 kB" lines, in bytes; 0 when absent. */
static size_t proc_field(const char *path, const char *name)
{
	char text[8192];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	char *at = strstr(text, name);
	return at ? (size_t)strtoull(at + strlen(name), NULL, 10) * 1024 : 0;
}

static size_t left_of(int which, const char *used)
{
	struct rlimit r;

	if (getrlimit((__rlimit_resource_t)which, &r) || r.rlim_cur == RLIM_INFINITY)
		return SIZE_MAX;
	size_t now = proc_field("/proc/self/status", used);
	return r.rlim_cur > now ? (size_t)r.rlim_cur - now : 0;
}

/* What ulimit leaves to this process; SIZE_MAX: it sets no limit. */
static size_t limit_left(void) { return MIN(left_of(RLIMIT_AS, "VmSize:"), left_of(RLIMIT_DATA, "VmData:")); }

/* Maps too much, then gives back what lies outside the aligned part. */
static void *map_huge(size_t bytes)
{
	char *p = map_pages(bytes + HUGE_PAGE);
	if (!p)
		return NULL;
	size_t before = (HUGE_PAGE - (uintptr_t)p % HUGE_PAGE) % HUGE_PAGE;
	if (before)
		munmap(p, before);
	munmap(p + before + bytes, HUGE_PAGE - before);
	madvise(p + before, bytes, MADV_HUGEPAGE);
	return p + before;
}

int mem_refused(size_t bytes, const char *what, struct err *e)
{
	char want[32], have[32];

	return err_set(e, "no memory for %s: %s wanted, %s available%s", what, human_bytes(bytes, want),
	               human_bytes(mem_available(), have),
	               limit_left() < bytes ? " under this process's limit (ulimit -v, -d)" : "");
}

int mem_map(void **out, size_t bytes, const char *what, struct err *e)
{
	size_t length = map_length(bytes);
	guard_check(bytes);
	*out = length >= HUGE_FROM ? map_huge(length) : NULL;
	if (!*out && length)
		*out = map_pages(length); /* also where there is just no room to align it */
	return *out ? 0 : mem_refused(bytes, what, e);
}

size_t mem_map_granule(size_t bytes)
{
	char mode[64] = "";
	FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");

	if (f && !fgets(mode, sizeof(mode), f))
		mode[0] = 0;
	if (f)
		fclose(f);
	return bytes >= HUGE_FROM && (strstr(mode, "[madvise]") || strstr(mode, "[always]")) ? HUGE_PAGE : page_size();
}

void mem_unmap(void *p, size_t bytes)
{
	if (p && munmap(p, map_length(bytes)))
		BUG("munmap of %zu bytes: %s", bytes, strerror(errno));
}

void mem_touch(void *p, size_t bytes)
{
	size_t page = page_size();
	uintptr_t first = (uintptr_t)p / page * page, end = (uintptr_t)p + bytes;
	if (bytes == 0 || madvise((void *)first, end - first, MADV_POPULATE_WRITE) == 0)
		return;
	for (uintptr_t at = (uintptr_t)p; at < end; at = (at / page + 1) * page) {
		volatile char *c = (volatile char *)at;
		*c = *c;
	}
}

void mem_small_pages(void *p, size_t bytes)
{
	if (bytes)
		madvise(p, map_length(bytes), MADV_NOHUGEPAGE);
}

void mem_give_back(void *p, size_t bytes)
{
	uintptr_t page = page_size(), first = ROUND_UP((uintptr_t)p, page), end = ((uintptr_t)p + bytes) / page * page;

	if (end > first && madvise((void *)first, end - first, MADV_DONTNEED))
		BUG("madvise of %zu bytes: %s", (size_t)(end - first), strerror(errno));
}

size_t mem_rss(void) { return proc_field("/proc/self/status", "VmRSS:"); }
size_t mem_rss_peak(void) { return proc_field("/proc/self/status", "VmHWM:"); }

size_t mem_available(void)
{
	size_t machine = proc_field("/proc/meminfo", "MemAvailable:"), group = cgroup_memory_left(NULL);
	if (machine == 0)
		machine = (size_t)sysconf(_SC_AVPHYS_PAGES) * page_size();
	return MIN(MIN(machine, group), limit_left());
}
