/* template_lex: cuts a template's source into text, tags and the tokens within them.
 *
 * Whitespace. `-` in a tag takes all whitespace on its side. Else, before a block or comment that only spaces and tabs
 * precede on its line, those go (lstrip_blocks, `{%+` keeps them), and a line break right after a block or comment goes
 * (trim_blocks, `+%}` keeps it). One line break at the template's end goes. */
#include "template/template_lex.h"

#include <errno.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

struct lexer {
	struct arena *mem;
	const char *at, *end;
	int line;
	bool line_start;             /* what came before ended a line */
	bool plain;                  /* a line break or spaces go by `-` alone */
	struct token_list *out;
	struct err *e;
};

static int fail(const struct lexer *x, const char *what)
{
	return err_set(x->e, "line %d: %s", x->line, what);
}

static void add(struct lexer *x, enum token_type type, struct value v)
{
	struct token_list *l = x->out;

	if (l->n == l->cap) {
		struct token *more = arena_array(x->mem, l->cap = MAX(256, 2 * l->cap), sizeof(*more));
		if (l->n)
			memcpy(more, l->items, l->n * sizeof(*more));
		l->items = more;
	}
	l->items[l->n++] = (struct token){ type, x->line, v };
}

static void advance(struct lexer *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x->line += x->at[i] == '\n';
	x->at += n;
}

static bool is_space(char c) { return c && strchr(" \t\n\r\f\v", c); }

static void skip_space(struct lexer *x)
{
	while (x->at < x->end && is_space(*x->at))
		advance(x, 1);
}

/* --- text between tags --- */

/* How much of text stays in front of a tag. */
static size_t kept(const struct lexer *x, const char *text, size_t n, char kind, char sign)
{
	size_t from = n;

	if (sign == '-') {
		while (n && is_space(text[n - 1]))
			n--;
		return n;
	}
	if (sign == '+' || kind == '{' || x->plain)
		return n;
	while (from && is_space(text[from - 1]) && text[from - 1] != '\n')
		from--;
	return from ? (text[from - 1] == '\n' ? from : n) : x->line_start ? 0 : n;
}

static void add_data(struct lexer *x, const char *text, size_t n)
{
	if (n)
		add(x, TOKEN_DATA, v_string(x->mem, text, n));
}

/* After a block or a comment. */
static void end_tag(struct lexer *x, char sign)
{
	const char *before = x->at;

	if (sign == '-')
		skip_space(x);
	else if (sign != '+' && !x->plain && x->at < x->end && *x->at == '\n')
		advance(x, 1);
	x->line_start = x->at > before && x->at[-1] == '\n';
}

/* --- inside tags --- */

static const char *const operators[] = {
	"**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<",
	">",  "=",  ".",  ",",  ":",  "|",  "(", ")", "[", "]", "{", "}",
};

static int hex_digits(struct lexer *x, int n, struct buf *out)
{
	uint32_t c = 0;
	char bytes[4];

	for (; n > 0; n--, x->at++) {
		if (x->at >= x->end || !isxdigit((uint8_t)*x->at))
			return fail(x, "an escape in a string is incomplete");
		c = c * 16 + (uint32_t)(isdigit((uint8_t)*x->at) ? *x->at - '0' : (*x->at | 32) - 'a' + 10);
	}
	if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return fail(x, "an escape in a string is no character");
	buf_add(out, bytes, utf8_encode(c, bytes));
	return 0;
}

/* After the backslash. Unknown escapes stay as they are, as in Python. */
static int escape(struct lexer *x, struct buf *out)
{
	static const char letters[] = "ntr\\'\"abfv", meant[] = "\n\t\r\\'\"\a\b\f\v";
	char c = *x->at++;
	const char *at = strchr(letters, c);

	if (c == '\n')
		return 0;
	if (c && at) {
		buf_addc(out, meant[at - letters]);
		return 0;
	}
	if (c == 'x' || c == 'u' || c == 'U')
		return hex_digits(x, c == 'x' ? 2 : c == 'u' ? 4 : 8, out);
	if (c >= '0' && c <= '7') {
		unsigned octal = (unsigned)(c - '0');
		char bytes[4];
		for (int i = 0; i < 2 && x->at < x->end && *x->at >= '0' && *x->at <= '7'; i++)
			octal = octal * 8 + (unsigned)(*x->at++ - '0');
		buf_add(out, bytes, utf8_encode(octal, bytes));
		return 0;
	}
	buf_addc(out, '\\');
	buf_addc(out, c);
	return 0;
}

