/* grammar: texts that a grammar has and has not, for GBNF, regular expressions and JSON schemas; masks equal to trying
 * every token; random texts by the masks always end as texts of the grammar; what is refused, and by which words. */
#include "../test.h"

#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "grammar/grammar.h"

static struct grammar *compile(const char *kind, const char *text, const struct grammar_vocabulary *v, struct err *e)
{
	struct buf gbnf = BUF_INIT;
	int status = 0;

	if (*kind == 'g') {
		buf_adds(&gbnf, text);
	} else if (*kind == 'r') {
		status = grammar_of_regex(text, strlen(text), &gbnf, e);
	} else {
		json_t *schema = json_loads(text, JSON_DECODE_ANY, NULL);
		status = schema ? grammar_of_schema(schema, &gbnf, e) : err_set(e, "the test's schema is no JSON");
		json_decref(schema);
	}
	struct grammar *g = status == 0 ? grammar_new(buf_str(&gbnf), gbnf.len, v, e) : NULL;
	buf_release(&gbnf);
	return g;
}

enum { TEXTS = 12 };
struct row {
	const char *kind, *grammar, *in[TEXTS], *out[TEXTS];
};

/* more than what a machine has room for at first */
#define TWENTY(x) x x x x x x x x x x x x x x x x x x x x

