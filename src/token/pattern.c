/* pattern: Oniguruma's expressions in PCRE2's words.
 *
 * Where they differ, and what is done:
 *   \s \S          PCRE2 counts U+180E as space, Unicode and Oniguruma do not: written out as a class
 *   \w \W          Oniguruma's is Alphabetic, Mark, Nd and Pc; PCRE2's leaves marks out: written out
 *   \p{L} …        characters that Unicode 15 and 16 added, which a PCRE2 10.42 (Unicode 14) does not know yet, are
 * added by number, so that the same text is cut the same way with any library; harmless where it knows them \v \uHHHH
 * the vertical tab; a character by number ^ $            match at every line in Ruby's syntax: PCRE2_MULTILINE x{n,m}+
 * repeated, not possessive, in Ruby's syntax; refused, as are nested classes, &&, POSIX classes, \b, \h, recursion,
 * callouts and named groups: no byte-level tokenizer known to us has them A match that needs absurdly many steps ends
 * in an error (PCRE2's match limit). */
#include "token/pattern.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/mem.h"

struct pattern {
	pcre2_code *code;
	char *source;
};

struct pattern_scratch {
	pcre2_match_data *data;
	pcre2_match_context *context;
	pcre2_jit_stack *stack; /* NULL until the thread's own 32 KiB were not enough */
};

enum { STACK_BEGIN = 32 << 10, STACK_MAX = 8 << 20, CAPTURES = 1, NAME_MAX_BYTES = 32 };

#define SPACES "\\t-\\r \\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"
#define NEW_LETTERS \
	"\\x{1C89}-\\x{1C8A}\\x{A7CB}-\\x{A7CD}\\x{A7DA}-\\x{A7DC}\\x{105C0}-\\x{105F3}\\x{10D4A}-\\x{10D65}" \
	"\\x{10D6F}-\\x{10D85}\\x{10EC2}-\\x{10EC4}\\x{1123F}-\\x{11240}\\x{11380}-\\x{11389}\\x{1138B}\\x{1138E}" \
	"\\x{11390}-\\x{113B5}\\x{113B7}\\x{113D1}\\x{113D3}\\x{11BC0}-\\x{11BE0}\\x{11F02}\\x{11F04}-\\x{11F10}" \
	"\\x{11F12}-\\x{11F33}\\x{1342F}\\x{13441}-\\x{13446}\\x{13460}-\\x{143FA}\\x{16100}-\\x{1611D}\\x{16D40}-" \
	"\\x{16D6C}" \
	"\\x{18CFF}\\x{1B132}\\x{1B155}\\x{1DF25}-\\x{1DF2A}\\x{1E030}-\\x{1E06D}\\x{1E4D0}-\\x{1E4EB}\\x{1E5D0}-\\x{" \
	"1E5ED}" \
	"\\x{1E5F0}\\x{2B739}\\x{2EBF0}-\\x{2EE5D}\\x{31350}-\\x{323AF}"
#define NEW_MARKS \
	"\\x{897}\\x{CF3}\\x{ECE}\\x{10D69}-\\x{10D6D}\\x{10EFC}-\\x{10EFF}\\x{11241}\\x{113B8}-\\x{113C0}\\x{113C2}" \
	"\\x{113C5}\\x{113C7}-\\x{113CA}\\x{113CC}-\\x{113D0}\\x{113D2}\\x{113E1}-\\x{113E2}\\x{11F00}-\\x{11F01}\\x{" \
	"11F03}" \
	"\\x{11F34}-\\x{11F3A}\\x{11F3E}-\\x{11F42}\\x{11F5A}\\x{13440}\\x{13447}-\\x{13455}\\x{1611E}-\\x{1612F}\\x{" \
	"1E08F}" \
	"\\x{1E4EC}-\\x{1E4EF}\\x{1E5EE}-\\x{1E5EF}"
#define NEW_DIGITS \
	"\\x{10D40}-\\x{10D49}\\x{116D0}-\\x{116E3}\\x{11BF0}-\\x{11BF9}\\x{11F50}-\\x{11F59}\\x{16130}-\\x{16139}" \
	"\\x{16D70}-\\x{16D79}\\x{1CCF0}-\\x{1CCF9}\\x{1E4F0}-\\x{1E4F9}\\x{1E5F1}-\\x{1E5FA}"