static int lex_string(struct lexer *x)
{
	char quote = *x->at++;
	struct buf text = { .arena = x->mem };
	int line = x->line, status = 0;

	while (x->at < x->end && *x->at != quote && !status) {
		x->line += *x->at == '\n';
		if (*x->at == '\\' && x->at + 1 < x->end) {
			x->at++;
			status = escape(x, &text);
		} else {
			buf_addc(&text, *x->at++);
		}
	}
	if (!status && x->at >= x->end) {
		x->line = line;
		status = fail(x, "a string does not end");
	}
	if (!status) {
		x->at++;
		add(x, TOKEN_STRING, v_take(x->mem, &text));
	}
	buf_release(&text);
	return status;
}

static int lex_number(struct lexer *x)
{
	char digits[64];
	size_t n = 0;
	bool real = false;
	char *end;

	for (; x->at < x->end && n < sizeof(digits) - 2; x->at++) {
		bool exponent = (*x->at == 'e' || *x->at == 'E') && x->at + 1 < x->end &&
		                (isdigit((uint8_t)x->at[1]) || ((x->at[1] == '-' || x->at[1] == '+') &&
		                                                x->at + 2 < x->end && isdigit((uint8_t)x->at[2])));
		bool point = *x->at == '.' && !real && x->at + 1 < x->end && isdigit((uint8_t)x->at[1]);
		if (exponent)
			digits[n++] = *x->at++;
		if (isdigit((uint8_t)*x->at) || exponent || point)
			digits[n++] = *x->at;
		else if (*x->at != '_')
			break;
		real |= exponent || point;
	}
	digits[n] = 0;
	errno = 0;
	add(x, TOKEN_NUMBER, real ? v_float(strtod(digits, &end)) : v_int(strtoll(digits, &end, 10)));
	if (!real && errno == ERANGE)
		return fail(x, "a whole number is too large");
	return *end ? fail(x, "a number is not well formed") : 0;
}

static bool is_name(char c, bool first)
{
	return isalpha((uint8_t)c) || c == '_' || (uint8_t)c >= 0x80 || (!first && isdigit((uint8_t)c));
}

static int lex_operator(struct lexer *x)
{
	for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
		size_t n = strlen(operators[i]);
		if ((size_t)(x->end - x->at) >= n && !memcmp(x->at, operators[i], n)) {
			add(x, TOKEN_OPERATOR, v_text(operators[i]));
			x->at += n;
			return 0;
		}
	}
	char what[] = "unexpected character '?'";
	what[sizeof(what) - 3] = isprint((uint8_t)*x->at) ? *x->at : '?';
	return fail(x, what);
}

static int lex_one(struct lexer *x)
{
	if (*x->at == '\'' || *x->at == '"')
		return lex_string(x);
	if (isdigit((uint8_t)*x->at))
		return lex_number(x);
	if (!is_name(*x->at, true))
		return lex_operator(x);
	size_t n = 1;
	while (x->at + n < x->end && is_name(x->at[n], false))
		n++;
	add(x, TOKEN_NAME, v_string(x->mem, x->at, n));
	x->at += n;
	return 0;
}

/* Up to the end of the tag, `}}` or `%}` with its sign. Brackets that are open hide a `}}`. */
static int lex_tag(struct lexer *x, char kind)
{
	const char *close = kind == '{' ? "}}" : "%}";
	size_t open = 0;

	for (;;) {
		skip_space(x);
		if (x->at >= x->end)
			return fail(x, kind == '{' ? "the end of {{ is missing" : "the end of {% is missing");
		char sign = *x->at == '-' || *x->at == '+' ? *x->at : 0;
		const char *at = sign ? x->at + 1 : x->at;
		if (!open && x->end - at >= 2 && !memcmp(at, close, 2)) {
			add(x, kind == '{' ? TOKEN_PRINT_END : TOKEN_BLOCK_END, NONE);
			advance(x, (size_t)(at + 2 - x->at));
			if (kind == '%')
				end_tag(x, sign);
			else if (sign == '-')
				end_tag(x, sign);
			else
				x->line_start = false;
			return 0;
		}
		if (strchr("([{", *x->at))
			open++;
		else if (strchr(")]}", *x->at) && open)
			open--;
		if (lex_one(x) < 0)
			return -1;
	}
}

