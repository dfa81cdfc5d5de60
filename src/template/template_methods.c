/* template_methods: the methods of strings, lists and dictionaries, and the global functions. Python's behaviour;
 * methods that change their object are refused, as the sandbox that templates normally run in does. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/unicode.h"
#include "base/utf8.h"
#include "template/template_run.h"

/* --- helpers --- */

static struct value text_arg(const struct call *c, size_t i, const char *name)
{
	struct value v = call_arg(c, i, name, NONE);

	if (v.type != V_STRING)
		return run_fail(c->r, "argument %zu is %s, a text was wanted", i + 1, v_type_name(v)), v_text("");
	return v;
}

static int64_t whole(struct value v) { return v.type == V_INT ? v.i : v.b; }

static struct value part(const struct call *c, size_t from, size_t to)
{
	return v_string(&c->r->mem, c->self.str.s + from, to > from ? to - from : 0);
}

static size_t char_at(const char *s, size_t n, uint32_t *c)
{
	size_t len = utf8_decode(s, n, c);
	return len ? len : 1;
}

/* The character before offset at. */
static size_t char_before(const char *s, size_t at, uint32_t *c)
{
	size_t from = at - 1;
	while (from > 0 && ((uint8_t)s[from] & 0xc0) == 0x80)
		from--;
	char_at(s + from, at - from, c);
	return at - from;
}

static bool in_set(const struct value *set, const char *s, size_t n, uint32_t c)
{
	return set->type == V_STRING ? memmem(set->str.s, set->str.n, s, n) != NULL : unicode_is_space(c);
}

static struct value strip(const struct call *c, bool left, bool right)
{
	struct value set = call_arg(c, 0, "chars", NONE);
	const char *s = c->self.str.s;
	size_t from = 0, to = c->self.str.n, n;
	uint32_t ch;

	if (set.type == V_STRING && !run_steps(c->r, to * set.str.n / 1024))
		return c->self;
	while (left && from < to && (n = char_at(s + from, to - from, &ch)) && in_set(&set, s + from, n, ch))
		from += n;
	while (right && to > from && (n = char_before(s, to, &ch)) && in_set(&set, s + to - n, n, ch))
		to -= n;
	return part(c, from, to);
}

static struct value m_strip(const struct call *c) { return strip(c, true, true); }
static struct value m_lstrip(const struct call *c) { return strip(c, true, false); }
static struct value m_rstrip(const struct call *c) { return strip(c, false, true); }

/* --- case --- */

static struct value recase(const struct call *c, enum unicode_case how)
{
	struct buf out = RUN_TEXT(c->r);

	unicode_recase(&out, c->self.str.s, c->self.str.n, how);
	return run_take(c->r, &out);
}

static struct value m_upper(const struct call *c) { return recase(c, UNICODE_UPPER); }
static struct value m_lower(const struct call *c) { return recase(c, UNICODE_LOWER); }
static struct value m_title(const struct call *c) { return recase(c, UNICODE_TITLE); }
static struct value m_capitalize(const struct call *c) { return recase(c, UNICODE_CAPITALIZE); }
static struct value m_swapcase(const struct call *c) { return recase(c, UNICODE_SWAPCASE); }
static struct value m_casefold(const struct call *c) { return recase(c, UNICODE_CASEFOLD); }

/* Whether all characters are of a kind, and there is one. */
static struct value all_are(const struct call *c, bool (*is)(uint32_t c))
{
	return v_bool(unicode_all(c->self.str.s, c->self.str.n, is));
}

static bool is_ascii(uint32_t c) { return c < 0x80; }

static struct value m_isascii(const struct call *c) { return v_bool(!c->self.str.n || v_true(all_are(c, is_ascii))); }
static struct value m_isdecimal(const struct call *c) { return all_are(c, unicode_is_decimal); }
static struct value m_isdigit(const struct call *c) { return all_are(c, unicode_is_digit); }
static struct value m_isnumeric(const struct call *c) { return all_are(c, unicode_is_numeric); }
static struct value m_isalpha(const struct call *c) { return all_are(c, unicode_is_alpha); }
static struct value m_isalnum(const struct call *c) { return all_are(c, unicode_is_alnum); }
static struct value m_isspace(const struct call *c) { return all_are(c, unicode_is_space); }
static struct value m_isprintable(const struct call *c) { return all_are(c, unicode_is_printable); }

static struct value text_is(const struct call *c, bool (*is)(const char *s, size_t n))
{
	return v_bool(is(c->self.str.s, c->self.str.n));
}