/* What Unicode 15.0, 15.1 and 16.0 added, by general category. */
static const struct { const char *category, *added;
} added_since_14[] = {
	{ "L", NEW_LETTERS },
	{ "Lu", "\\x{1C89}\\x{A7CB}-\\x{A7CC}\\x{A7DA}\\x{A7DC}\\x{10D50}-\\x{10D65}" },
	{ "Ll", "\\x{1C8A}\\x{A7CD}\\x{A7DB}\\x{10D70}-\\x{10D85}\\x{1DF25}-\\x{1DF2A}" },
	{ "Lm", "\\x{10D4E}\\x{10D6F}\\x{16D40}-\\x{16D42}\\x{16D6B}-\\x{16D6C}\\x{1E030}-\\x{1E06D}\\x{1E4EB}" },
	{ "Lo", "\\x{105C0}-\\x{105F3}\\x{10D4A}-\\x{10D4D}\\x{10D4F}\\x{10EC2}-\\x{10EC4}\\x{1123F}-\\x{11240}\\x{"
	        "11380}-\\x{11389}"
	        "\\x{1138B}\\x{1138E}\\x{11390}-\\x{113B5}\\x{113B7}\\x{113D1}\\x{113D3}\\x{11BC0}-\\x{11BE0}\\x{11F02}"
	        "\\x{11F04}-\\x{11F10}\\x{11F12}-\\x{11F33}\\x{1342F}\\x{13441}-\\x{13446}\\x{13460}-\\x{143FA}\\x{"
	        "16100}-\\x{1611D}"
	        "\\x{16D43}-\\x{16D6A}\\x{18CFF}\\x{1B132}\\x{1B155}\\x{1E4D0}-\\x{1E4EA}\\x{1E5D0}-\\x{1E5ED}\\x{"
	        "1E5F0}\\x{2B739}"
	        "\\x{2EBF0}-\\x{2EE5D}\\x{31350}-\\x{323AF}" },
	{ "M", NEW_MARKS },
	{ "N", NEW_DIGITS "\\x{1D2C0}-\\x{1D2D3}" },
	{ "Nd", NEW_DIGITS },
	{ "P", "\\x{1B4E}-\\x{1B4F}\\x{1B7F}\\x{10D6E}\\x{113D4}-\\x{113D5}\\x{113D7}-\\x{113D8}\\x{11B00}-\\x{11B09}"
	       "\\x{11BE1}"
	       "\\x{11F43}-\\x{11F4F}\\x{16D6D}-\\x{16D6F}\\x{1E5FF}" },
	{ "S",
	  "\\x{2427}-\\x{2429}\\x{2FFC}-\\x{2FFF}\\x{31E4}-\\x{31E5}\\x{31EF}\\x{10D8E}-\\x{10D8F}\\x{1CC00}-\\x{1CCEF}"
	  "\\x{1CD00}-\\x{1CEB3}\\x{1F6DC}\\x{1F774}-\\x{1F776}\\x{1F77B}-\\x{1F77F}\\x{1F7D9}\\x{1F8B2}-\\x{1F8BB}"
	  "\\x{1F8C0}-\\x{1F8C1}\\x{1FA75}-\\x{1FA77}\\x{1FA87}-\\x{1FA89}\\x{1FA8F}\\x{1FAAD}-\\x{1FAAF}\\x{1FABB}-"
	  "\\x{1FABF}"
	  "\\x{1FAC6}\\x{1FACE}-\\x{1FACF}\\x{1FADA}-\\x{1FADC}\\x{1FADF}\\x{1FAE8}-\\x{1FAE9}\\x{1FAF7}-\\x{1FAF8}"
	  "\\x{1FBCB}-\\x{1FBEF}" },
};

/* Alphabetic beyond letters are the letter numbers and the circled and squared letters; Oniguruma has Latin-1's
 * superscripts and fractions in \w too. */
#define WORD "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}" \
	"\\x{24B6}-\\x{24E9}\\x{1F130}-\\x{1F149}\\x{1F150}-\\x{1F169}\\x{1F170}-\\x{1F189}" \
	NEW_LETTERS NEW_MARKS NEW_DIGITS

struct translation {
	struct buf *out;
	const char *source;
	size_t n, at;
	bool in_class;
	struct err *e;
};

static int refuse(struct translation *t, const char *what)
{
	return err_set(t->e, "the regular expression \"%.*s\" has %s at byte %zu, which is not supported",
	               (int)MIN(t->n, (size_t)200), t->source, what, t->at);
}

static bool follows(const struct translation *t, const char *text)
{
	size_t k = strlen(text);
	return t->n - t->at >= k && memcmp(t->source + t->at, text, k) == 0;
}

/* Members of a class, with the brackets where they stand alone. */
static void add_class(struct translation *t, bool negated, const char *members)
{
	if (t->in_class)
		buf_adds(t->out, members);
	else
		buf_addf(t->out, "[%s%s]", negated ? "^" : "", members);
}

