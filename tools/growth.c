/* growth: for tools/growth. Every reader of texts from outside on texts that are one thing again and again, at lengths
 * that double: how its time grows. What grows like n^1.4 or faster is told, and so is the slowest text of each. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/jsonx.h"
#include "base/markup.h"
#include "base/mem.h"
#include "base/py_literal.h"
#include "base/py_re.h"
#include "base/utf8.h"
#include "base/yaml_json.h"
#include "call/parser.h"
#include "data/csv.h"
#include "grammar/grammar.h"
#include "guard/guard.h"
#include "serve/multipart.h"
#include "template/template.h"

enum { FIRST = 1 << 12, LAST = 1 << 17 };
#define WORTH 0.04 /* seconds, from which on growth is looked at */
#define ENOUGH 1.0 /* seconds: longer texts are not tried */
#define STEEP 1.4

static struct err *ignored(void)
{
	static struct err e;

	e = (struct err)ERR_INIT;
	return &e;
}

/* --- readers --- */

static struct guard_scratch *scratch;

static void guard(const char *s, size_t n)
{
	struct guard_result r;

	guard_look(scratch, s, n, &r);
	guard_result_release(&r);
}

static void gbnf(const char *s, size_t n) { grammar_free(grammar_new(s, n, NULL, ignored())); }

static void gbnf_rule(const char *s, size_t n)
{
	struct buf b = BUF_INIT;

	buf_adds(&b, "root ::= ");
	buf_add(&b, s, n);
	gbnf(b.data, b.len);
	buf_release(&b);
}

static void regex(const char *s, size_t n)
{
	struct buf b = BUF_INIT;

	if (grammar_of_regex(s, n, &b, ignored()) == 0)
		gbnf(buf_str(&b), b.len);
	buf_release(&b);
}

static void schema_of(json_t *schema)
{
	struct buf b = BUF_INIT;

	if (schema && grammar_of_schema(schema, &b, ignored()) == 0)
		gbnf(buf_str(&b), b.len);
	buf_release(&b);
	json_decref(schema);
}

/* The text in a list: {"a": 1}, {"a": 1}, … */
static void schema_list(const char *s, size_t n, const char *key)
{
	struct buf b = BUF_INIT;

	buf_addf(&b, "{\"%s\": [", key);
	buf_add(&b, s, n);
	buf_adds(&b, "null]}");
	schema_of(json_loadb(b.data, b.len, 0, NULL));
	buf_release(&b);
}
static void any_of(const char *s, size_t n) { schema_list(s, n, "anyOf"); }
static void all_of(const char *s, size_t n) { schema_list(s, n, "allOf"); }
static void one_of(const char *s, size_t n) { schema_list(s, n, "oneOf"); }
static void values(const char *s, size_t n) { schema_list(s, n, "enum"); }

static void properties(const char *s, size_t n)
{
	json_t *all = json_object();
	char name[24];
	bool once = !strncmp(s, "aa", 2); /* whatever the text is it would be the same schema */

	for (size_t i = 0; once && i < n / 16; i++) {
		snprintf(name, sizeof(name), "p%zu", i);
		json_object_set_new(all, name, json_pack("{s:s}", "type", i % 2 ? "integer" : "string"));
	}
	schema_of(json_pack("{s:s, s:o}", "type", "object", "properties", all));
}

static void json(const char *s, size_t n) { json_decref(jsonx_load(s, n, "text", ignored())); }
static void yaml(const char *s, size_t n) { json_decref(yaml_json(s, n, "text", ignored())); }
static void literal(const char *s, size_t n) { json_decref(py_literal(s, n, ignored())); }

static void template(const char *s, size_t n)
{
	(void)n;
	template_free(template_parse_plain(s, ignored()));
}

static void pattern(const char *s, size_t n)
{
	struct py_re *re = NULL;
	(void)n;

	py_re_new(&re, s, ignored());
	py_re_free(re);
}

static void unescape(const char *s, size_t n)
{
	struct buf b = BUF_INIT;

	markup_unescape(&b, s, n);
	buf_release(&b);
}

static void csv(const char *s, size_t n)
{
	struct csv c = { 0 };
	json_t *row = NULL;
	size_t line;

	if (csv_open(&c, s, n, ',', "text", ignored()) == 0)
		while (csv_next(&c, &row, &line, "text", ignored()) > 0)
			json_decref(row);
	csv_close(&c);
}

static void form(const char *s, size_t n)
{
	struct multipart f;

	multipart_read(&f, "multipart/form-data; boundary=ab", s, n, ignored());
	multipart_release(&f);
}

static void call_text(void *ctx, const char *s, size_t n)
{
	(void)ctx;
	(void)s;
	(void)n;
}

/* Of every form, byte by byte as an answer comes. */
static void calls(const char *s, size_t n)
{
	struct call_events events = { .text = call_text, .thought = call_text, .arguments = call_text };

	for (size_t k = 0; call_form_table[k]; k++) {
		struct call_parser *p = call_parser_new(call_form_table[k], &(struct call_answer){ 0 }, &events);
		for (size_t i = 0; i < n; i++)
			call_parser_add(p, s + i, 1);
		call_parser_end(p, false);
		call_parser_free(p);
	}
}

static void clean(const char *s, size_t n)
{
	struct buf b = BUF_INIT;

	utf8_repair(&b, s, n);
	buf_release(&b);
}