static struct value m_isupper(const struct call *c) { return text_is(c, unicode_text_is_upper); }
static struct value m_islower(const struct call *c) { return text_is(c, unicode_text_is_lower); }
static struct value m_istitle(const struct call *c) { return text_is(c, unicode_text_is_title); }
static struct value m_isidentifier(const struct call *c) { return text_is(c, unicode_text_is_identifier); }

/* --- searching --- */

/* The piece of self between the arguments 1 and 2, cut to its ends as Python cuts; false where it begins behind its
 * end, which is not even an empty piece. *first: the character where it begins. */
static bool window(const struct call *c, struct value *piece, int64_t *first)
{
	struct value start = call_arg(c, 1, NULL, NONE), end = call_arg(c, 2, NULL, NONE);
	int64_t n = start.type == V_NONE && end.type == V_NONE ? 0 : (int64_t)v_chars(c->self), to = n;

	*piece = c->self;
	*first = 0;
	if (start.type == V_NONE && end.type == V_NONE)
		return true;
	if (start.type != V_NONE)
		*first = whole(start) < 0 ? MAX(whole(start) + n, 0) : whole(start);
	if (end.type != V_NONE)
		to = whole(end) < 0 ? MAX(whole(end) + n, 0) : MIN(whole(end), n);
	if (*first > to)
		return false;
	size_t from = v_char_at(c->self, (size_t)*first);
	*piece = part(c, from, v_char_at(c->self, (size_t)to));
	return true;
}

static bool has_end(struct value text, struct value what, bool at_end)
{
	return what.str.n <= text.str.n &&
	       !memcmp(text.str.s + (at_end ? text.str.n - what.str.n : 0), what.str.s, what.str.n);
}

static struct value with(const struct call *c, bool at_end)
{
	struct value what = c->args[0], piece;
	size_t n = what.type == V_TUPLE ? what.list->n : 1;
	int64_t first;
	bool found = false, there = window(c, &piece, &first);

	for (size_t i = 0; i < n && !found; i++) {
		struct value one = what.type == V_TUPLE ? what.list->items[i] : what;
		if (one.type != V_STRING)
			return run_fail(c->r, "%s: a text was wanted, not %s", at_end ? "endswith" : "startswith",
			                v_type_name(one));
		found = there && has_end(piece, one, at_end);
	}
	return v_bool(found);
}

static struct value m_startswith(const struct call *c) { return with(c, false); }
static struct value m_endswith(const struct call *c) { return with(c, true); }

static const char *last_of(const struct call *c, struct value s, struct value what)
{
	if (what.str.n > s.str.n || !run_steps(c->r, (s.str.n - what.str.n) / 64 * what.str.n / 64))
		return NULL;
	for (size_t at = s.str.n + 1; at-- > 0;)
		if (at + what.str.n <= s.str.n && !memcmp(s.str.s + at, what.str.s, what.str.n))
			return s.str.s + at;
	return NULL;
}

static const char *first_of(struct value s, struct value what)
{
	return what.str.n ? memmem(s.str.s, s.str.n, what.str.s, what.str.n) : s.str.s;
}

static struct value find(const struct call *c, bool last)
{
	struct value what = c->args[0], piece;
	int64_t first;

	if (!window(c, &piece, &first))
		return v_int(-1);
	const char *at = last ? last_of(c, piece, what) : first_of(piece, what);
	return v_int(at ? first + (int64_t)utf8_count(piece.str.s, (size_t)(at - piece.str.s)) : -1);
}

static struct value must_be(const struct call *c, struct value at)
{
	return at.i < 0 ? run_fail(c->r, "index: the text is not there") : at;
}

static struct value m_find(const struct call *c) { return find(c, false); }
static struct value m_rfind(const struct call *c) { return find(c, true); }
static struct value m_index(const struct call *c) { return must_be(c, find(c, false)); }
static struct value m_rindex(const struct call *c) { return must_be(c, find(c, true)); }

static struct value m_count(const struct call *c)
{
	struct value what = c->args[0], piece;
	int64_t n = 0, first;

	if (!window(c, &piece, &first))
		return v_int(0);
	if (!what.str.n)
		return v_int((int64_t)v_chars(piece) + 1);
	const char *s = piece.str.s, *end = s + piece.str.n;
	for (; (s = memmem(s, (size_t)(end - s), what.str.s, what.str.n)); s += what.str.n)
		n++;
	return v_int(n);
}

static struct value m_replace(const struct call *c)
{
	struct value old = text_arg(c, 0, "old"), new = text_arg(c, 1, "new"),
		     most = call_arg(c, 2, "count", v_int(-1));
	int64_t left = whole(most);
	struct buf out = RUN_TEXT(c->r);
	const char *s = c->self.str.s, *end = s + c->self.str.n;