static const struct row rows[] = {
	{ "gbnf",
	  "root ::= \"a\" b* | [x-z]{2,3} # c\nb ::= \"b\" | (\"c\"\n \"d\")\n",
	  { "a", "abcdb", "xyz", "xx" },
	  { "", "ac", "x", "xxxx", "b" } },
	{ "gbnf", "root ::= \"(\" root \")\" | \"\"", { "", "()", "((()))" }, { "(", "())", ")(" } },
	{ "gbnf", "root ::=\n  \"a\"\n  | \"\\u00e9\\x21\"\n  | .{2}", { "a", "é!", "ab", "éü" }, { "é", "abc" } },
	{ "gbnf", "root ::= [^a-c\\n]+", { "d", "é", "\xf0\x9f\x98\x80" }, { "a", "d\n", "\xff", "\xed\xa0\x80" } },
	{ "gbnf", "root ::= (\"a\"?)* \"b\" | \"a\"{,2}", { "b", "aab", "aa", "" }, { "aaa", "ba" } },
	{ "gbnf",
	  "root ::= [a-z]* | \"if\" ! \" \" x\nx ::= \"(\" ! x? \")\" | .",
	  { "i", "of", "if (())", "if x" },
	  { "if", "ifs", "if )x" } },
	{ "gbnf", "root ::= " TWENTY("! ! ! ! ! ") "\"a\" | \"b\"", { "a" }, { "b", "" } },
	{ "gbnf",
	  "root ::= \"a\" | " TWENTY("\"b\" [ac] | \"b\" \"d\"? \"e\" | ") "\"c\"",
	  { "a", "ba", "be" },
	  { "b", "d" } },
	{ "regex", "a|b{2,3}?c+", { "a", "bbc", "bbbcc" }, { "bc", "ab", "" } },
	{ "regex",
	  "^(?:\\d{3}-)?(?P<x>[\\w.]+)@\\x41\\u{1F600}$",
	  { "x@A\xf0\x9f\x98\x80", "123-a.b_@A\xf0\x9f\x98\x80" },
	  { "12-x@A\xf0\x9f\x98\x80", "@A\xf0\x9f\x98\x80" } },
	{ "regex", "[^\\s\\]-]\\.[\\d-][a-c\\-]{,x", { "a.-b{,x" }, { "].-b{,x", " .1a{,x" } },
	{ "regex", "\\S.\\W\\D", { "aé !" }, { "a\n !", "ab2!", "ab !!" } },
	{ "schema",
	  "{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"integer\"}, \"b\": {}, \"c\": "
	  "{\"type\": \"null\"}}, \"required\": [\"b\"], \"additionalProperties\": false}",
	  { "{\"a\":1,\"b\":[]}", "{ \"b\": {\"x\": [1, \"\\u00e9\"]}, \"c\": null}", "{\n  \"b\": 2\n}" },
	  { "{}", "{\"a\":1}", "{\"b\":1,\"a\":1}", "{\"b\":1,}", "{\"b\":1,\"d\":1}", "{\"a\":1.5,\"b\":1}" } },
	{ "schema",
	  "{\"type\": \"object\", \"properties\": {\"ab\": {\"const\": 1}, \"a\": {\"const\": 2}}, "
	  "\"additionalProperties\": {\"type\": \"boolean\"}}",
	  { "{}", "{\"ab\":1,\"a\":2,\"abc\":true,\"b\":false}", "{\"\": true}" },
	  { "{\"ab\":true}", "{\"a\":true}", "{\"abc\":1}" } },
	{ "schema", "{\"type\": \"object\"}", { "{}", "{\"a\": {}}" }, { "[]", "1" } },
	{ "schema",
	  "{\"type\": \"object\", \"additionalProperties\": {\"type\": \"null\"}, \"minProperties\": 1, "
	  "\"maxProperties\": 2}",
	  { "{\"a\":null}", "{\"a\":null,\"b\":null}" },
	  { "{}", "{\"a\":null,\"b\":null,\"c\":null}" } },
	{ "schema",
	  "{\"type\": \"array\", \"items\": {\"type\": \"boolean\"}, \"minItems\": 1, \"maxItems\": 3}",
	  { "[true]", "[true,false, true]" },
	  { "[]", "[1]", "[true,true,true,true]" } },
	{ "schema",
	  "{\"prefixItems\": [{\"const\": 1}, {\"const\": \"b\"}], \"items\": {\"type\": \"null\"}, \"minItems\": 1}",
	  { "[1]", "[1,\"b\"]", "[1,\"b\",null,null]" },
	  { "[]", "[1,null]", "[\"b\"]" } },
	{ "schema", "{\"prefixItems\": [{\"const\": 1}, {}], \"maxItems\": 1}", { "[]", "[1]" }, { "[1,2]", "[2]" } },
	{ "schema",
	  "{\"type\": \"string\", \"minLength\": 2, \"maxLength\": 3}",
	  { "\"ab\"", "\"\\n\xc3\xa9\\ud83d\\ude00\"" },
	  { "\"a\"", "\"abcd\"", "\"\\ud83d\\ude0\"", "\"a\n\"" } },
	{ "schema",
	  "{\"type\": \"string\", \"pattern\": \"^[a-z\\\"\\\\\\\\\\\\n]+$\"}",
	  { "\"a\\\"\\\\\\n\"" },
	  { "\"\"", "\"A\"", "\"a\n\"" } },
	{ "schema", "{\"type\": \"string\", \"pattern\": \"b|^c\"}", { "\"abc\"", "\"c\"", "\"cx\"" }, { "\"ac\"" } },
	{ "schema",
	  "{\"type\": \"integer\", \"minimum\": -12, \"maximum\": 123}",
	  { "-12", "-1", "0", "7", "99", "123", "100" },
	  { "-13", "-0", "00", "124", "1000", "1.0" } },
	{ "schema",
	  "{\"type\": \"integer\", \"exclusiveMinimum\": 98}",
	  { "99", "100", "12345678901" },
	  { "98", "9", "-99" } },
	{ "schema",
	  "{\"type\": \"number\", \"minimum\": 0, \"maximum\": 1}",
	  { "0", "0.25", "1", "1.0" },
	  { "-0.5", "1.01", "2", "1e0" } },
	{ "schema",
	  "{\"type\": \"number\", \"exclusiveMinimum\": -2, \"exclusiveMaximum\": 0}",
	  { "-0.5", "-1", "-1.99" },
	  { "-2", "-0", "0", "-0.0", "-2.5" } },
	{ "schema",
	  "{\"enum\": [\"a\\\"b\", 1, null, {\"x\": [1, 2]}]}",
	  { "\"a\\\"b\"", "1", "null", "{\"x\": [1, 2]}" },
	  { "\"a\"", "2" } },
	{ "schema", "{\"enum\": [\"a\", 1], \"type\": \"string\"}", { "\"a\"" }, { "1" } },
	{ "schema", "{\"type\": [\"string\", \"null\"], \"maxLength\": 1}", { "\"a\"", "null" }, { "\"ab\"", "1" } },
	{ "schema", "{\"anyOf\": [{\"type\": \"integer\"}, {\"type\": \"null\"}]}", { "1", "null" }, { "true" } },
	{ "schema",
	  "{\"type\": \"object\", \"properties\": {\"k\": {\"type\": \"integer\"}}, \"required\": [\"k\"], "
	  "\"anyOf\": [{\"properties\": {\"a\": {\"const\": 1}}, \"required\": [\"a\"]}, {\"properties\": "
	  "{\"b\": {\"const\": 2}}, \"required\": [\"b\"]}]}",
	  { "{\"a\":1,\"k\":5}", "{\"b\":2,\"k\":5}" },
	  { "{\"k\":5}", "{\"a\":2,\"k\":5}" } },
	{ "schema",
	  "{\"oneOf\": [{\"properties\": {\"t\": {\"const\": \"x\"}}, \"required\": [\"t\"]}, {\"properties\": {\"t\": "
	  "{\"const\": \"y\"}, \"n\": {\"type\": \"null\"}}, \"required\": [\"t\", \"n\"]}]}",
	  { "{\"t\":\"x\"}", "{\"t\":\"y\",\"n\":null}" },
	  { "{\"t\":\"y\"}", "{\"t\":\"z\"}" } },
	{ "schema",
	  "{\"allOf\": [{\"type\": \"integer\", \"minimum\": 3}, {\"$ref\": \"#/$defs/m\"}], \"$defs\": {\"m\": "
	  "{\"maximum\": 5}}}",
	  { "3", "5" },
	  { "2", "6" } },
	{ "schema",
	  "{\"$ref\": \"#/$defs/n\", \"$defs\": {\"n\": {\"type\": \"object\", \"properties\": {\"next\": {\"anyOf\": "
	  "[{\"$ref\": \"#/$defs/n\"}, {\"type\": \"null\"}]}}, \"required\": [\"next\"]}}}",
	  { "{\"next\":null}", "{\"next\":{\"next\":{\"next\":null}}}" },
	  { "{\"next\":{}}", "{}" } },
	{ "schema",
	  "{\"format\": \"date-time\"}",
	  { "\"2024-12-31T23:59:59Z\"", "\"1999-02-28T00:00:00.5+01:00\"" },
	  { "\"2024-02-30T00:00:00Z\"", "\"2024-12-31\"" } },
	{ "schema", "{\"format\": \"uuid\"}", { "\"123e4567-e89b-12d3-a456-426614174000\"" }, { "\"x\"" } },
	{ "schema",
	  "true",
	  { "1", "\"a\"", "[{\"a\": [1.5e3, -0]}]" },
	  { "01", "[1,]", "{\"a\"}", "\"\\u0000\"", "\"\\ud800\"" } },
};

