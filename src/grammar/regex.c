/* regex: an expression is read once from left to right and written as GBNF on the way, part by part; lazy and greedy
 * parts match the same texts, so how they differ is left out. What says more than which texts match, or what a regular
 * language cannot say, is refused. */
#include "grammar/regex.h"

#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "grammar/chars.h"

enum { NESTED = 150 };

struct regex {
	const char *text, *at, *end;
	bool json;
	int depth;
	struct buf *out;
	struct err *e;
};

static bool refuse(struct regex *r, const char *what)
{
	err_set(r->e, "the regular expression at character %zu: %s", utf8_count(r->text, (size_t)(r->at - r->text)) + 1,
	        what);
	return false;
}

static char now(const struct regex *r, size_t k) { return (size_t)(r->end - r->at) > k ? r->at[k] : 0; }

/* --- characters --- */

static const struct char_range digits[] = { { '0', '9' } },
			       word[] = { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } },
			       space[] = { { 9, 13 }, { ' ', ' ' } },
			       all_space[] = { { 9, 13 },          { 0x1c, 0x20 },     { 0x85, 0x85 },
	                                       { 0xa0, 0xa0 },     { 0x1680, 0x1680 }, { 0x2000, 0x200a },
	                                       { 0x2028, 0x2029 }, { 0x202f, 0x202f }, { 0x205f, 0x205f },
	                                       { 0x3000, 0x3000 }, { 0xfeff, 0xfeff } },
			       line_ends[] = { { '\n', '\n' }, { '\r', '\r' }, { 0x2028, 0x2029 } };

/* \d and its like: added to the set. False: it is none. */
static bool add_named(struct char_set *s, char name)
{
	struct char_set other = { 0 };

	switch (name) {
	case 'd': char_set_add_all(s, digits, ARRAY_LEN(digits)); return true;
	case 'w': char_set_add_all(s, word, ARRAY_LEN(word)); return true;
	case 's': char_set_add_all(s, space, ARRAY_LEN(space)); return true;
	case 'D': char_set_add_all(&other, digits, ARRAY_LEN(digits)); break;
	case 'W': char_set_add_all(&other, word, ARRAY_LEN(word)); break;
	case 'S': char_set_add_all(&other, all_space, ARRAY_LEN(all_space)); break;
	default: return false;
	}
	char_set_tidy(&other, true);
	char_set_add_all(s, other.range, other.n);
	char_set_release(&other);
	return true;
}

static bool read_hex(struct regex *r, int least, int most, uint32_t *cp)
{
	int n = 0;

	for (*cp = 0; n < most; n++, r->at++) {
		char c = now(r, 0);
		int d = c >= '0' && c <= '9' ? c - '0' :
		        c >= 'a' && c <= 'f' ? c - 'a' + 10 :
		        c >= 'A' && c <= 'F' ? c - 'A' + 10 :
		                               -1;
		if (d < 0)
			break;
		*cp = *cp << 4 | (uint32_t)d;
	}
	return n >= least || refuse(r, "hexadecimal digits were wanted");
}

/* behind \u: NNNN, two of them that are a pair, {N} */
static bool read_unicode(struct regex *r, uint32_t *cp)
{
	uint32_t low;

	if (now(r, 0) == '{') {
		r->at++;
		if (!read_hex(r, 1, 6, cp))
			return false;
		if (now(r, 0) != '}' || *cp > 0x10ffff)
			return refuse(r, "\\u{…} is no character");
		r->at++;
	} else if (!read_hex(r, 4, 4, cp)) {
		return false;
	}
	if (*cp >= 0xd800 && *cp < 0xdc00 && now(r, 0) == '\\' && now(r, 1) == 'u') {
		r->at += 2;
		if (!read_hex(r, 4, 4, &low))
			return false;
		*cp = 0x10000 + ((*cp - 0xd800) << 10) + (low - 0xdc00);
		if (low < 0xdc00 || low > 0xdfff)
			return refuse(r, "half of a pair of surrogates");
	}
	return (*cp < 0xd800 || *cp > 0xdfff) || refuse(r, "half of a pair of surrogates");
}