	while (left != 0) {
		const char *at = old.str.n ? memmem(s, (size_t)(end - s), old.str.s, old.str.n) : s < end ? s : NULL;
		if (!at)
			break;
		buf_add(&out, s, (size_t)(at - s));
		buf_add(&out, new.str.s, new.str.n);
		s = at + old.str.n;
		if (!old.str.n) {
			uint32_t ch;
			size_t n = char_at(s, (size_t)(end - s), &ch);
			buf_add(&out, s, n);
			s += n;
		}
		left -= left > 0;
	}
	buf_add(&out, s, (size_t)(end - s));
	if (!old.str.n && left != 0)
		buf_add(&out, new.str.s, new.str.n);
	return run_take(c->r, &out);
}

/* --- splitting and joining --- */

static struct value split_space(const struct call *c, int64_t most)
{
	struct value list = v_list(&c->r->mem, V_LIST, 8);
	const char *s = c->self.str.s;
	size_t n = c->self.str.n, at = 0, len;
	uint32_t ch;

	for (;;) {
		while (at < n && (len = char_at(s + at, n - at, &ch)) && unicode_is_space(ch))
			at += len;
		if (at >= n)
			return list;
		size_t from = at;
		if (most >= 0 && (int64_t)list.list->n == most) {
			v_push(&c->r->mem, list, part(c, from, n)); /* with the space at its end */
			return list;
		}
		while (at < n && (len = char_at(s + at, n - at, &ch)) && !unicode_is_space(ch))
			at += len;
		v_push(&c->r->mem, list, part(c, from, at));
	}
}

static struct value m_split(const struct call *c)
{
	struct value by = call_arg(c, 0, "sep", NONE), limit = call_arg(c, 1, "maxsplit", v_int(-1));
	int64_t most = whole(limit);
	struct value list = v_list(&c->r->mem, V_LIST, 8);
	const char *s = c->self.str.s, *end = s + c->self.str.n, *at;

	if (by.type == V_NONE)
		return split_space(c, most);
	if (!by.str.n)
		return run_fail(c->r, "split: the separator is empty");
	while ((most < 0 || (int64_t)list.list->n < most) && (at = memmem(s, (size_t)(end - s), by.str.s, by.str.n))) {
		v_push(&c->r->mem, list, v_string(&c->r->mem, s, (size_t)(at - s)));
		s = at + by.str.n;
	}
	v_push(&c->r->mem, list, v_string(&c->r->mem, s, (size_t)(end - s)));
	return list;
}

/* The list of what was found from the end on, in the order of the text. */
static struct value turned(const struct call *c, struct value backward)
{
	struct value list = v_list(&c->r->mem, V_LIST, backward.list->n);

	for (size_t i = backward.list->n; i-- > 0;)
		v_push(&c->r->mem, list, backward.list->items[i]);
	return list;
}

static struct value rsplit_space(const struct call *c, int64_t most)
{
	struct value backward = v_list(&c->r->mem, V_LIST, 8);
	const char *s = c->self.str.s;
	size_t at = c->self.str.n, n, from;
	uint32_t ch;

	for (;;) {
		while (at && (n = char_before(s, at, &ch)) && unicode_is_space(ch))
			at -= n;
		if (!at)
			return turned(c, backward);
		from = at;
		if ((int64_t)backward.list->n == most) {
			v_push(&c->r->mem, backward, part(c, 0, at)); /* with the space at its beginning */
			return turned(c, backward);
		}
		while (from && (n = char_before(s, from, &ch)) && !unicode_is_space(ch))
			from -= n;
		v_push(&c->r->mem, backward, part(c, from, at));
		at = from;
	}
}

static struct value m_rsplit(const struct call *c)
{
	struct value by = call_arg(c, 0, "sep", NONE), rest = c->self, backward;
	int64_t most = whole(call_arg(c, 1, "maxsplit", v_int(-1)));

	if (most < 0)
		return m_split(c);
	if (by.type == V_NONE)
		return rsplit_space(c, most);
	if (!by.str.n)
		return run_fail(c->r, "rsplit: the separator is empty");
	backward = v_list(&c->r->mem, V_LIST, 8);
	for (int64_t i = 0; i < most; i++) {
		const char *at = last_of(c, rest, by);
		if (!at)
			break;
		size_t from = (size_t)(at - rest.str.s) + by.str.n;
		v_push(&c->r->mem, backward, v_string(&c->r->mem, rest.str.s + from, rest.str.n - from));
		rest.str.n = (size_t)(at - rest.str.s);
	}
	v_push(&c->r->mem, backward, v_string(&c->r->mem, rest.str.s, rest.str.n));
	return turned(c, backward);
}

