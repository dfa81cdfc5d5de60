/* bert: BertNormalizer: control characters go, CJK characters get spaces, then accents and capitals go.
 *
 * Hugging Face's tables for this are those of Unicode 8: marks and punctuation that are younger are none there, and are
 * here. Marks that stay (they are not of Unicode's Mn) stay in their order, which NFD might change. */
#include "token/bert.h"

#include <string.h>
#include <utf8proc.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "base/utf8.h"

struct bert { int clean, chinese, strip, lower; };

int bert_parse(const json_t *j, void **own, struct err *e)
{
	const json_t *strip = json_object_get(j, "strip_accents");
	struct bert b;
	if (jsonx_bool(j, "clean_text", true, &b.clean, e) ||
	    jsonx_bool(j, "handle_chinese_chars", true, &b.chinese, e) || jsonx_bool(j, "lowercase", true, &b.lower, e))
		return -1;
	b.strip = b.lower;
	if (strip && !json_is_null(strip) && jsonx_bool(j, "strip_accents", true, &b.strip, e))
		return -1;
	*own = mem_alloc(sizeof(b));
	memcpy(*own, &b, sizeof(b));
	return 0;
}

/* Categories C but for what is not assigned, tab and line ends. */
static bool is_control(uint32_t c)
{
	switch (utf8proc_category((utf8proc_int32_t)c)) {
	case UTF8PROC_CATEGORY_CC: return c != '\t' && c != '\n' && c != '\r';
	case UTF8PROC_CATEGORY_CF:
	case UTF8PROC_CATEGORY_CO: return true;
	default: return false;
	}
}

static bool is_chinese(uint32_t c)
{
	static const uint32_t blocks[][2] = {
		{ 0x3400, 0x4DBF },   { 0x4E00, 0x9FFF },   { 0xF900, 0xFAFF },   { 0x20000, 0x2A6DF },
		{ 0x2A700, 0x2B73F }, { 0x2B740, 0x2B81F }, { 0x2B920, 0x2CEAF }, { 0x2F800, 0x2FA1F },
	};
	for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
		if (c >= blocks[i][0] && c <= blocks[i][1])
			return true;
	return false;
}

static void put(struct altered *out, uint32_t c, uint32_t origin)
{
	char text[4];
	altered_add(out, text, utf8_encode(c, text), origin);
}

static void put_lower(struct altered *out, uint32_t c, uint32_t origin)
{
	put(out, c == 0x130 ? 'i' : (uint32_t)utf8proc_tolower((utf8proc_int32_t)c), origin);
	if (c == 0x130) /* the one that becomes two */
		put(out, 0x307, origin);
}

/* Its canonical decomposition without marks that take no space of their own. */
static void put_bare(struct altered *out, const struct bert *b, uint32_t c, uint32_t origin)
{
	utf8proc_int32_t part[32];
	int boundary = 0;
	utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)c, part, ARRAY_LEN(part), UTF8PROC_DECOMPOSE,
	                                             &boundary);
	for (utf8proc_ssize_t i = 0; i < n && n <= (utf8proc_ssize_t)ARRAY_LEN(part); i++) {
		if (utf8proc_category(part[i]) == UTF8PROC_CATEGORY_MN)
			continue;
		if (b->lower)
			put_lower(out, (uint32_t)part[i], origin);
		else
			put(out, (uint32_t)part[i], origin);
	}
}

int bert_run(const void *own, const struct slice *in, struct altered *out, struct err *e)
{
	const struct bert *b = own;
	uint32_t c;
	(void)e;
	for (size_t at = 0, k; at < in->n && (k = utf8_decode(in->text + at, in->n - at, &c)); at += k) {
		uint32_t origin = slice_origin(in, at);
		if (b->clean && (c == 0 || c == 0xFFFD || is_control(c)))
			continue;
		if (b->clean && utf8_is_space(c))
			c = ' ';
		bool apart = b->chinese && is_chinese(c);
		if (apart)
			put(out, ' ', origin);
		if (b->strip)
			put_bare(out, b, c, origin);
		else if (b->lower)
			put_lower(out, c, origin);
		else
			put(out, c, origin);
		if (apart)
			put(out, ' ', origin);
	}
	return 0;
}