/* \p{Name}, \P{Name}, \p{^Name}, at the p. */
static int translate_property(struct translation *t)
{
	char name[NAME_MAX_BYTES];
	size_t k = 0, at = t->at + 2;
	bool negated = t->source[t->at] == 'P';
	if (at >= t->n || t->source[at - 1] != '{')
		return refuse(t, "a property without braces");
	if (t->source[at] == '^') {
		negated = !negated;
		at++;
	}
	for (; at < t->n && t->source[at] != '}' && k + 1 < sizeof(name); at++) {
		if (!isalnum((unsigned char)t->source[at]) && !strchr("_:", t->source[at]))
			return refuse(t, "an odd property name");
		name[k++] = t->source[at];
	}
	name[k] = 0;
	if (at >= t->n || t->source[at] != '}')
		return refuse(t, "an odd property name");
	t->at = at + 1;
	for (size_t i = 0; i < ARRAY_LEN(added_since_14); i++) {
		if (strcmp(name, added_since_14[i].category) != 0 || (negated && t->in_class))
			continue;
		char members[2048];
		snprintf(members, sizeof(members), "\\p{%s}%s", name, added_since_14[i].added);
		add_class(t, negated, members);
		return 0;
	}
	buf_addf(t->out, "\\%c{%s}", negated ? 'P' : 'p', name);
	return 0;
}

static int translate_number(struct translation *t)
{
	unsigned value = 0;
	for (size_t i = 1; i <= 4; i++) {
		if (t->at + i >= t->n || !isxdigit((unsigned char)t->source[t->at + i]))
			return refuse(t, "an odd \\u");
		char c = t->source[t->at + i];
		value = value * 16 + (unsigned)(isdigit((unsigned char)c) ? c - '0' : (c | 32) - 'a' + 10);
	}
	buf_addf(t->out, "\\x{%X}", value);
	t->at += 5;
	return 0;
}

static int translate_escape(struct translation *t)
{
	if (++t->at >= t->n)
		return refuse(t, "a lone backslash");
	char c = t->source[t->at];
	switch (c) {
	case 'p': case 'P':
		return translate_property(t);
	case 'u':
		return translate_number(t);
	case 's':
		add_class(t, false, SPACES);
		break;
	case 'S':
		buf_adds(t->out, t->in_class ? "\\S\\x{180E}" : "[^" SPACES "]");
		break;
	case 'w':
		add_class(t, false, WORD);
		break;
	case 'W':
		if (t->in_class)
			return refuse(t, "\\W in a class");
		add_class(t, true, WORD);
		break;
	case 'd':
		add_class(t, false, "\\p{Nd}" NEW_DIGITS);
		break;
	case 'D':
		if (t->in_class)
			return refuse(t, "\\D in a class");
		add_class(t, true, "\\p{Nd}" NEW_DIGITS);
		break;
	case 'v':
		buf_adds(t->out, "\\x{B}");
		break;
	case 'n': case 'r': case 't': case 'f': case 'a': case 'e': case 'x':
		buf_addf(t->out, "\\%c", c);
		break;
	default:
		if (isalnum((unsigned char)c) && !(strchr("AzZ123456789", c) && !t->in_class))
			return refuse(t, "an escape");
		buf_addc(t->out, '\\');
		buf_addc(t->out, c);
	}
	t->at++;
	return 0;
}

/* What may follow "(?": no recursion, no callout, no name, no flag but i. */
static int check_group(struct translation *t)
{
	static const char *const openings[] = { "(?:",  "(?=",  "(?!",   "(?>",  "(?<=",
		                                "(?<!", "(?i:", "(?-i:", "(?i)", "(?-i)" };
	if (follows(t, "(*"))
		return refuse(t, "(*");
	if (!follows(t, "(?"))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(openings); i++)
		if (follows(t, openings[i]))
			return 0;
	return refuse(t, "a group of an odd kind");
}

/* {n}, {n,} and {n,m}, at the brace; any other brace is itself. */
static int check_interval(struct translation *t)
{
	size_t i = t->at + 1;
	if (follows(t, "{,"))
		return refuse(t, "{,");
	while (i < t->n && (isdigit((unsigned char)t->source[i]) || t->source[i] == ','))
		i++;
	if (i > t->at + 1 && i + 1 < t->n && t->source[i] == '}' && t->source[i + 1] == '+')
		return refuse(t, "}+");
	return 0;
}

static int translate_class_begin(struct translation *t)
{
	t->in_class = true;
	buf_addc(t->out, '[');
	t->at++;
	if (follows(t, "^")) {
		buf_addc(t->out, '^');
		t->at++;
	}
	return follows(t, "]") ? refuse(t, "an empty class") : 0;
}

