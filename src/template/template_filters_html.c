/* template_filters_html: Jinja's filters that read or write HTML: striptags, urlize, xmlattr.
 *
 * A link of urlize is a word by Jinja's two expressions, which PCRE2 matches; \w and \d are written out as Python has
 * them, and an absurdly long match is a mistake (PCRE2's limit). */
#include "template/template_filters.h"

#include <pthread.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/markup.h"
#include "base/mem.h"
#include "base/unicode.h"
#include "base/utf8.h"

static bool begins(const char *s, size_t n, const char *with)
{
	return n >= strlen(with) && !memcmp(s, with, strlen(with));
}

/* --- striptags --- */

/* Behind the tag or comment that begins at s with <; NULL: it does not end. */
static const char *tag_end(const char *s, size_t n)
{
	if (!begins(s, n, "<!--")) {
		const char *end = memchr(s, '>', n);
		return end ? end + 1 : NULL;
	}
	const char *end = memmem(s + 4, n - 4, "-->", 3);
	return end ? end + 3 : NULL;
}

/* Without tags and comments, white space as single spaces, references as characters. */
static struct value f_striptags(const struct call *c)
{
	struct value text = run_text(c->r, c->self);
	struct buf bare = RUN_TEXT(c->r), out = RUN_TEXT(c->r);
	const char *s = text.str.s, *end = s + text.str.n, *tag, *next;

	for (; (tag = memchr(s, '<', (size_t)(end - s))) && (next = tag_end(tag, (size_t)(end - tag))); s = next)
		buf_add(&bare, s, (size_t)(tag - s));
	buf_add(&bare, s, (size_t)(end - s));
	struct value words = filter_method(&(struct call){ .r = c->r, .self = run_take(c->r, &bare) }, "split");
	if (c->r->failed)
		return words;
	text = filter_method(&(struct call){ .r = c->r, .self = v_text(" "), .args = &words, .n = 1 }, "join");
	markup_unescape(&out, text.str.s, text.str.n);
	return run_take(c->r, &out);
}

/* --- xmlattr --- */

static bool is_attribute(struct value key)
{
	for (size_t i = 0; key.type == V_STRING && i < key.str.n; i++)
		if (key.str.s[i] && strchr(" \t\n\r\f\v/>=", key.str.s[i]))
			return false;
	return key.type == V_STRING;
}

/* ' key="value"' for each that is neither none nor undefined. */
static struct value f_xmlattr(const struct call *c)
{
	bool space = v_true(call_arg(c, 0, "autospace", v_bool(true)));
	struct buf out = RUN_TEXT(c->r);

	if (c->self.type != V_DICT)
		return run_fail(c->r, "xmlattr wants a dict, not %s", v_type_name(c->self));
	for (size_t i = 0; i < c->self.dict->n && !c->r->failed; i++) {
		struct value key = c->self.dict->keys[i], v = c->self.dict->values[i];
		if (v.type == V_NONE || v.type == V_UNDEFINED)
			continue;
		if (!is_attribute(key))
			return run_fail(c->r, "xmlattr: a key that is no name of an attribute");
		buf_adds(&out, out.len || space ? " " : "");
		run_print(c->r, &out, run_escaped(c->r, key));
		buf_adds(&out, "=\"");
		run_print(c->r, &out, run_escaped(c->r, run_text(c->r, v)));
		buf_addc(&out, '"');
	}
	return run_take(c->r, &out);
}

/* --- urlize --- */

#define WORD "\\p{L}\\p{N}_"
static const char http_expression[] =
	"^((https?://|www\\.)(([" WORD "%-]+\\.)+)?([a-z]{2,63}|xn--[" WORD "%]{2,59})|([" WORD "%-]{2,63}\\.)+"
	"(com|net|int|edu|gov|org|info|mil)|(https?://)((([\\p{Nd}]{1,3})(\\.[\\p{Nd}]{1,3}){3})|"
	"(\\[([\\p{Nd}a-f]{0,4}:){2}([\\p{Nd}a-f]{0,4}:?){1,6}])))(?::[\\p{Nd}]{1,5})?(?:[/?#].*)?$";
static const char email_expression[] = "^.+@[" WORD "][" WORD ".-]*\\.[" WORD "]+$";
static const char scheme_expression[] = "^[" WORD ".+-]{2,}:/{0,2}$";

/* Compiled once, for every run: a run may end anywhere. */
static pcre2_code *http, *email, *scheme;