/* {% raw %} … {% endraw %}: 1 when there was one. */
static int lex_raw(struct lexer *x)
{
	struct lexer try = *x;

	skip_space(&try);
	if (try.end - try.at < 3 || memcmp(try.at, "raw", 3) != 0)
		return 0;
	try.at += 3;
	skip_space(&try);
	char sign = try.at < try.end && (*try.at == '-' || *try.at == '+') ? *try.at++ : 0;
	if (try.end - try.at < 2 || memcmp(try.at, "%}", 2) != 0)
		return 0;
	*x = try;
	x->at += 2;
	end_tag(x, sign ? sign : '+'); /* the line break after it stays, unlike after other blocks */
	const char *text = x->at;
	for (const char *p = text; (p = memmem(p, (size_t)(x->end - p), "{%", 2)); p++) {
		const char *q = p + 2;
		char before = *q == '-' || *q == '+' ? *q++ : 0;
		while (q < x->end && is_space(*q))
			q++;
		if (x->end - q < 6 || memcmp(q, "endraw", 6) != 0)
			continue;
		for (q += 6; q < x->end && is_space(*q); q++)
			;
		char after = *q == '-' || *q == '+' ? *q++ : 0;
		if (x->end - q < 2 || memcmp(q, "%}", 2) != 0)
			continue;
		add_data(x, text, kept(x, text, (size_t)(p - text), '%', before));
		advance(x, (size_t)(q + 2 - x->at));
		end_tag(x, after);
		return 1;
	}
	return fail(x, "{% raw %} does not end");
}

static int lex_comment(struct lexer *x)
{
	const char *close = memmem(x->at, (size_t)(x->end - x->at), "#}", 2);

	if (!close)
		return fail(x, "a comment does not end");
	char sign = close > x->at && (close[-1] == '-' || close[-1] == '+') ? close[-1] : 0;
	advance(x, (size_t)(close + 2 - x->at));
	end_tag(x, sign);
	return 0;
}

/* The next "{{", "{%" or "{#"; end if there is none. */
static const char *next_tag(const struct lexer *x)
{
	for (const char *p = x->at; (p = memchr(p, '{', (size_t)(x->end - p))) && p + 1 < x->end; p++)
		if (strchr("{%#", p[1]) && p[1])
			return p;
	return x->end;
}

static int lex_piece(struct lexer *x)
{
	const char *tag = next_tag(x), *text = x->at;
	size_t n = (size_t)(tag - text);

	if (tag == x->end) {
		add_data(x, text, n);
		advance(x, n);
		return 0;
	}
	char kind = tag[1], sign = tag + 2 < x->end && (tag[2] == '-' || tag[2] == '+') ? tag[2] : 0;
	add_data(x, text, kept(x, text, n, kind, sign));
	advance(x, n + 2 + (sign != 0));
	if (kind == '#')
		return lex_comment(x);
	if (kind == '%') {
		int raw = lex_raw(x);
		if (raw)
			return raw < 0 ? -1 : 0;
	}
	add(x, kind == '{' ? TOKEN_PRINT : TOKEN_BLOCK, NONE);
	return lex_tag(x, kind);
}

/* Line breaks become \n, and the last one goes, unless it is plain. */
static const char *clean(struct arena *a, const char *source, bool plain)
{
	struct buf b = { .arena = a };

	for (const char *s = source; *s; s++)
		if (*s != '\r')
			buf_addc(&b, *s);
		else if (s[1] != '\n')
			buf_addc(&b, '\n');
	if (!plain && b.len && b.data[b.len - 1] == '\n')
		b.len--;
	return v_take(a, &b).str.s;
}

int template_lex(struct arena *a, const char *source, bool plain, struct token_list *out, struct err *e)
{
	const char *text = clean(a, source, plain);
	struct lexer x = {
		.mem = a, .at = text, .end = text + strlen(text), .line = 1, .line_start = true, .plain = plain,
		.out = out, .e = e
	};

	while (x.at < x.end)
		if (lex_piece(&x) < 0)
			return -1;
	add(&x, TOKEN_END, NONE);
	return 0;
}