static struct value m_splitlines(const struct call *c)
{
	struct value list = v_list(&c->r->mem, V_LIST, 8);
	bool keep = v_true(call_arg(c, 0, "keepends", v_bool(false)));
	const char *s = c->self.str.s, *end = s + c->self.str.n;

	while (s < end) {
		const char *at = s;
		size_t n = 0;
		uint32_t ch;
		for (; at < end && (n = char_at(at, (size_t)(end - at), &ch)) && !unicode_is_line_break(ch); at += n)
			;
		n = at == end ? 0 : *at == '\r' && at + 1 < end && at[1] == '\n' ? 2 : n;
		v_push(&c->r->mem, list, v_string(&c->r->mem, s, (size_t)(at - s) + (keep ? n : 0)));
		s = at + n;
	}
	return list;
}

static struct value m_join(const struct call *c)
{
	struct value list;
	struct buf out = RUN_TEXT(c->r);

	if (v_iterate(&c->r->mem, call_arg(c, 0, "iterable", NONE), &list, c->r->e) < 0)
		return run_fail(c->r, "join: %s", c->r->e->msg);
	for (size_t i = 0; i < list.list->n; i++) {
		if (list.list->items[i].type != V_STRING) {
			buf_release(&out);
			return run_fail(c->r, "join: item %zu is %s, a text was wanted", i,
			                v_type_name(list.list->items[i]));
		}
		if (i)
			buf_add(&out, c->self.str.s, c->self.str.n);
		v_print(&out, list.list->items[i]);
	}
	return run_take(c->r, &out);
}

static struct value remove_part(const struct call *c, bool at_end)
{
	struct value what = c->args[0];

	if (!has_end(c->self, what, at_end))
		return c->self;
	return at_end ? part(c, 0, c->self.str.n - what.str.n) : part(c, what.str.n, c->self.str.n);
}

static struct value m_removeprefix(const struct call *c) { return remove_part(c, false); }
static struct value m_removesuffix(const struct call *c) { return remove_part(c, true); }

static struct value cut(const struct call *c, bool last)
{
	struct value by = c->args[0], t = v_list(&c->r->mem, V_TUPLE, 3), none = v_text("");

	if (!by.str.n)
		return run_fail(c->r, "partition: the separator is empty");
	const char *at = last ? last_of(c, c->self, by) : memmem(c->self.str.s, c->self.str.n, by.str.s, by.str.n);
	size_t n = at ? (size_t)(at - c->self.str.s) : c->self.str.n;

	v_push(&c->r->mem, t, at || !last ? part(c, 0, n) : none);
	v_push(&c->r->mem, t, at ? by : none);
	v_push(&c->r->mem, t, at ? part(c, n + by.str.n, c->self.str.n) : last ? c->self : none);
	return t;
}

static struct value m_partition(const struct call *c) { return cut(c, false); }
static struct value m_rpartition(const struct call *c) { return cut(c, true); }

/* How many characters are wanting to a width; beyond what a text may have is a mistake. */
static int64_t missing_to(const struct call *c, int64_t width)
{
	int64_t n = (int64_t)v_chars(c->self);

	if (width > RUN_TEXT_MAX)
		run_fail(c->r, "a text of more than %d bytes", RUN_TEXT_MAX);
	return c->r->failed ? 0 : MAX(width - n, 0);
}

static void fill(struct buf *out, struct value with, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		buf_add(out, with.str.s, with.str.n);
}

static struct value m_zfill(const struct call *c)
{
	struct buf out = RUN_TEXT(c->r);
	bool sign = c->self.str.n && strchr("+-", c->self.str.s[0]);

	buf_add(&out, c->self.str.s, sign);
	fill(&out, v_text("0"), missing_to(c, whole(c->args[0])));
	buf_add(&out, c->self.str.s + sign, c->self.str.n - sign);
	return run_take(c->r, &out);
}

/* Filled up on the left by what `left` says of n: all, nothing, or half as Python rounds it. */
static struct value filled(const struct call *c, int64_t left, int64_t n)
{
	struct value with = call_arg(c, 1, NULL, v_text(" "));
	struct buf out = RUN_TEXT(c->r);

	if (v_chars(with) != 1)
		return run_fail(c->r, "one character was wanted to fill with, not %zu", v_chars(with));
	fill(&out, with, left);
	buf_add(&out, c->self.str.s, c->self.str.n);
	fill(&out, with, n - left);
	return run_take(c->r, &out);
}

