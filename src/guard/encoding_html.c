/* encoding_html: references to characters, as markup_unescape knows them; &#97; and &#x61; are what nobody needs. */
#include <string.h>

#include "base/markup.h"
#include "base/mem.h"
#include "guard/escapes.h"

enum { LONGEST = 32 };

static size_t read(const struct finder *f, size_t i, char out[8], size_t *n)
{
	size_t most = MIN(f->n - i, (size_t)LONGEST);
	const char *end = memchr(f->s + i, ';', most);
	struct buf text = BUF_INIT;

	if (!end || end - (f->s + i) < 2)
		return 0;
	size_t k = (size_t)(end - (f->s + i)) + 1;
	for (size_t j = 1; j + 1 < k; j++)
		if (!encoding_alnum(f->s[i + j]) && !(j == 1 && f->s[i + j] == '#'))
			return 0;
	markup_unescape(&text, f->s + i, k);
	if (text.len > 8 || text.len == k)
		k = 0;
	else
		memcpy(out, buf_str(&text), *n = text.len);
	buf_release(&text);
	return k;
}

static void find(struct finder *f) { escapes_find(f, &(struct escapes){ '&', read, true }); }

static void encode(struct buf *out, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((s[i] & 0x80) == 0)
			buf_addf(out, "&#%d;", s[i]);
		else
			buf_addc(out, s[i]);
}

const struct encoding encoding_html = { .name = "html", .signs = "&", .find = find, .encode = encode };
