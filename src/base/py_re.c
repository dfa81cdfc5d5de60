/* py_re: PCRE2 compiled with Unicode's properties, and a walk over its matches. */
#include "base/py_re.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#include "base/mem.h"

struct py_re {
	pcre2_code *code;
	pcre2_match_data *match;
	size_t groups;
	struct py_span *span;          /* [groups + 1] */
};

int py_re_new(struct py_re **out, const char *pattern, struct err *e)
{
	int number = 0;
	size_t at = 0;
	uint32_t groups = 0;
	unsigned char text[160];
	pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &number,
	                                 &at, NULL);

	*out = NULL;
	if (!code) {
		pcre2_get_error_message(number, text, sizeof(text));
		return err_set(e, "the regular expression %.80s: %s at byte %zu", pattern, (char *)text, at);
	}
	pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &groups);
	struct py_re *re = mem_alloc(sizeof(*re));
	*re = (struct py_re){ code, pcre2_match_data_create_from_pattern(code, NULL), groups,
		              mem_array(groups + 1, sizeof(*re->span)) };
	*out = re;
	return 0;
}

void py_re_free(struct py_re *re)
{
	if (!re)
		return;
	pcre2_match_data_free(re->match);
	pcre2_code_free(re->code);
	mem_free(re->span);
	mem_free(re);
}

size_t py_re_groups(const struct py_re *re) { return re->groups; }

int py_re_next(const struct py_re *re, struct py_re_walk *w, const struct py_span **span, struct err *e)
{
	unsigned char text[160];

	if (w->at > w->n)
		return 0;
	int found = pcre2_match(re->code, (PCRE2_SPTR)w->text, w->n, w->at, w->empty ? PCRE2_NOTEMPTY_ATSTART : 0,
	                        re->match, NULL);
	if (found == PCRE2_ERROR_NOMATCH)
		return 0;
	if (found < 0) {
		pcre2_get_error_message(found, text, sizeof(text));
		return err_set(e, "a regular expression over %zu bytes: %s", w->n, (char *)text);
	}
	const size_t *v = pcre2_get_ovector_pointer(re->match);
	for (size_t i = 0; i <= re->groups; i++) {
		bool set = i < (size_t)found && v[2 * i] != PCRE2_UNSET && v[2 * i] <= v[2 * i + 1];
		re->span[i] = set ? (struct py_span){ w->text + v[2 * i], v[2 * i + 1] - v[2 * i] } :
		                    (struct py_span){ NULL, 0 };
	}
	if (!re->span[0].s)
		return err_set(e, "a regular expression whose match begins behind its end");
	w->empty = re->span[0].n == 0;
	w->at = v[1];
	*span = re->span;
	return 1;
}

static int replace(const struct py_re *re, const char *text, size_t n, struct buf *out,
                   void (*put)(const struct py_re *re, const char *with, struct buf *out), const char *with,
                   struct err *e)
{
	struct py_re_walk w = { .text = text, .n = n };
	const struct py_span *span = NULL;
	const char *from = text;
	int found;

	while ((found = py_re_next(re, &w, &span, e)) > 0) {
		buf_add(out, from, (size_t)(span[0].s - from));
		put(re, with, out);
		from = span[0].s + span[0].n;
	}
	buf_add(out, from, (size_t)(text + n - from));
	return found;
}

static void put_text(const struct py_re *re, const char *with, struct buf *out)
{
	(void)re;
	buf_adds(out, with);
}

static void put_group(const struct py_re *re, size_t i, struct buf *out)
{
	if (i <= re->groups && re->span[i].s)
		buf_add(out, re->span[i].s, re->span[i].n);
}

static void put_groups(const struct py_re *re, const char *with, struct buf *out)
{
	for (const char *s = with; *s; s++) {
		if (s[0] == '\\' && s[1] == 'g' && s[2] == '<' && s[3] >= '0' && s[3] <= '9' && s[4] == '>') {
			put_group(re, (size_t)(s[3] - '0'), out);
			s += 4;
		} else if (s[0] == '\\' && s[1] >= '1' && s[1] <= '9') {
			put_group(re, (size_t)(*++s - '0'), out);
		} else if (s[0] == '\\' && (s[1] == 'n' || s[1] == 't' || s[1] == '\\')) {
			s++;
			buf_addc(out, *s == 'n' ? '\n' : *s == 't' ? '\t' : '\\');
		} else {
			buf_addc(out, *s);
		}
	}
}

int py_re_replace(const struct py_re *re, const char *with, const char *text, size_t n, struct buf *out, struct err *e)
{
	return replace(re, text, n, out, put_text, with, e);
}

int py_re_sub(const struct py_re *re, const char *with, const char *text, size_t n, struct buf *out, struct err *e)
{
	return replace(re, text, n, out, put_groups, with, e);
}