static struct value m_center(const struct call *c)
{
	int64_t width = whole(c->args[0]), n = missing_to(c, width);
	return filled(c, n / 2 + (n & width & 1), n);
}

static struct value m_ljust(const struct call *c) { return filled(c, 0, missing_to(c, whole(c->args[0]))); }

static struct value m_rjust(const struct call *c)
{
	int64_t n = missing_to(c, whole(c->args[0]));
	return filled(c, n, n);
}

static struct value m_expandtabs(const struct call *c)
{
	int64_t size = whole(call_arg(c, 0, "tabsize", v_int(8))), column = 0;
	struct buf out = RUN_TEXT(c->r);

	for (size_t i = 0; i < c->self.str.n && !out.overflow; i++) {
		char ch = c->self.str.s[i];
		if (ch == '\t') {
			int64_t n = size > 0 ? size - column % size : 0;
			if (n > RUN_TEXT_MAX)
				return run_fail(c->r, "a text of more than %d bytes", RUN_TEXT_MAX);
			fill(&out, v_text(" "), n);
			column += n;
			continue;
		}
		buf_addc(&out, ch);
		column = ch == '\n' || ch == '\r' ? 0 : column + (((uint8_t)ch & 0xc0) != 0x80);
	}
	return run_take(c->r, &out);
}

/* "{} {name}".format(…): plain fields alone. */
static struct value m_format(const struct call *c)
{
	struct buf out = RUN_TEXT(c->r);
	size_t next = 0;

	for (const char *s = c->self.str.s, *end = s + c->self.str.n; s < end; s++) {
		if ((*s == '{' || *s == '}') && s + 1 < end && s[1] == *s) {
			buf_addc(&out, *s++);
		} else if (*s == '{') {
			const char *close = memchr(s, '}', (size_t)(end - s));
			char name[64];
			if (!close || close - s > 60 || memchr(s, ':', (size_t)(close - s)) ||
			    memchr(s, '!', (size_t)(close - s))) {
				buf_release(&out);
				return run_fail(c->r, "format: only fields as {}, {0} and {name} are known here");
			}
			snprintf(name, sizeof(name), "%.*s", (int)(close - s - 1), s + 1);
			size_t index = name[0] >= '0' && name[0] <= '9' ? (size_t)strtoul(name, NULL, 10) :
			               name[0]                          ? SIZE_MAX :
			                                                  next++;
			v_print(&out, call_arg(c, index, name[0] ? name : NULL, UNDEFINED("a field of format")));
			s = close;
		} else {
			buf_addc(&out, *s);
		}
	}
	return run_take(c->r, &out);
}

static const struct function string_methods[] = {
	{ "strip", m_strip, "/chars:sn?" },
	{ "lstrip", m_lstrip, "/chars:sn?" },
	{ "rstrip", m_rstrip, "/chars:sn?" },
	{ "upper", m_upper, NULL },
	{ "lower", m_lower, NULL },
	{ "title", m_title, NULL },
	{ "capitalize", m_capitalize, NULL },
	{ "swapcase", m_swapcase, NULL },
	{ "casefold", m_casefold, NULL },
	{ "isdigit", m_isdigit, NULL },
	{ "isnumeric", m_isnumeric, NULL },
	{ "isdecimal", m_isdecimal, NULL },
	{ "isalpha", m_isalpha, NULL },
	{ "isalnum", m_isalnum, NULL },
	{ "isspace", m_isspace, NULL },
	{ "isupper", m_isupper, NULL },
	{ "islower", m_islower, NULL },
	{ "istitle", m_istitle, NULL },
	{ "isascii", m_isascii, NULL },
	{ "isprintable", m_isprintable, NULL },
	{ "isidentifier", m_isidentifier, NULL },
	{ "startswith", m_startswith, "/prefix:st /start:in? /end:in?" },
	{ "endswith", m_endswith, "/suffix:st /start:in? /end:in?" },
	{ "find", m_find, "/sub:s /start:in? /end:in?" },
	{ "rfind", m_rfind, "/sub:s /start:in? /end:in?" },
	{ "index", m_index, "/sub:s /start:in? /end:in?" },
	{ "rindex", m_rindex, "/sub:s /start:in? /end:in?" },
	{ "count", m_count, "/sub:s /start:in? /end:in?" },
	{ "replace", m_replace, "/old:s /new:s /count:i?" },
	{ "split", m_split, "sep:sn? maxsplit:i?" },
	{ "rsplit", m_rsplit, "sep:sn? maxsplit:i?" },
	{ "splitlines", m_splitlines, "keepends:i?" },
	{ "join", m_join, "/iterable:a" },
	{ "removeprefix", m_removeprefix, "/prefix:s" },
	{ "removesuffix", m_removesuffix, "/suffix:s" },
	{ "partition", m_partition, "/sep:s" },
	{ "rpartition", m_rpartition, "/sep:s" },
	{ "zfill", m_zfill, "/width:i" },
	{ "center", m_center, "/width:i /fillchar:s?" },
	{ "ljust", m_ljust, "/width:i /fillchar:s?" },
	{ "rjust", m_rjust, "/width:i /fillchar:s?" },
	{ "expandtabs", m_expandtabs, "tabsize:i?" },
	{ "format", m_format, "* **" },
	{ "encode", NULL, NULL },
	{ "format_map", NULL, NULL },
	{ "maketrans", NULL, NULL },
	{ "translate", NULL, NULL },
};