/* An escape that is one character; r->at stands behind the backslash. */
static bool read_escaped(struct regex *r, bool in_class, uint32_t *cp)
{
	char c = now(r, 0);

	if (r->at < r->end)
		r->at++;
	switch (c) {
	case 'n': *cp = '\n'; return true;
	case 'r': *cp = '\r'; return true;
	case 't': *cp = '\t'; return true;
	case 'f': *cp = '\f'; return true;
	case 'v': *cp = '\v'; return true;
	case 'x': return read_hex(r, 2, 2, cp);
	case 'u': return read_unicode(r, cp);
	case '0':
		*cp = 0;
		return !(now(r, 0) >= '0' && now(r, 0) <= '9') || refuse(r, "octal numbers are not understood");
	case 'b':
		if (in_class) {
			*cp = '\b';
			return true;
		}
		return refuse(r, "\\b is not understood");
	default: break;
	}
	*cp = (uint8_t)c;
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '1' && c <= '9') || !c || (uint8_t)c >= 0x80)
		return refuse(r, "this escape is not understood (no \\b \\B \\A \\Z \\p \\k, no back references)");
	return true;
}

/* One member of a class: a character, or a named set that is added at once (*named). */
static bool read_member(struct regex *r, struct char_set *s, uint32_t *cp, bool *named)
{
	*named = false;
	if (r->at >= r->end)
		return refuse(r, "a class is not closed");
	if (*r->at == '\\') {
		*named = r->end - r->at > 1 && add_named(s, r->at[1]);
		r->at += *named ? 2 : 1;
		return *named || read_escaped(r, true, cp);
	}
	if (*r->at == '[' && (now(r, 1) == ':' || now(r, 1) == '.' || now(r, 1) == '='))
		return refuse(r, "classes of POSIX ([:alpha:]) are not understood");
	size_t n = utf8_decode(r->at, (size_t)(r->end - r->at), cp);
	r->at += n;
	return n || refuse(r, "not UTF-8");
}

static bool read_class(struct regex *r, struct char_set *s)
{
	bool negated = now(r, 1) == '^', named, other;
	uint32_t lo, hi;

	r->at += negated ? 2 : 1;
	if (now(r, 0) == ']')
		return refuse(r, "an empty class; a bracket within one is written \\]");
	while (now(r, 0) != ']') {
		if (!read_member(r, s, &lo, &named))
			return false;
		hi = lo;
		if (!named && now(r, 0) == '-' && now(r, 1) != ']') {
			r->at++;
			if (!read_member(r, s, &hi, &other))
				return false;
			if (other || hi < lo)
				return refuse(r, "a range in a class goes from a character to a later one");
		}
		if (!named)
			char_set_add(s, lo, hi);
	}
	r->at++;
	char_set_tidy(s, negated);
	return true;
}

/* --- parts --- */

static bool write_set(struct regex *r, struct char_set *s)
{
	bool any = char_set_write(s, r->json, r->out);

	return any || refuse(r, "no character can stand here");
}

static bool write_char(struct regex *r, uint32_t cp)
{
	struct char_set one = { 0 };

	char_set_add(&one, cp, cp);
	bool fine = write_set(r, &one);
	char_set_release(&one);
	return fine;
}

static bool read_choice(struct regex *r);

static bool read_group(struct regex *r)
{
	r->at++;
	if (now(r, 0) == '?') {
		const char *name_end = r->end - r->at > 1 ? memchr(r->at, '>', (size_t)(r->end - r->at)) : NULL;
		bool named = (now(r, 1) == '<' && now(r, 2) != '=' && now(r, 2) != '!') ||
		             (now(r, 1) == 'P' && now(r, 2) == '<');
		if (now(r, 1) == ':')
			r->at += 2;
		else if (named && name_end)
			r->at = name_end + 1;
		else
			return refuse(r,
			              "lookaround, flags and conditions ((?=, (?!, (?<=, (?i) …) are not understood");
	}
	if (++r->depth > NESTED)
		return refuse(r, "parentheses nest deeper than 150");
	buf_adds(r->out, "(");
	if (!read_choice(r))
		return false;
	if (now(r, 0) != ')')
		return refuse(r, "a parenthesis is not closed");
	r->at++;
	r->depth--;
	buf_adds(r->out, ")");
	return true;
}