static int translate_step(struct translation *t)
{
	char c = t->source[t->at];
	if (c == '\\')
		return translate_escape(t);
	if (t->in_class && c == '[')
		return refuse(t, "a class in a class");
	if (t->in_class && follows(t, "&&"))
		return refuse(t, "&&");
	if (c == '[')
		return translate_class_begin(t);
	if (t->in_class && c == ']')
		t->in_class = false;
	else if (!t->in_class && ((c == '(' && check_group(t)) || (c == '{' && check_interval(t))))
		return -1;
	buf_addc(t->out, c);
	t->at++;
	return 0;
}

/* The PCRE2 form of an expression. */
static int pattern_translate(struct buf *out, const char *source, size_t n, struct err *e)
{
	struct translation t = { .out = out, .source = source, .n = n, .e = e };
	while (t.at < n)
		if (translate_step(&t))
			return -1;
	return t.in_class ? refuse(&t, "a class without end") : 0;
}

static pcre2_code *compile(const char *text, size_t n, uint32_t options, const char *source, struct err *e)
{
	int error = 0;
	PCRE2_SIZE offset = 0;
	pcre2_compile_context *context = pcre2_compile_context_create(NULL);
	if (context)
		pcre2_set_newline(context, PCRE2_NEWLINE_LF);
	pcre2_code *code = pcre2_compile((PCRE2_SPTR)text, n, options, &error, &offset, context);
	pcre2_compile_context_free(context);
	if (!code) {
		PCRE2_UCHAR why[160];
		pcre2_get_error_message(error, why, sizeof(why));
		err_set(e, "the regular expression \"%.200s\": %s", source, (const char *)why);
	}
	return code;
}

struct pattern *pattern_new(const char *source, size_t n, bool literal, struct err *e)
{
	struct buf text = BUF_INIT;
	struct pattern *p = NULL;
	uint32_t options =
		literal ? PCRE2_UTF | PCRE2_LITERAL : PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
	if (literal)
		buf_add(&text, source, n);
	else if (pattern_translate(&text, source, n, e))
		goto out;
	p = mem_alloc(sizeof(*p));
	p->source = mem_strndup(source, n);
	p->code = compile(buf_str(&text), text.len, options, p->source, e);
	if (!p->code) {
		pattern_free(p);
		p = NULL;
		goto out;
	}
	/* where there is no JIT the interpreter does the same, slower */
	pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE);
out:
	buf_release(&text);
	return p;
}

void pattern_free(struct pattern *p)
{
	if (!p)
		return;
	pcre2_code_free(p->code);
	mem_free(p->source);
	mem_free(p);
}

struct pattern_scratch *pattern_scratch_new(void)
{
	struct pattern_scratch *s = mem_alloc(sizeof(*s));
	s->data = pcre2_match_data_create(CAPTURES, NULL);
	s->context = pcre2_match_context_create(NULL);
	if (!s->data || !s->context)
		BUG("out of memory");
	return s;
}

void pattern_scratch_free(struct pattern_scratch *s)
{
	if (!s)
		return;
	pcre2_match_data_free(s->data);
	pcre2_match_context_free(s->context);
	pcre2_jit_stack_free(s->stack);
	mem_free(s);
}

static int match(const struct pattern *p, struct pattern_scratch *s, const char *text, size_t n, size_t from)
{
	int rc = pcre2_match(p->code, (PCRE2_SPTR)text, n, from, PCRE2_NO_UTF_CHECK, s->data, s->context);

	if (rc != PCRE2_ERROR_JIT_STACKLIMIT || s->stack ||
	    !(s->stack = pcre2_jit_stack_create(STACK_BEGIN, STACK_MAX, NULL)))
		return rc;
	pcre2_jit_stack_assign(s->context, NULL, s->stack);
	return match(p, s, text, n, from);
}

int pattern_next(const struct pattern *p, struct pattern_scratch *s, const char *text, size_t n, size_t from,
                 size_t *begin, size_t *end, struct err *e)
{
	int rc = match(p, s, text, n, from);
	if (rc == PCRE2_ERROR_NOMATCH)
		return 0;
	if (rc < 0) {
		PCRE2_UCHAR why[160];
		pcre2_get_error_message(rc, why, sizeof(why));
		return err_set(e, "matching the regular expression \"%.200s\": %s", p->source, (const char *)why);
	}
	const PCRE2_SIZE *pair = pcre2_get_ovector_pointer(s->data);
	*begin = pair[0];
	*end = pair[1];
	if (*begin < from || *end < *begin || *end > n)
		BUG("a match at %zu to %zu of %zu from %zu", *begin, *end, n, from);
	return 1;
}