/* --- lists and dictionaries --- */

static struct value m_list_index(const struct call *c)
{
	struct value what = c->args[0];
	int64_t n = (int64_t)c->self.list->n, from = whole(call_arg(c, 1, NULL, v_int(0))),
		to = whole(call_arg(c, 2, NULL, v_int(n)));

	from = from < 0 ? MAX(from + n, 0) : from;
	to = to < 0 ? to + n : MIN(to, n);
	for (int64_t i = from; i < to && run_charge(c->r, c->self.list->items[i], NONE); i++)
		if (v_equal(c->self.list->items[i], what))
			return v_int(i);
	return run_fail(c->r, "index: the value is not in the list");
}

static struct value m_list_count(const struct call *c)
{
	struct value what = call_arg(c, 0, NULL, NONE);
	int64_t n = 0;

	for (size_t i = 0; i < c->self.list->n && run_charge(c->r, c->self.list->items[i], NONE); i++)
		n += v_equal(c->self.list->items[i], what);
	return v_int(n);
}

static struct value m_list_copy(const struct call *c)
{
	struct value list = v_list(&c->r->mem, V_LIST, c->self.list->n);

	for (size_t i = 0; i < c->self.list->n; i++)
		v_push(&c->r->mem, list, c->self.list->items[i]);
	return list;
}

static const struct function list_methods[] = {
	{ "index", m_list_index, "/value:a /start:i? /stop:i?" },
	{ "count", m_list_count, "/value:a" },
	{ "copy", m_list_copy, NULL },
	{ "append", NULL, CHANGES },
	{ "extend", NULL, CHANGES },
	{ "insert", NULL, CHANGES },
	{ "pop", NULL, CHANGES },
	{ "remove", NULL, CHANGES },
	{ "reverse", NULL, CHANGES },
	{ "sort", NULL, CHANGES },
	{ "clear", NULL, CHANGES },
};

static struct value m_get(const struct call *c)
{
	if (!v_hashable(c->args[0]))
		return run_fail(c->r, "get: a %s cannot be a key", v_type_name(c->args[0]));
	const struct value *v = v_get(c->self, c->args[0]);
	return v ? *v : call_arg(c, 1, "default", NONE);
}

static struct value dict_list(const struct call *c, bool keys, bool values)
{
	struct value list = v_list(&c->r->mem, V_LIST, c->self.dict->n);

	for (size_t i = 0; i < c->self.dict->n; i++) {
		struct value item = keys ? c->self.dict->keys[i] : c->self.dict->values[i];
		if (keys && values) {
			item = v_list(&c->r->mem, V_TUPLE, 2);
			v_push(&c->r->mem, item, c->self.dict->keys[i]);
			v_push(&c->r->mem, item, c->self.dict->values[i]);
		}
		v_push(&c->r->mem, list, item);
	}
	return list;
}

static struct value as_view(struct value list, enum list_kind kind)
{
	list.list->kind = kind;
	return list;
}

static struct value m_items(const struct call *c) { return as_view(dict_list(c, true, true), LIST_ITEMS); }
static struct value m_keys(const struct call *c) { return as_view(dict_list(c, true, false), LIST_KEYS); }
static struct value m_values(const struct call *c) { return as_view(dict_list(c, false, true), LIST_VALUES); }

static struct value m_dict_copy(const struct call *c)
{
	struct value d = v_dict(&c->r->mem);

	for (size_t i = 0; i < c->self.dict->n; i++)
		v_set(&c->r->mem, d, c->self.dict->keys[i], c->self.dict->values[i]);
	return d;
}

static const struct function dict_methods[] = {
	{ "get", m_get, "/key:a /default:a?" },
	{ "items", m_items, NULL },
	{ "keys", m_keys, NULL },
	{ "values", m_values, NULL },
	{ "copy", m_dict_copy, NULL },
	{ "pop", NULL, CHANGES },
	{ "popitem", NULL, CHANGES },
	{ "update", NULL, CHANGES },
	{ "setdefault", NULL, CHANGES },
	{ "clear", NULL, CHANGES },
	{ "fromkeys", NULL, NULL },
};

