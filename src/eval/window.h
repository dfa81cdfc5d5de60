/* window: a text that may be longer than a model's context, as overlapping pieces: the recipe of Hugging Face's guide
 * to perplexity.
 *
 * A window of up to `window` tokens begins every `stride` tokens, until one reaches the end. Each scores only what none
 * before it scored, so every token is scored once, given at least window − stride tokens before it where there are as
 * many. The first token of the text is given none and not scored; with stride = window neither is the first of each
 * window. */
#ifndef EVAL_WINDOW_H
#define EVAL_WINDOW_H

#include "data/document.h"

struct windows {
	struct arena mem;
	struct document *items;    /* ids point into the text's; learn marks what is scored */
	size_t *begin;             /* where in its text each begins */
	size_t n, cap;
	size_t scored;             /* tokens, of all */
};

/* Adds those of one text; windows with nothing to score are left out. 1 ≤ stride ≤ window. ids outlive w. */
void windows_add(struct windows *w, const int32_t *ids, size_t n, int32_t window, int32_t stride, const char *file,
                 size_t line);
void windows_release(struct windows *w);

#endif