static void check_rows(struct test *t)
{
	test_case(t, "texts that are of a grammar and texts that are not");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = ERR_INIT;
		struct grammar *g = compile(rows[i].kind, rows[i].grammar, NULL, &e);
		CHECK_MSG(t, g, "%s: %s", rows[i].grammar, e.msg);
		for (size_t k = 0; g && k < TEXTS && rows[i].in[k]; k++)
			CHECK_MSG(t, grammar_accepts(g, rows[i].in[k], strlen(rows[i].in[k]), NULL), "%s has not: %s",
			          rows[i].grammar, rows[i].in[k]);
		for (size_t k = 0; g && k < TEXTS && rows[i].out[k]; k++)
			CHECK_MSG(t, !grammar_accepts(g, rows[i].out[k], strlen(rows[i].out[k]), NULL), "%s has: %s",
			          rows[i].grammar, rows[i].out[k]);
		grammar_free(g);
	}
}

static const struct {
	const char *kind, *grammar, *says;
} refused[] = {
	{ "gbnf", "root ::= root \"a\" | \"b\"", "begins with itself" },
	{ "gbnf", "root ::= a? root\na ::= \"x\"", "begins with itself" },
	{ "gbnf", "root ::= \"a\" root", "never ends" },
	{ "gbnf", "root ::= b", "no rule b" },
	{ "gbnf", "a ::= \"b\"", "no rule root" },
	{ "gbnf", "root ::= \"b", "line 1" },
	{ "gbnf", "root ::= (\"b\"", "not closed" },
	{ "gbnf", "root ::= <think>", "tokens" },
	{ "gbnf", "root ::= \"a\"\nroot ::= \"b\"", "line 2: a rule of this name" },
	{ "gbnf", "root ::= \"a\"{70000}", "more than 65536" },
	{ "gbnf", "root ::= a a\na ::= (\"abc\"{60000} \"d\"){3} | (\"abc\"{60000} \"e\"){3}", "too large" },
	{ "regex", "(?=a)b", "lookaround" },
	{ "regex", "a\\1", "not understood" },
	{ "regex", "a\\b", "\\b" },
	{ "regex", "a^b", "at the ends" },
	{ "regex", "(a", "not closed" },
	{ "regex", "a)", "opened" },
	{ "regex", "*a", "nothing to repeat" },
	{ "regex", "a++", "repeated again" },
	{ "regex", "a{,3}", "{0,n}" },
	{ "regex", "\\p{L}", "not understood" },
	{ "schema", "{\"not\": {}}", "at #: the keyword 'not'" },
	{ "schema", "{\"properties\": {\"a\": {\"uniqueItems\": true}}}", "at #/properties/a: 'uniqueItems'" },
	{ "schema", "{\"items\": {\"if\": {}}}", "at #/items: the keyword 'if'" },
	{ "schema", "{\"patternProperties\": {}}", "'patternProperties'" },
	{ "schema", "{\"type\": \"string\", \"format\": \"colour\"}", "format 'colour'" },
	{ "schema", "{\"type\": \"number\", \"multipleOf\": 0.5}", "'multipleOf'" },
	{ "schema", "{\"type\": \"number\", \"minimum\": 0.5}", "whole" },
	{ "schema", "{\"type\": \"integer\", \"minimum\": 3, \"maximum\": 2}", "no integer" },
	{ "schema", "{\"oneOf\": [{\"type\": \"integer\"}, {\"type\": \"number\"}]}", "may both be true" },
	{ "schema", "{\"$ref\": \"#/nowhere\"}", "leads to nothing" },
	{ "schema", "{\"$ref\": \"http://x/y\"}", "no place of this schema" },
	{ "schema", "{\"$ref\": \"#\"}", "itself" },
	{ "schema", "{\"allOf\": [{\"$ref\": \"#\"}, {\"type\": \"null\"}]}", "itself" },
	{ "schema", "{\"type\": \"object\", \"properties\": {\"a\": {\"$ref\": \"#\"}}, \"required\": [\"a\"]}",
	  "never ends" },
	{ "schema", "{\"type\": \"string\", \"pattern\": \"a(?!b)\"}", "at #: 'pattern'" },
	{ "schema", "false", "no value" },
	{ "schema", "{\"type\": \"thing\"}", "'thing'" },
	{ "schema", "{\"allOf\": [{\"type\": \"string\", \"pattern\": \"a\"}, {\"pattern\": \"b\"}]}", "twice" },
	{ "schema", "{\"required\": [\"a\"], \"additionalProperties\": false}", "required and not allowed" },
};