static bool read_atom(struct regex *r)
{
	struct char_set set = { 0 };
	uint32_t cp = 0;
	bool fine = true, is_set = true;

	switch (*r->at) {
	case '(': return read_group(r);
	case '[': fine = read_class(r, &set); break;
	case '.':
		r->at++;
		char_set_add_all(&set, line_ends, ARRAY_LEN(line_ends));
		char_set_tidy(&set, true);
		break;
	case '*':
	case '+':
	case '?': return refuse(r, "there is nothing to repeat");
	case '^':
	case '$': return refuse(r, "^ and $ are understood at the ends alone");
	case '\\':
		r->at++;
		is_set = r->at < r->end && add_named(&set, *r->at);
		if (is_set) {
			r->at++;
			char_set_tidy(&set, false);
		} else {
			fine = read_escaped(r, false, &cp);
		}
		break;
	default: {
		size_t n = utf8_decode(r->at, (size_t)(r->end - r->at), &cp);
		is_set = false;
		fine = n || refuse(r, "not UTF-8");
		r->at += n;
	}
	}
	fine = fine && (is_set ? write_set(r, &set) : write_char(r, cp));
	char_set_release(&set);
	return fine;
}

/* Is there a {m}, {m,} or {m,n} here? Else the brace is a character. */
static size_t braces(const struct regex *r)
{
	size_t k = 1, commas = 0, had = 0;

	for (; now(r, k) && now(r, k) != '}'; k++)
		if (now(r, k) == ',')
			commas++;
		else if (now(r, k) >= '0' && now(r, k) <= '9')
			had++;
		else
			return 0;
	return now(r, k) == '}' && had && commas < 2 ? k + 1 : 0;
}

static bool read_repeat(struct regex *r)
{
	char c = now(r, 0);
	size_t n = c == '{' ? braces(r) : c && strchr("*+?", c) ? 1 : 0;

	if (!n)
		return true;
	if (c == '{' && r->at[1] == ',')
		return refuse(r, "{,n} means one thing in Python and another one in JavaScript; {0,n} does not");
	buf_add(r->out, r->at, n);
	r->at += n;
	if (now(r, 0) == '?') /* lazy */
		r->at++;
	else if (now(r, 0) && (strchr("*+", now(r, 0)) || (now(r, 0) == '{' && braces(r))))
		return refuse(r, "what is repeated is repeated again");
	return true;
}

static bool read_sequence(struct regex *r)
{
	bool any = false;

	while (r->at < r->end && *r->at != '|' && *r->at != ')' && !(*r->at == '$' && !r->depth)) {
		buf_adds(r->out, any ? " " : "");
		if (!read_atom(r) || !read_repeat(r))
			return false;
		any = true;
	}
	if (!any)
		buf_adds(r->out, "\"\"");
	return true;
}

static bool read_choice(struct regex *r)
{
	for (;;) {
		if (!read_sequence(r))
			return false;
		if (now(r, 0) != '|')
			return true;
		r->at++;
		buf_adds(r->out, " | ");
	}
}

/* Of the outermost choice: where it is not held to an end, anything may stand there. */
static bool read_outermost(struct regex *r)
{
	bool begins = now(r, 0) == '^';

	r->at += begins;
	if (r->json && !begins)
		buf_adds(r->out, JSON_CHAR "* ");
	if (!read_sequence(r))
		return false;
	bool ends = now(r, 0) == '$';
	r->at += ends;
	if (r->json && !ends)
		buf_adds(r->out, " " JSON_CHAR "*");
	return r->at >= r->end || *r->at == '|' ||
	       refuse(r, ends ? "^ and $ are understood at the ends alone" : "a parenthesis that nothing opened");
}

int regex_expression(const char *text, size_t n, bool json, struct buf *out, struct err *e)
{
	struct regex r = { .text = text, .at = text, .end = text + n, .json = json, .out = out, .e = e };
	bool fine = !memchr(text, 0, n) || refuse(&r, "a byte 0");

	buf_adds(out, "(");
	while (fine) {
		fine = read_outermost(&r);
		if (!fine || r.at >= r.end)
			break;
		r.at++;
		buf_adds(out, " | ");
	}
	buf_adds(out, ")");
	if (fine && out->overflow)
		return err_set(e, "the regular expression is too large");
	return fine ? 0 : -1;
}

int grammar_of_regex(const char *text, size_t n, struct buf *gbnf, struct err *e)
{
	buf_adds(gbnf, "root ::= ");
	if (regex_expression(text, n, false, gbnf, e) < 0)
		return -1;
	buf_adds(gbnf, "\n");
	return 0;
}
