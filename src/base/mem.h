/* mem: the only place that calls malloc.
 *
 * Small allocations die with a sentence when the machine has no memory left (there is nothing
 * useful a caller could do); big ones (weights, activations, state) go through mem_map, which
 * returns an error that states the bytes. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

void *mem_alloc(size_t bytes);                       /* zeroed; never NULL, also for 0 bytes */
void *mem_array(size_t n, size_t size);              /* zeroed; the product is checked */
void *mem_grow(void *p, size_t n, size_t size);      /* realloc to n items; new bytes are not zeroed */
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t n);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char *mem_vprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));
void mem_free(void *p);
void mem_trim(void);                                 /* pages of what was freed go back, where the libc can do that */

int mem_refused(size_t bytes, const char *what, struct err *e); /* −1, and how much there is of what was wanted */
/* Anonymous zero pages, 2 MiB aligned with huge pages asked for where that pays. Not touched. Freed by mem_unmap. */
int mem_map(void **out, size_t bytes, const char *what, struct err *e);
/* what one touched byte of such a mapping makes resident: a page, or a huge one */
size_t mem_map_granule(size_t bytes);
void mem_unmap(void *p, size_t bytes);
void mem_touch(void *p, size_t bytes); /* faults every page in, contents unchanged */
/* Where parts of such a mapping come and go: its pages are small from now on, so that a part takes its own bytes. And
 * gives the whole pages within these bytes back: they are zero when they are next read. */
void mem_small_pages(void *p, size_t bytes);
void mem_give_back(void *p, size_t bytes);

/* a*b and a+b, false on overflow. */
bool size_mul(size_t a, size_t b, size_t *out);
bool size_add(size_t a, size_t b, size_t *out);

/* The guard: between arm and disarm the calling thread may not allocate, nor a pool's threads while they work for it;
 * what other threads of the process do is their own affair. In the test build malloc itself is interposed (libraries
 * included) and a violation aborts; elsewhere only mem_* is watched. */
void mem_guard_arm(void);
void mem_guard_disarm(void);
bool mem_guard_armed(void);

/* Resident set of this process in bytes, from the kernel: now, and the highest so far (VmHWM). */
size_t mem_rss(void);
size_t mem_rss_peak(void);
/* What this process may use: the smaller of the machine's available memory and the cgroup's limit. */
size_t mem_available(void);

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define ROUND_UP(n, to) (((n) + (to) - 1) / (to) * (to))

#endif