static void check_refused(struct test *t)
{
	test_case(t, "what cannot be done is refused by name and place");
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct err e = ERR_INIT;
		struct grammar *g = compile(refused[i].kind, refused[i].grammar, NULL, &e);
		CHECK_MSG(t, !g, "%s is not refused", refused[i].grammar);
		CHECK_MSG(t, g || strstr(e.msg, refused[i].says), "%s: %s", refused[i].grammar, e.msg);
		grammar_free(g);
	}
}

/* --- masks --- */

static const char *const tokens[] = {
	NULL,       "{",    "}",     "[",     "]",    "\"",  ":",  ",",    " ",    "\n",   "a",        "b",
	"ab",       "\":",  "\": ",  "0",     "1",    "7",   "12", "-",    ".",    "e",    "tr",       "t",
	"r",        "u",    "true",  "false", "null", "\",", "\\", "n",    "\xc3", "\xa9", "\xc3\xa9", "\xf0",
	"\x9f\x98", "\x80", "{\"",   "\"}",   "}}",   "]]",  "[[", ", \"", "s",    "l",    "f",        "x",
	"T",        "Z",    "2024-", "-12",   "(",    ")",   "()", "",     "cab",  "aa",   "bb",       "1}",
};
enum { VOCABULARY = ARRAY_LEN(tokens) };