static const struct function range_methods[] = {
	{ "index", m_list_index, "/value:a" },
	{ "count", m_list_count, "/value:a" },
	{ "start", NULL, ATTRIBUTE },
	{ "stop", NULL, ATTRIBUTE },
	{ "step", NULL, ATTRIBUTE },
};

static const struct function view_methods[] = { { "mapping", NULL, ATTRIBUTE }, { "isdisjoint", NULL, NULL } };
static const struct function generator_methods[] = {
	{ "close", NULL, NULL },
	{ "send", NULL, NULL },
	{ "throw", NULL, NULL },
};

/* --- numbers --- */

static struct value a_real(const struct call *c)
{
	return c->self.type == V_BOOL ? v_int(c->self.b) : c->self;
}

static struct value a_imag(const struct call *c) { return c->self.type == V_FLOAT ? v_float(0) : v_int(0); }
static struct value a_denominator(const struct call *c) { (void)c; return v_int(1); }

static struct value m_is_integer(const struct call *c)
{
	return v_bool(c->self.type != V_FLOAT || (isfinite(c->self.f) && c->self.f == floor(c->self.f)));
}

static struct value m_bit_length(const struct call *c)
{
	int64_t i = whole(c->self);
	uint64_t size = i < 0 ? -(uint64_t)i : (uint64_t)i;
	return v_int(size ? 64 - __builtin_clzll(size) : 0);
}

static const struct function float_methods[] = {
	{ "real", a_real, ATTRIBUTE },
	{ "imag", a_imag, ATTRIBUTE },
	{ "conjugate", a_real, NULL },
	{ "is_integer", m_is_integer, NULL },
	{ "as_integer_ratio", NULL, NULL },
	{ "hex", NULL, NULL },
	{ "fromhex", NULL, NULL },
};

static const struct function int_methods[] = {
	{ "real", a_real, ATTRIBUTE },
	{ "imag", a_imag, ATTRIBUTE },
	{ "numerator", a_real, ATTRIBUTE },
	{ "denominator", a_denominator, ATTRIBUTE },
	{ "conjugate", a_real, NULL },
	{ "is_integer", m_is_integer, NULL },
	{ "bit_length", m_bit_length, NULL },
	{ "as_integer_ratio", NULL, NULL },
	{ "bit_count", NULL, NULL },
	{ "to_bytes", NULL, NULL },
	{ "from_bytes", NULL, NULL },
};

/* `loop` is a namespace with its numbers. */
static struct value m_cycle(const struct call *c)
{
	const struct value *at = v_get_text(c->self, "index0");

	if (!at || at->type != V_INT || at->i < 0 || !c->n)
		return run_fail(c->r, "cycle wants values, and a loop around it");
	return c->args[(size_t)at->i % c->n];
}

/* Whether the values are others than when it was last asked; the loop keeps them, under a name of no template. */
static struct value m_changed(const struct call *c)
{
	struct value now = v_list(&c->r->mem, V_TUPLE, c->n);
	const struct value *before = v_get_text(c->self, " changed");

	for (size_t i = 0; i < c->n; i++)
		v_push(&c->r->mem, now, c->args[i]);
	if (before && (!run_charge(c->r, *before, now) || v_equal(*before, now)))
		return v_bool(false);
	v_set(&c->r->mem, c->self, v_text(" changed"), now);
	return v_bool(true);
}

static const struct function namespace_methods[] = { { "cycle", m_cycle, "*" }, { "changed", m_changed, "*" } };

static struct value m_grouper(const struct call *c) { return c->self.list->items[0]; }
static struct value m_members(const struct call *c) { return c->self.list->items[1]; }

static const struct function group_methods[] = {
	{ "grouper", m_grouper, ATTRIBUTE },
	{ "list", m_members, ATTRIBUTE },
};

static const struct function *of_list(enum list_kind kind, const char *name)
{
	switch (kind) {
	case LIST_PLAIN: return run_look_up(list_methods, ARRAY_LEN(list_methods), name);
	case LIST_RANGE: return run_look_up(range_methods, ARRAY_LEN(range_methods), name);
	case LIST_GENERATOR: return run_look_up(generator_methods, ARRAY_LEN(generator_methods), name);
	case LIST_KEYS: case LIST_VALUES: case LIST_ITEMS: break;
	}
	const struct function *f = run_look_up(view_methods, ARRAY_LEN(view_methods), name);
	return f && kind == LIST_VALUES && f != view_methods ? NULL : f; /* values are no set */
}