static pcre2_code *compiled(const char *expression, uint32_t options)
{
	int code;
	PCRE2_SIZE at;
	pcre2_code *p = pcre2_compile((PCRE2_SPTR)expression, PCRE2_ZERO_TERMINATED,
	                              PCRE2_UTF | PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY | options, &code, &at, NULL);

	if (!p)
		BUG("an expression that PCRE2 does not read: %s", expression);
	return p;
}

static void compile_all(void)
{
	http = compiled(http_expression, PCRE2_CASELESS);
	email = compiled(email_expression, 0);
	scheme = compiled(scheme_expression, 0);
}

struct links {
	const struct call *c;
	struct value schemes;
	bool cut;                      /* what is shown, after so many characters, or before so many of the end */
	int64_t limit;
	const char *attributes;
};

static bool matches(const struct call *c, const pcre2_code *code, const char *s, size_t n)
{
	pcre2_match_data *data = pcre2_match_data_create_from_pattern(code, NULL);
	int found = data ? pcre2_match(code, (PCRE2_SPTR)s, n, 0, 0, data, NULL) : PCRE2_ERROR_NOMEMORY;

	pcre2_match_data_free(data);
	if (found < 0 && found != PCRE2_ERROR_NOMATCH)
		run_fail(c->r, "urlize: a word of %zu bytes that is not taken apart", n);
	return found >= 0;
}

static void add_link(const struct links *l, struct buf *out, const char *before, const char *s, size_t n, bool trimmed)
{
	struct value shown = { .type = V_STRING, .str = { s, n } };
	int64_t chars = (int64_t)v_chars(shown), keep = l->limit < 0 ? MAX(chars + l->limit, (int64_t)0) : l->limit;
	bool cut = trimmed && l->cut && chars > l->limit;

	buf_addf(out, "<a href=\"%s", before);
	buf_add(out, s, n);
	buf_addf(out, "\"%s>", l->attributes);
	buf_add(out, s, cut ? v_char_at(shown, (size_t)keep) : n);
	buf_adds(out, cut ? "...</a>" : "</a>");
}

static void add_mail(struct buf *out, const char *s, size_t n, size_t prefix)
{
	buf_adds(out, prefix ? "<a href=\"" : "<a href=\"mailto:");
	buf_add(out, s, n);
	buf_adds(out, "\">");
	buf_add(out, s + prefix, n - prefix);
	buf_adds(out, "</a>");
}

/* The word without what stands around it. */
static void add_middle(const struct links *l, struct buf *out, const char *s, size_t n)
{
	enum { MAILTO = 7 };

	if (matches(l->c, http, s, n)) {
		add_link(l, out, begins(s, n, "https://") || begins(s, n, "http://") ? "" : "https://", s, n, true);
		return;
	}
	if (begins(s, n, "mailto:") && matches(l->c, email, s + MAILTO, n - MAILTO)) {
		add_mail(out, s, n, MAILTO);
		return;
	}
	if (memchr(s, '@', n) && !begins(s, n, "www.") && *s != '@' && !memchr(s, ':', n) &&
	    matches(l->c, email, s, n)) {
		add_mail(out, s, n, 0);
		return;
	}
	for (size_t i = 0; i < l->schemes.list->n; i++) {
		struct value with = l->schemes.list->items[i];
		if (n > with.str.n && !memcmp(s, with.str.s, with.str.n)) {
			add_link(l, out, "", s, n, false);
			return;
		}
	}
	buf_add(out, s, n);
}

static size_t count_of(const char *s, size_t n, const char *what)
{
	size_t count = 0, length = strlen(what);

	for (const char *at = s, *end = s + n; (at = memmem(at, (size_t)(end - at), what, length)); at += length)
		count++;
	return count;
}

/* Where the middle of a word ends: before closing brackets, commas and points, but for brackets that it opened. */
static size_t middle_end(const char *s, size_t n)
{
	static const char *const pairs[][2] = { { "(", ")" }, { "<", ">" }, { "&lt;", "&gt;" } };
	size_t end = n;

	for (size_t step = 1; step; end -= step)
		step = end >= 4 && !memcmp(s + end - 4, "&gt;", 4) ? 4 :
		       end && s[end - 1] && strchr(")>.,\n", s[end - 1]);
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		const char *close = pairs[i][1], *at;
		size_t opened = count_of(s, end, pairs[i][0]), length = strlen(close);
		if (opened <= count_of(s, end, close))
			continue;
		for (; opened > 0 && (at = memmem(s + end, n - end, close, length)); opened--)
			end = (size_t)(at - s) + length;
	}
	return end;
}

