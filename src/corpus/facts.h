/* facts: a text's words and lines, which the rules count (corpus/rules.h). Words are what stands between white space,
 * lines what stands between line ends; lengths are characters. */
#ifndef CORPUS_FACTS_H
#define CORPUS_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text_span {                           /* of a text */
	const char *s;
	uint32_t n, chars;              /* bytes, characters */
};

struct text_spans { struct text_span *items; size_t n, cap; };

struct facts {
	const char *text;
	size_t n, chars;                /* bytes, characters */
	struct text_spans words, lines; /* lines: as str.splitlines gives them, empty ones too, without their ends */
};

/* From zeros, or one that was used before, whose memory serves again. The text is valid UTF-8 and borrowed. */
void facts_make(struct facts *f, const char *text, size_t n);
void facts_release(struct facts *f);
void text_spans_add(struct text_spans *l, const char *s, size_t n);
bool text_span_ends(struct text_span s, const char *end);
bool text_span_begins(struct text_span s, const char *begin);
struct text_span text_span_strip(struct text_span s);          /* of white space at both ends */

#endif
