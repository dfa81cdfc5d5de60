/* text: see text.h. */
#include "base/text.h"

#include <string.h>

bool text_ends(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

size_t text_stem(const char *s, const char *end)
{
	return text_ends(s, end) ? strlen(s) - strlen(end) : 0;
}
