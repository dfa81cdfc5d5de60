/* markup: escapes, character by character. */
#include "base/markup.h"

#include <string.h>

#include "base/utf8.h"

static const char *entity(uint32_t cp)
{
	switch (cp) {
	case '<': return "&lt;";
	case '>': return "&gt;";
	case '&': return "&amp;";
	case '"': return "&quot;";
	case '\'': return "&#39;";
	}
	if ((cp < 0x20 && cp != '\t' && cp != '\n' && cp != '\r') || cp == 0xFFFE || cp == 0xFFFF)
		return "\uFFFD";
	return NULL;
}

void markup_text(struct buf *out, const char *s, size_t n)
{
	struct buf whole = BUF_INIT;
	utf8_repair(&whole, s, n);
	for (size_t at = 0, size; at < whole.len; at += size) {
		uint32_t cp;
		size = utf8_decode(whole.data + at, whole.len - at, &cp);
		const char *name = entity(cp);
		if (name)
			buf_adds(out, name);
		else
			buf_add(out, whole.data + at, size);
	}
	buf_release(&whole);
}