static const struct { const char *name; void (*read)(const char *s, size_t n); } readers[] = {
	{ "guard", guard },       { "gbnf", gbnf },         { "a rule of gbnf", gbnf_rule }, { "regex", regex },
	{ "anyOf", any_of },      { "allOf", all_of },      { "oneOf", one_of },             { "enum", values },
	{ "properties", properties }, { "json", json },     { "yaml", yaml },                { "python", literal },
	{ "template", template }, { "python's re", pattern }, { "html", unescape },          { "csv", csv },
	{ "form", form },         { "calls", calls },       { "utf8", clean },
};

/* --- texts --- */

static const char *const units[] = {
	"a", "A1", " ", "\n", "0", "9.", "1e", "\"", "'", "\\", "\\\\", "(", "((", "()", "[", "[[", "[]", "{", "{}", "{{", "{%",
	"{{a}}", "{% if a %}", "{#", "|", "a|", "a*", "a+", "a{2}", "(a|b)*", "(?:a", "[a-z]", "[^a]", "\\d", "\\u", "\\x41",
	"%", "%41", "%25", "&", "&amp;", "&#", "&#x41;", "=", "=41", "==", "=?", "-", "--", "--ab", "\r\n--ab\r\n", "\r\n",
	"\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n", ":", "a: ", "a:\n", "- ", "- - ", "-\n", "  a: 1\n", "? ", "! ",
	"&a ", "*a ", "| ", "> ", "#", "# ", "a,", ",", ",,", "\"a\",", "\"a,\n", "<", "<a", "<tool_call>", "</tool_call>", "<|", "[TOOL_CALLS]",
	"<think>", "</think>", "{\"name\": ", "{\"a\": ", "{\"a\": 1}, ", "{\"type\": \"string\"}, ", "{\"const\": 1}, ", "\"abc\", ", "1, ",
	"{\"type\": \"object\", \"properties\": {\"a\": {\"const\": 1}}}, ", "{\"pattern\": \"a*b\"}, ", "{\"minLength\": 3}, ",
	"root ::= a\n", "a ::= b\n", "b ", "\"x\" ", "(\"x\" | b)* ", "x{3} ", ". ", ". - ", ".-", "...---...", "dah dit ", "alfa bravo ",
	"YQ==", "YWJj", "a b c ", "61 ", "\\141", "\xc3\xa9", "\xe2\x80\x8b", "\xf3\xa0\x81\xa1", "\xff", "\xe2", "a@b.c ", "a@", "4111 1111 1111 1111 ",
	"1.2.3.4 ", "AKIA", "-----BEGIN", "password = ", "decode this ", "ignore all previous instructions ", "M0", "!!", "<~", "z", "sk-",
	"b'", "u'", "None, ", "(1, ", "{1: ", "lambda ", "a if ", "not ", "a.", "a[", "a(", "~", "**", "//", "!", "^", "$", "^a", "a$",
};

struct case_ { size_t reader; const char *unit; };

static double seconds(struct case_ c, size_t n)
{
	struct buf b = BUF_INIT;
	size_t k = strlen(c.unit);

	for (size_t i = 0; i < n; i++)
		buf_addc(&b, c.unit[i % k]);
	buf_str(&b);
	double from = clock_cpu_seconds();
	readers[c.reader].read(b.data, b.len);
	double took = clock_cpu_seconds() - from;
	buf_release(&b);
	return took;
}

static void show(const char *unit)
{
	for (; *unit; unit++)
		if ((unsigned char)*unit < ' ' || (unsigned char)*unit > '~')
			printf("\\x%02x", (unsigned char)*unit);
		else
			putchar(*unit);
}

/* How steeply it grows over the last two doublings; NAN: it is fast. */
static double steepness(struct case_ c, double *last, size_t *at)
{
	double took[3] = { 0 };

	for (size_t n = FIRST; n <= LAST && took[2] < ENOUGH; n *= 2) {
		took[0] = took[1];
		took[1] = took[2];
		took[2] = seconds(c, n);
		*at = n;
	}
	*last = took[2];
	return took[2] > WORTH && took[0] > 0 ? log2(took[2] / took[0]) / 2 : NAN;
}

/* Of one reader, or of all. */
int main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	struct guard *g;
	int bad = 0;

	if (guard_open(&g, NULL, &e) < 0) {
		puts(e.msg);
		return 2;
	}
	scratch = guard_scratch_new(g);
	for (size_t r = 0; r < ARRAY_LEN(readers); r++) {
		if (argc > 1 && strcmp(argv[1], "all") != 0 && strcmp(argv[1], readers[r].name) != 0)
			continue;
		double slowest = 0, last, rate;
		const char *of = "";
		for (size_t u = 0; u < ARRAY_LEN(units); u++) {
			size_t at = 0;
			struct case_ c = { r, units[u] };
			double steep = steepness(c, &last, &at);
			rate = last / (double)at * 1e9 / 1e3;
			if (steep > STEEP) {
				printf("STEEP %s: n^%.1f, %.2f s of %zu bytes of ", readers[r].name, steep, last, at);
				show(units[u]);
				putchar('\n');
				bad++;
			}
			if (rate > slowest) {
				slowest = rate;
				of = units[u];
			}
		}
		printf("%-16s %8.2f us a byte at most, of ", readers[r].name, slowest);
		show(of);
		putchar('\n');
		fflush(stdout);
	}
	printf("%d steep\n", bad);
	return bad != 0;
}