const struct function *template_method(struct value self, const char *name)
{
	const struct function *f;

	switch (self.type) {
	case V_STRING: return run_look_up(string_methods, ARRAY_LEN(string_methods), name);
	case V_LIST: return of_list(self.list->kind, name);
	case V_BOOL: case V_INT: return run_look_up(int_methods, ARRAY_LEN(int_methods), name);
	case V_FLOAT: return run_look_up(float_methods, ARRAY_LEN(float_methods), name);
	case V_TUPLE:
		return self.list->group && (f = run_look_up(group_methods, ARRAY_LEN(group_methods), name)) ?
		               f : run_look_up(list_methods, 2, name);
	case V_DICT: return run_look_up(dict_methods, ARRAY_LEN(dict_methods), name);
	case V_NAMESPACE:
		return v_get_text(self, "index0") ? run_look_up(namespace_methods, ARRAY_LEN(namespace_methods), name) :
		                                    NULL;
	default: return NULL;
	}
}

/* --- global functions --- */

enum { RANGE_MAX = 100000 };

static struct value g_range(const struct call *c)
{
	int64_t a = whole(c->args[0]), from = c->n > 1 ? a : 0, to = c->n > 1 ? whole(c->args[1]) : a,
		by = c->n > 2 ? whole(c->args[2]) : 1;

	if (by == 0)
		return run_fail(c->r, "range wants a step that is not 0");
	struct value list = v_list(&c->r->mem, V_LIST, 8);
	for (int64_t i = from; by > 0 ? i < to : i > to;) {
		if (list.list->n == RANGE_MAX)
			return run_fail(c->r, "a range of more than %d numbers", RANGE_MAX);
		v_push(&c->r->mem, list, v_int(i));
		if (__builtin_add_overflow(i, by, &i))
			break;
	}
	list.list->kind = LIST_RANGE;
	return list;
}

/* dict(pairs or a dict, name=…). */
static struct value make_dict(const struct call *c)
{
	struct value from = call_arg(c, 0, NULL, UNDEFINED(NULL)), d = v_dict(&c->r->mem), items, pair;
	struct err why = ERR_INIT;

	if (from.type == V_UNDEFINED && c->n)
		return run_undefined(c->r, from);
	if (from.type == V_DICT)
		d = m_dict_copy(&(struct call){ .r = c->r, .self = from });
	else if (v_iterate(&c->r->mem, from, &items, &why) < 0)
		return run_fail(c->r, "dict: %s", why.msg);
	for (size_t i = 0; from.type != V_DICT && i < items.list->n; i++) {
		if (v_iterate(&c->r->mem, items.list->items[i], &pair, &why) < 0 || pair.list->n != 2 ||
		    !v_hashable(pair.list->items[0]))
			return run_fail(c->r, "dict: item %zu is no pair of a key and a value", i);
		v_set(&c->r->mem, d, pair.list->items[0], pair.list->items[1]);
	}
	for (size_t i = 0; i < c->n_named; i++)
		v_set(&c->r->mem, d, v_text(c->names[i]), c->named[i]);
	return d;
}

static struct value g_dict(const struct call *c) { return make_dict(c); }

static struct value g_namespace(const struct call *c)
{
	struct value d = make_dict(c);
	d.type = V_NAMESPACE;
	return d;
}

static struct value g_raise_exception(const struct call *c)
{
	struct value text = run_text(c->r, call_arg(c, 0, "message", NONE));
	return run_fail(c->r, "the template refuses: %.*s", (int)MIN(text.str.n, (size_t)400), text.str.s);
}

static struct value g_strftime_now(const struct call *c)
{
	struct value format = text_arg(c, 0, "format");
	char text[512];
	time_t now = time(NULL);
	struct tm local;

	localtime_r(&now, &local);
	size_t n = strftime(text, sizeof(text), format.str.s, &local);
	return v_string(&c->r->mem, text, n);
}

static const struct function globals[] = {
	{ "range", g_range, "/start:i /stop:i? /step:i?" },
	{ "dict", g_dict, "/from:a? **" },
	{ "namespace", g_namespace, "/from:a? **" },
	{ "raise_exception", g_raise_exception, "message:a" },
	{ "strftime_now", g_strftime_now, "format:s" },
	{ "cycler", NULL, NULL },
	{ "joiner", NULL, NULL },
	{ "lipsum", NULL, NULL },
};

const struct function *template_global(const char *name) { return run_look_up(globals, ARRAY_LEN(globals), name); }