static const char *const grammars[][2] = {
	{ "gbnf", "root ::= \"(\" root \")\" root | \"a\"{0,3}" },
	{ "gbnf", "root ::= ((\"a\" | \"ab\" | \"b\" | \"aa\")* \"x\"){1,3}" },
	{ "gbnf", "root ::= x | y\nx ::= \"a\" x \"b\" | \"ab\"\ny ::= \"a\" y \"bb\" | \"abb\"" },
	{ "regex", "(a|b)*ab[\xc3\xa9\xf0\x9f\x98\x80]{1,2}" },
	{ "schema", "true" },
	{ "schema",
	  "{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"integer\", \"minimum\": -12, \"maximum\": 127}, "
	  "\"ab\": {\"type\": \"string\", \"maxLength\": 4}, \"b\": {\"$ref\": \"#\"}}, \"additionalProperties\": "
	  "{\"type\": [\"boolean\", \"null\"]}}" },
	{ "schema",
	  "{\"type\": \"array\", \"items\": {\"type\": \"array\", \"items\": {\"enum\": [1, 12, \"a\"]}, \"minItems\": "
	  "2}, \"maxItems\": 2}" },
	{ "schema", "{\"type\": \"string\", \"pattern\": \"a.b\"}" },
};

static struct grammar_vocabulary *vocabulary(void)
{
	struct tokens ends = { 0 };

	tokens_add(&ends, 0);
	struct grammar_vocabulary *v = grammar_vocabulary_of(tokens, VOCABULARY, &ends);
	tokens_release(&ends);
	return v;
}

/* Is a token allowed: could a text of the grammar begin with what would be there? */
static bool by_trying(struct grammar *g, const struct buf *text, size_t id)
{
	struct buf longer = BUF_INIT;
	size_t begins = 0;
	bool accepts;

	buf_add(&longer, buf_str(text), text->len);
	if (id)
		buf_adds(&longer, tokens[id]);
	accepts = grammar_accepts(g, buf_str(&longer), longer.len, &begins);
	bool allowed = id ? *tokens[id] && begins == longer.len : accepts;
	buf_release(&longer);
	return allowed;
}

static size_t draw(uint64_t seed, size_t step, size_t n)
{
	uint32_t words[4];

	rng_words((struct rng_key){ seed, RNG_SAMPLE }, step, 0, 0, words);
	return words[0] % n;
}

/* A text token by token, each of those allowed as likely; it ends early, as soon as it may. */
static void grow(struct test *t, struct grammar *g, const char *name, uint64_t seed)
{
	struct grammar_match *m = grammar_match_new(g);
	struct buf text = BUF_INIT;
	bool over = false;

	for (size_t step = 0; step < 40 && !over; step++) {
		size_t allowed, seen = 0, pick, id = 0;
		const uint64_t *mask = grammar_match_mask(m, &allowed);
		for (size_t i = 0; i < VOCABULARY; i++) {
			bool may = mask[i / 64] >> (i & 63) & 1;
			seen += may;
			CHECK_MSG(t, may == by_trying(g, &text, i), "%s: token %zu after %s", name, i, buf_str(&text));
		}
		CHECK_MSG(t, allowed == seen && seen, "%s: none after %s", name, buf_str(&text));
		CHECK(t, grammar_match_may_end(m) == (mask[0] & 1));
		if (!allowed)
			break;
		for (pick = draw(seed, step, allowed); !(mask[id / 64] >> (id & 63) & 1) || pick--;)
			id++;
		over = id == 0 || grammar_match_is_over(m);
		if (over)
			break;
		CHECK(t, grammar_match_add(m, (int32_t)id));
		CHECK(t, !grammar_match_add(m, 0));
		buf_adds(&text, tokens[id]);
	}
	if (over)
		CHECK_MSG(t, grammar_accepts(g, buf_str(&text), text.len, NULL), "%s: %s", name, buf_str(&text));
	buf_release(&text);
	grammar_match_free(m);
}

