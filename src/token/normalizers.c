/* normalizers: the steps of a tokenizer.json's normalizer that are no forms of Unicode: what stands in front of a text,
 * one text for another, white space at the ends, capitals, accents. As Hugging Face's tokenizers do them. */
#include <string.h>
#include <utf8proc.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "token/alphabet.h"
#include "token/bert.h"
#include "token/charsmap.h"
#include "token/pretokenize.h"

/* --- Prepend --- */

struct prepend { int first; char *text; }; /* first: only where the text begins (token/sentencepiece.h) */

static int parse_prepend(const json_t *j, void **own, struct err *e)
{
	struct prepend p;
	const char *text;
	if (jsonx_string(j, "prepend", "", &text, e) || jsonx_bool(j, "first", false, &p.first, e))
		return -1;
	p.text = mem_strdup(text);
	*own = mem_alloc(sizeof(p));
	memcpy(*own, &p, sizeof(p));
	return 0;
}

static void release_prepend(void *own) { mem_free(((struct prepend *)own)->text); }

static int run_prepend(const void *own, const struct slice *in, struct altered *out, struct err *e)
{
	const struct prepend *p = own;
	(void)e;
	if (in->n && (!p->first || in->begins))
		altered_add(out, p->text, strlen(p->text), slice_origin(in, 0));
	altered_copy(out, in, 0, in->n);
	return 0;
}

/* --- Replace --- */

struct replace { struct pattern *pattern; char *to; };

static int parse_replace(const json_t *j, void **own, struct err *e)
{
	const json_t *pattern = json_object_get(j, "pattern"), *regex = json_object_get(pattern, "Regex");
	const json_t *from = regex ? regex : json_object_get(pattern, "String"), *to = json_object_get(j, "content");
	if (!json_is_string(from) || !json_string_length(from) || !json_is_string(to))
		return err_set(e, "a Replace whose pattern is neither {\"Regex\": …} nor {\"String\": …}, or without "
		                  "content");
	struct replace r = { pattern_new(json_string_value(from), json_string_length(from), !regex, e), NULL };
	if (!r.pattern)
		return -1;
	r.to = mem_strdup(json_string_value(to));
	*own = mem_alloc(sizeof(r));
	memcpy(*own, &r, sizeof(r));
	return 0;
}

static void release_replace(void *own)
{
	struct replace *r = own;
	pattern_free(r->pattern);
	mem_free(r->to);
}

/* Where the last character of bytes begin to end came from: what stands in their place is said to come from there. */
static uint32_t last_origin(const struct slice *in, size_t begin, size_t end)
{
	while (--end > begin && ((unsigned char)in->text[end] & 0xC0) == 0x80)
		;
	return slice_origin(in, end);
}

static int run_replace(const void *own, const struct slice *in, struct altered *out, struct err *e)
{
	const struct replace *r = own;
	struct pattern_scratch *scratch = pattern_scratch_new();
	size_t from = 0, begin, end, n = strlen(r->to);
	uint32_t c;
	int rc = 0;
	while (from < in->n && (rc = pattern_next(r->pattern, scratch, in->text, in->n, from, &begin, &end, e)) > 0) {
		altered_copy(out, in, from, begin);
		if (begin == end && begin < in->n) { /* nothing was taken: on behind the next character */
			end += MAX(utf8_decode(in->text + begin, in->n - begin, &c), (size_t)1);
			altered_copy(out, in, begin, end);
		} else {
			altered_add(out, r->to, n, begin < end ? last_origin(in, begin, end) : slice_origin(in, begin));
		}
		from = end;
	}
	altered_copy(out, in, from, in->n);
	pattern_scratch_free(scratch);
	return rc < 0 ? -1 : 0;
}

/* --- Strip --- */

struct strip { int left, right; };

static int parse_strip(const json_t *j, void **own, struct err *e)
{
	struct strip s;
	if (jsonx_bool(j, "strip_left", true, &s.left, e) || jsonx_bool(j, "strip_right", true, &s.right, e))
		return -1;
	*own = mem_alloc(sizeof(s));
	memcpy(*own, &s, sizeof(s));
	return 0;
}

