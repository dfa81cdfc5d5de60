/* text: see text.h. */
#include "base/text.h"

#include <string.h>
#include <strings.h>

bool text_ends(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

size_t text_stem(const char *s, const char *end)
{
	return text_ends(s, end) ? strlen(s) - strlen(end) : 0;
}

const char *text_instead(const void *data, size_t n)
{
	static const struct { const char *begins, *what; } known[] = {
		{ "version https://git-lfs.", "a pointer of Git LFS in place of the file: git lfs pull fetches it" },
		{ "<!doctype html", "a page of HTML, as a failed download leaves it" },
		{ "<html", "a page of HTML, as a failed download leaves it" },
		{ "<?xml", "XML, as a failed download may leave it" },
	};

	if (!n)
		return "an empty file";
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (n >= strlen(known[i].begins) && !strncasecmp(data, known[i].begins, strlen(known[i].begins)))
			return known[i].what;
	return NULL;
}