static void check_masks(struct test *t)
{
	struct grammar_vocabulary *v = vocabulary();

	test_case(t, "a mask has the tokens that trying each of them finds, and an end where the text may end");
	for (size_t i = 0; i < ARRAY_LEN(grammars); i++) {
		struct err e = ERR_INIT;
		struct grammar *g = compile(grammars[i][0], grammars[i][1], v, &e);
		CHECK_MSG(t, g, "%s", e.msg);
		for (uint64_t seed = 0; g && seed < 20; seed++)
			grow(t, g, grammars[i][1], seed);
		grammar_free(g);
	}
	grammar_vocabulary_free(v);
}

static void check_depth(struct test *t)
{
	struct err e = ERR_INIT;
	struct buf text = BUF_INIT;
	struct grammar *g = compile("gbnf", "root ::= \"(\" root \")\" | \"\"", NULL, &e);
	size_t begins;

	test_case(t, "nesting is bounded, and what nests as deep as may be can still be ended");
	for (int i = 0; i < 3000; i++)
		buf_addc(&text, '(');
	CHECK(t, g && !grammar_accepts(g, buf_str(&text), text.len, &begins));
	CHECK(t, g && begins == GRAMMAR_DEPTH);
	text.len = begins;
	for (size_t i = 0; i < begins; i++)
		buf_addc(&text, ')');
	CHECK(t, g && grammar_accepts(g, buf_str(&text), text.len, NULL));
	buf_release(&text);
	grammar_free(g);
}

static void check_ways(struct test *t)
{
	struct grammar_vocabulary *v = vocabulary();
	struct buf gbnf = BUF_INIT, wide = BUF_INIT;
	struct err e = ERR_INIT;

	test_case(t, "a grammar with ever more ways to read a text is bounded, and what is allowed can still be ended");
	buf_adds(&gbnf, "root ::= s0\n");
	for (int i = 0; i < 12; i++)
		buf_addf(&gbnf, "s%d ::= \"a\" s%d \"b\" | \"a\" s%d \"bb\"\n", i, i + 1, i + 1);
	buf_adds(&gbnf, "s12 ::= \"(\" s0 \")\" | \"x\"\n");
	struct grammar *g = compile("gbnf", buf_str(&gbnf), v, &e);
	CHECK_MSG(t, g, "%s", e.msg);
	size_t begins;
	CHECK(t, g && !grammar_accepts(g, "aaaaaaaaaaaa", 12, &begins) && begins == 12);
	CHECK(t, g && grammar_accepts(g, "aaaaaaaaaaaaxbbbbbbbbbbbb", 25, NULL));
	CHECK(t, g && !grammar_accepts(g, "aaaaaaaaaaaa(aaaaaaaaaaaax", 26, &begins) && begins == 26);
	grammar_free(g);
	buf_adds(&wide, "root ::= t0\n");
	for (int i = 0; i < 14; i++)
		buf_addf(&wide, "t%d ::= t%d \"x\" | t%d \"y\"\n", i, i + 1, i + 1);
	buf_adds(&wide, "t14 ::= \"z\"\n");
	g = compile("gbnf", buf_str(&wide), v, &e);
	CHECK(t, !g && strstr(e.msg, "ways"));
	grammar_free(g);
	buf_release(&gbnf);
	buf_release(&wide);
	grammar_vocabulary_free(v);
}

void test_grammar(struct test *t)
{
	check_rows(t);
	check_refused(t);
	check_masks(t);
	check_depth(t);
	check_ways(t);
}