static int run_strip(const void *own, const struct slice *in, struct altered *out, struct err *e)
{
	const struct strip *s = own;
	size_t begin = 0, end = in->n, last = 0;
	uint32_t c;
	(void)e;
	for (size_t k; s->left && begin < in->n; begin += k) {
		k = utf8_decode(in->text + begin, in->n - begin, &c);
		if (!utf8_is_space(c))
			break;
	}
	for (size_t at = begin, k; s->right && at < in->n; at += k) {
		k = utf8_decode(in->text + at, in->n - at, &c);
		last = utf8_is_space(c) ? last : at + k;
	}
	if (s->right)
		end = MAX(begin, last);
	altered_copy(out, in, begin, end);
	return 0;
}

/* --- Lowercase, StripAccents --- */

static void put(struct altered *out, uint32_t c, uint32_t origin)
{
	char text[4];
	altered_add(out, text, utf8_encode(c, text), origin);
}

static int run_lowercase(const void *own, const struct slice *in, struct altered *out, struct err *e)
{
	uint32_t c;
	(void)own;
	(void)e;
	for (size_t at = 0, k; at < in->n; at += k) {
		k = utf8_decode(in->text + at, in->n - at, &c);
		uint32_t origin = slice_origin(in, at);
		put(out, c == 0x130 ? 'i' : (uint32_t)utf8proc_tolower((utf8proc_int32_t)c), origin);
		if (c == 0x130) /* the one that becomes two */
			put(out, 0x307, origin);
	}
	return 0;
}

/* All marks, those that take space of their own too; BertNormalizer drops Mn alone. */
static bool is_mark(uint32_t c)
{
	utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
	return k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_MC || k == UTF8PROC_CATEGORY_ME;
}

static int run_strip_accents(const void *own, const struct slice *in, struct altered *out, struct err *e)
{
	uint32_t c;
	(void)own;
	(void)e;
	for (size_t at = 0, k; at < in->n; at += k) {
		k = utf8_decode(in->text + at, in->n - at, &c);
		if (!is_mark(c))
			put(out, c, slice_origin(in, at));
	}
	return 0;
}

/* --- Nmt, ByteLevel --- */

/* What SentencePiece's "nmt" does beside NFKC: controls go, white space and marks of none become spaces. */
static int run_nmt(const void *own, const struct slice *in, struct altered *out, struct err *e)
{
	uint32_t c;
	(void)own;
	(void)e;
	for (size_t at = 0, k; at < in->n; at += k) {
		k = utf8_decode(in->text + at, in->n - at, &c);
		bool gone = (c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F ||
		            c == 0x9F;
		bool space = c == 9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 ||
		             (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF ||
		             c == 0xFFFD;
		if (!gone)
			put(out, space ? ' ' : c, slice_origin(in, at));
	}
	return 0;
}

static int run_alphabet(const void *own, const struct slice *in, struct altered *out, struct err *e)
{
	struct buf one = BUF_INIT;
	(void)own;
	(void)e;
	for (size_t at = 0; at < in->n; at++) {
		buf_clear(&one);
		alphabet_write(&one, in->text + at, 1);
		altered_add(out, one.data, one.len, slice_origin(in, at));
	}
	buf_release(&one);
	return 0;
}

const struct normalizer_type normalizer_table[] = {
	{ "Prepend", parse_prepend, run_prepend, release_prepend },
	{ "Replace", parse_replace, run_replace, release_replace },
	{ "Strip", parse_strip, run_strip, NULL },
	{ "Lowercase", NULL, run_lowercase, NULL },
	{ "StripAccents", NULL, run_strip_accents, NULL },
	{ "Precompiled", charsmap_parse, charsmap_run, charsmap_release },
	{ "BertNormalizer", bert_parse, bert_run, NULL },
	{ "Nmt", NULL, run_nmt, NULL },
	{ "ByteLevel", NULL, run_alphabet, NULL },
	{ 0 },
};