static void add_word(const struct links *l, struct buf *out, const char *s, size_t n)
{
	size_t head = 0;

	for (size_t step = 1; step && head < n; head += step)
		step = begins(s + head, n - head, "&lt;") ? 4 : s[head] == '(' || s[head] == '<';
	buf_add(out, s, head);
	size_t end = middle_end(s + head, n - head);
	add_middle(l, out, s + head, end);
	buf_add(out, s + head + end, n - head - end);
}

/* ' rel="…" target="…"': the words of rel with noopener, in order, each once. */
static const char *link_attributes(const struct call *c)
{
	struct value rel = call_arg(c, 3, "rel", NONE), target = call_arg(c, 2, "target", NONE), words, sorted;
	struct buf out = RUN_TEXT(c->r);

	words = rel.type == V_STRING ? filter_method(&(struct call){ .r = c->r, .self = rel }, "split") :
	                               v_list(&c->r->mem, V_LIST, 2);
	if (v_true(call_arg(c, 1, "nofollow", v_bool(false))))
		v_push(&c->r->mem, words, v_text("nofollow"));
	v_push(&c->r->mem, words, v_text("noopener"));
	sorted = template_filter("sort")->call(&(struct call){ .r = c->r, .self = words, .args = (struct value[]){
		v_bool(false), v_bool(true) }, .n = 2 });
	buf_adds(&out, " rel=\"");
	for (size_t i = 0; i < sorted.list->n; i++) {
		if (i && v_equal(sorted.list->items[i], sorted.list->items[i - 1]))
			continue;
		buf_adds(&out, i ? " " : "");
		run_print(c->r, &out, run_escaped(c->r, sorted.list->items[i]));
	}
	buf_addc(&out, '"');
	if (target.type == V_STRING && target.str.n) {
		buf_adds(&out, " target=\"");
		run_print(c->r, &out, run_escaped(c->r, target));
		buf_addc(&out, '"');
	}
	return run_take(c->r, &out).str.s;
}

static struct value scheme_list(const struct call *c)
{
	struct value given = call_arg(c, 4, "extra_schemes", NONE), list = v_list(&c->r->mem, V_LIST, 0);
	struct err why = ERR_INIT;

	if (given.type != V_NONE && v_iterate(&c->r->mem, given, &list, &why) < 0)
		return run_fail(c->r, "urlize: %s", why.msg);
	for (size_t i = 0; i < list.list->n; i++) {
		struct value v = list.list->items[i];
		if (v.type != V_STRING || !matches(c, scheme, v.str.s, v.str.n))
			return run_fail(c->r, "urlize: %s in extra_schemes begins no address", v_type_name(v));
	}
	return list;
}

/* Bytes of the word or white space at s. */
static size_t run_of(const char *s, size_t n, bool *space)
{
	uint32_t ch = 0;
	size_t at = MAX(utf8_decode(s, n, &ch), (size_t)1);

	*space = unicode_is_space(ch);
	for (size_t length; at < n; at += length) {
		length = MAX(utf8_decode(s + at, n - at, &ch), (size_t)1);
		if (unicode_is_space(ch) != *space)
			break;
	}
	return at;
}

/* Addresses in a text become links; the text is escaped. */
static struct value f_urlize(const struct call *c)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct value text = run_escaped(c->r, run_text(c->r, c->self)), limit = call_arg(c, 0, "trim_url_limit", NONE);
	struct links l = { .c = c, .cut = limit.type != V_NONE, .limit = filter_whole(limit) };
	struct buf out = RUN_TEXT(c->r);
	bool space;

	pthread_once(&once, compile_all);
	l.schemes = scheme_list(c);
	if (c->r->failed)
		return text;
	l.attributes = link_attributes(c);
	for (size_t at = 0, n; at < text.str.n && !c->r->failed && run_steps(c->r, 1); at += n) {
		n = run_of(text.str.s + at, text.str.n - at, &space);
		if (space)
			buf_add(&out, text.str.s + at, n);
		else
			add_word(&l, &out, text.str.s + at, n);
	}
	return run_take(c->r, &out);
}

const struct function filters_of_html[] = {
	{ "striptags", f_striptags, NULL },
	{ "urlize", f_urlize, "trim_url_limit:in? nofollow:a? target:sn? rel:sn? extra_schemes:a?" },
	{ "xmlattr", f_xmlattr, "autospace:a?" },
	{ 0 },
};
