/* guard: malloc and its kin, interposed in the test program, so that an allocation inside a training step aborts
 * whoever makes it, libraries included. */
#include <errno.h>
#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"

#ifndef KUNGFU_SANITIZE
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

static void guard(const char *what)
{
	if (mem_guard_armed()) {
		mem_guard_disarm();
		BUG("%s inside a step", what);
	}
}

void *malloc(size_t n) { guard("malloc"); return __libc_malloc(n); }
void *calloc(size_t n, size_t size) { guard("calloc"); return __libc_calloc(n, size); }
void *realloc(void *p, size_t n) { guard("realloc"); return __libc_realloc(p, n); }
void *memalign(size_t align, size_t n) { guard("memalign"); return __libc_memalign(align, n); }
void *aligned_alloc(size_t align, size_t n) { guard("aligned_alloc"); return __libc_memalign(align, n); }
int posix_memalign(void **p, size_t align, size_t n)
{
	guard("posix_memalign");
	*p = __libc_memalign(align, n);
	return *p ? 0 : ENOMEM;
}
#endif
