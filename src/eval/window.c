/* window: cuts one list of tokens into pieces that overlap, and says of each how many of its tokens count. */
#include "eval/window.h"

#include <string.h>

#include "base/mem.h"

static void add_one(struct windows *w, const int32_t *ids, size_t begin, int32_t n, int32_t n_new, const char *file,
                    size_t line)
{
	int32_t first = n_new < n ? n - n_new : 1; /* nothing predicts a window's first token */

	if (first >= n)
		return;
	if (w->n == w->cap) {
		w->cap = MAX(2 * w->cap, (size_t)16);
		w->items = mem_grow(w->items, w->cap, sizeof(*w->items));
		w->begin = mem_grow(w->begin, w->cap, sizeof(*w->begin));
	}
	struct document *d = &w->items[w->n];
	*d = (struct document){ .ids = (int32_t *)(uintptr_t)ids + begin,
		                .n = n,
		                .n_learn = n - first,
		                .file = file,
		                .line = line,
		                .choice = -1 };
	d->learn = arena_alloc(&w->mem, (size_t)n);
	memset(d->learn + first, 1, (size_t)(n - first));
	w->begin[w->n++] = begin;
	w->scored += (size_t)d->n_learn;
}

void windows_add(struct windows *w, const int32_t *ids, size_t n, int32_t window, int32_t stride, const char *file,
                 size_t line)
{
	if (window < 1 || stride < 1 || stride > window)
		BUG("windows of %d every %d tokens", window, stride);
	for (size_t begin = 0, done = 0; done < n; begin += (size_t)stride) {
		size_t end = MIN(begin + (size_t)window, n);
		add_one(w, ids, begin, (int32_t)(end - begin), (int32_t)(end - done), file, line);
		done = end;
	}
}

void windows_release(struct windows *w)
{
	mem_free(w->items);
	mem_free(w->begin);
	arena_release(&w->mem);
	*w = (struct windows){ 0 };
}
