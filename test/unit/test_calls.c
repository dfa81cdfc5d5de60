/* calls: every form's calls, alone, two, behind text and thoughts, are read the same however the answer is cut; what is
 * broken stays text; what a form's grammar allows is what its parser reads. */
#include "../test.h"

#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "call/call_grammar.h"
#include "call/parser.h"
#include "grammar/grammar.h"

/* --- what is told, as one text: content, [thought], name(arguments) or name(arguments… --- */

struct told {
	struct buf text;
	char kind; /* of what was told last: t, h, c */
};

static void turn(struct told *t, char kind)
{
	if (t->kind == 'h' && kind != 'h')
		buf_adds(&t->text, "]");
	if (kind == 'h' && t->kind != 'h')
		buf_adds(&t->text, "[");
	t->kind = kind;
}

static void on_text(void *ctx, const char *text, size_t n)
{
	turn(ctx, 't');
	buf_add(&((struct told *)ctx)->text, text, n);
}

static void on_thought(void *ctx, const char *text, size_t n)
{
	turn(ctx, 'h');
	buf_add(&((struct told *)ctx)->text, text, n);
}

static void on_call(void *ctx, const char *name)
{
	turn(ctx, 'c');
	buf_addf(&((struct told *)ctx)->text, "%s(", name);
}

static void on_arguments(void *ctx, const char *text, size_t n) { buf_add(&((struct told *)ctx)->text, text, n); }

static void on_end(void *ctx, bool whole) { buf_adds(&((struct told *)ctx)->text, whole ? ")" : "…"); }

/* In pieces of `step` bytes. */
static void read_as(const struct call_form *f, const struct call_answer *how, const char *answer, size_t step, bool cut,
                    struct buf *out)
{
	struct told t = { .kind = 't' };
	struct call_events events = { on_text, on_thought, on_call, on_arguments, on_end, &t };
	struct call_parser *p = call_parser_new(f, how, &events);

	for (size_t n = strlen(answer), i = 0; i < n; i += step)
		call_parser_add(p, answer + i, MIN(step, n - i));
	call_parser_end(p, cut);
	call_parser_free(p);
	turn(&t, 't');
	buf_clear(out);
	buf_add(out, buf_str(&t.text), t.text.len);
	buf_release(&t.text);
}

static void read_answer(const struct call_form *f, const char *answer, size_t step, bool thinks, bool cut,
                        struct buf *out)
{
	json_t *kinds = json_pack("{s:{}, s:{s:s}}", "add", "say", "t", "text");

	read_as(f, &(struct call_answer){ .thinks = thinks, .kinds = kinds }, answer, step, cut, out);
	json_decref(kinds);
}

/* --- answers of every form --- */

static const struct {
	const char *form, *answer, *told;
	bool broken; /* no grammar allows it */
} rows[] = {
	{ "hermes", "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n</tool_call>", "add({\"a\": 1})" },
	{ "hermes",
	  "Let me see.\n\n<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n</tool_call>\n<tool_call>\n"
	  "{\"name\": \"say\", \"arguments\": {\"t\": \"}</tool_call>\\\"{\"}}\n</tool_call>",
	  "Let me see.add({\"a\": 1})say({\"t\": \"}</tool_call>\\\"{\"})" },
	{ "hermes", "<think>\n<tool_call> or not?\n</think>\n\nNo, 1 < 2.",
	  "<think>\n<tool_call> or not?\n</think>\n\nNo, 1 < 2." },
	{ "hermes", "<think>x</think>\n<tool_call>{\"name\":\"add\",\"arguments\":{\"a\":1}}</tool_call>",
	  "<think>x</think>add({\"a\":1})" },
	{ "hermes", "a <tool_call> is <tool_call>{\"name\":\"add\",\"arguments\":{\"a\": 2}}</tool_call> b",
	  "a <tool_call> isadd({\"a\": 2}) b", true },
	{ "hermes", "<tool_call>{\"name\": \"add\", \"arguments\": [1]}</tool_call>",
	  "<tool_call>{\"name\": \"add\", \"arguments\": [1]}</tool_call>", true },
	{ "hermes", "<tool_call>{\"name\": \"add\", \"arguments\": {\"a\": 1}} never ended",
	  "add({\"a\": 1})never ended", true },
	{ "generic", "<tool_call>{\"name\": \"add\", \"arguments\": {\"a\": 1}}</tool_call>", "add({\"a\": 1})" },
	{ "llama", "{\"name\": \"add\", \"parameters\": {\"a\": 1}}", "add({\"a\": 1})" },
	{ "llama", "\n\n{ \"name\" : \"add\",\n \"parameters\": {\"a\": 1}\n}", "add({\"a\": 1})" },
	{ "llama", "<|python_tag|>{\"name\": \"add\", \"parameters\": {\"a\": 1}}", "add({\"a\": 1})" },
	{ "llama", "So: {\"name\": \"add\", \"parameters\": {\"a\": 1}}",
	  "So: {\"name\": \"add\", \"parameters\": {\"a\": 1}}" },
	{ "llama", "{\"names\": [1]} <|py", "{\"names\": [1]} <|py" },
	{ "llama", "{\"name\": \"add\", \"parameters\": {\"a\": 1}} {\"name\": \"add\", \"parameters\": {\"a\": 2}}",
	  "add({\"a\": 1}) {\"name\": \"add\", \"parameters\": {\"a\": 2}}", true },
	{ "mistral",
	  "[TOOL_CALLS] [{\"name\": \"add\", \"arguments\": {\"a\": 1}}, {\"name\": \"say\", \"arguments\": {\"t\": "
	  "\"]\"}}]",
	  "add({\"a\": 1})say({\"t\": \"]\"})" },
	{ "mistral", "[TOOL_CALLS][{\"name\": \"add\", \"arguments\": {\"a\": 1}}]", "add({\"a\": 1})" },
	{ "mistral", "[TOOL_CALLS] none", "[TOOL_CALLS] none", true },
	{ "mistral_args", "Yes. [TOOL_CALLS]add[ARGS]{\"a\": 1}[TOOL_CALLS]say[ARGS]{\"t\": \"\"}",
	  "Yes.add({\"a\": 1})say({\"t\": \"\"})" },
	{ "mistral_args", "[THINK]so[/THINK][TOOL_CALLS]add[ARGS]{\"a\": 1}", "[THINK]so[/THINK]add({\"a\": 1})" },
	{ "mistral_args", "[TOOL_CALLS]add{\"a\": 1}", "[TOOL_CALLS]add{\"a\": 1}", true },
	{ "granite",
	  "<|tool_call|>[{\"name\": \"add\", \"arguments\": {\"a\": 1}}, {\"name\": \"add\", \"arguments\": {\"a\": "
	  "2}}]",
	  "add({\"a\": 1})add({\"a\": 2})" },
	{ "granite", "<|tool_call|>{}", "<|tool_call|>{}", true },
	{ "phi", "<|tool_call|>[{\"name\": \"add\", \"arguments\": {\"a\": 1}}]<|/tool_call|>", "add({\"a\": 1})" },
	{ "phi",
	  "<|tool_call|>[{\"name\": \"add\", \"arguments\": {\"a\": 1}}, {\"name\": \"add\", \"arguments\": {\"a\": "
	  "2}}] <|/tool_call|>",
	  "add({\"a\": 1})add({\"a\": 2})" },
	{ "phi", "<|tool_call|>[]", "<|tool_call|>[]", true },
	{ "functionary", "<function=add>{\"a\": 1}</function><function=say>{\"t\": \"</function>\"}</function>",
	  "add({\"a\": 1})say({\"t\": \"</function>\"})" },
	{ "functionary", "<function=add>a</function>", "<function=add>a</function>", true },
	{ "recipient", "add\n{\"a\": 1}>>>say\n{\"t\": \"x\"}", "add({\"a\": 1})say({\"t\": \"x\"})" },
	{ "recipient", "all\nHello >> you>>>add\n{\"a\": 1}", "Hello >> youadd({\"a\": 1})" },
	{ "recipient", "add 1", ">>>add 1", true },
	{ "command",
	  "<|START_THINKING|>I add.<|END_THINKING|><|START_ACTION|>[\n    {\"tool_call_id\": \"0\", \"tool_name\": "
	  "\"add\", "
	  "\"parameters\": {\"a\": 1}},\n    {\"tool_call_id\": \"1\", \"tool_name\": \"add\", \"parameters\": {\"a\": "
	  "2}}\n]"
	  "<|END_ACTION|>",
	  "[I add.]add({\"a\": 1})add({\"a\": 2})" },
	{ "command", "<|START_RESPONSE|>Hello [x]<|END_RESPONSE|>", "Hello [x]" },
	{ "command", "<|START_ACTION|>[]<|END_ACTION|>", "<|START_ACTION|>[]<|END_ACTION|>", true },
	{ "deepseek",
	  "<think>\nso\n</"
	  "think>\n\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>add\n```json\n{\"a\": 1}\n```"
	  "<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>say\n```json\n{\"t\": "
	  "\"```\"}\n```<｜tool▁call▁end｜>"
	  "<｜tool▁calls▁end｜>",
	  "<think>\nso\n</think>add({\"a\": 1})say({\"t\": \"```\"})" },
	{ "deepseek", "<｜tool▁calls▁begin｜>no", "<｜tool▁calls▁begin｜>no", true },
	{ "xml", "<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n</function>\n</tool_call>",
	  "add({\"a\": 1})" },
	{ "xml",
	  "<think>\nso\n</think>\n\n<tool_call>\n<function=say>\n<parameter=t>\nTwo \"lines\"\n\\ and </parameter> "
	  "<x>\n</parameter>\n</function>\n</tool_call>\n<tool_call>\n<function=say>\n</function>\n</tool_call>",
	  "<think>\nso\n</think>say({\"t\": \"Two \\\"lines\\\"\\n\\\\ and </parameter> <x>\"})say({})" },
	{ "xml", "<tool_call>add</tool_call>", "<tool_call>add</tool_call>", true },
	{ "xml", "<tool_call><function=add><parameter=a>1</parameter>", "add(…>1</parameter>", true },
	{ "glm", "<tool_call>add\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n</tool_call>", "add({\"a\": 1})" },
	{ "glm",
	  "<think></think>\n<tool_call>say<arg_key>t</arg_key><arg_value>é\t12</arg_value></"
	  "tool_call>\n<tool_call>add\n"
	  "<arg_key>a</arg_key>\n<arg_value>-7</arg_value>\n</tool_call>",
	  "<think></think>say({\"t\": \"é\\t12\"})add({\"a\": -7})" },
	{ "glm", "<tool_call>add<arg_key>a</arg_key><arg_value>1</tool_call>", "add({\"a\": 1…</tool_call>", true },
	{ "seed", "<seed:tool_call>\n<function=add>\n<parameter=a>1</parameter>\n</function>\n</seed:tool_call>",
	  "add({\"a\": 1})" },
	{ "minimax",
	  "<minimax:tool_call>\n<invoke name=\"add\">\n<parameter name=\"a\">1</parameter>\n</invoke>\n<invoke "
	  "name=\"say\">\n"
	  "<parameter name=\"t\">x</parameter>\n</invoke>\n</minimax:tool_call>",
	  "add({\"a\": 1})say({\"t\": \"x\"})" },
	{ "deepseek_args",
	  "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>add<｜tool▁sep｜>{\"a\": "
	  "1}<｜tool▁call▁end｜><｜tool▁call▁begin｜>say<｜tool▁sep｜>"
	  "{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
	  "add({\"a\": 1})say({})" },
	{ "kimi",
	  "<|tool_calls_section_begin|><|tool_call_begin|>functions.add:0<|tool_call_argument_begin|>{\"a\": "
	  "1}<|tool_call_end|>"
	  "<|tool_call_begin|>functions.say:1<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>",
	  "add({\"a\": 1})say({})" },
	{ "nemotron", "<TOOLCALL>[{\"name\": \"add\", \"arguments\": {\"a\": 1}}]</TOOLCALL>", "add({\"a\": 1})" },
	{ "apriel", "<tool_calls>[{\"name\": \"add\", \"arguments\": {\"a\": 1}}]</tool_calls>", "add({\"a\": 1})" },
	{ "minimax_json",
	  "<think>\nso\n</think>\n\n<tool_calls>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n{\"name\": \"say\", "
	  "\"arguments\": {\"t\": \"</tool_calls>\"}}\n</tool_calls>",
	  "<think>\nso\n</think>add({\"a\": 1})say({\"t\": \"</tool_calls>\"})" },
	{ "minimax_json", "<tool_calls>\n</tool_calls>", "<tool_calls>\n</tool_calls>", true },
	{ "pythonic", "[add(a=1)]", "add({\"a\": 1})" },
	{ "pythonic", "[add(a=1), say(t=\"), [\\\"\"), say()]", "add({\"a\": 1})say({\"t\": \"), [\\\"\"})say({})" },
	{ "pythonic", "[1] is [a].", "[1] is [a]." },
	{ "pythonic", "So [add(a=1)]", "So [add(a=1)]" },
	{ "lfm", "<|tool_call_start|>[add(a=1)]<|tool_call_end|>", "add({\"a\": 1})" },
	{ "harmony",
	  "<|channel|>analysis<|message|>Add them.<|end|><|start|>assistant<|channel|>commentary to=functions.add "
	  "<|constrain|>json<|message|>{\"a\": 1}",
	  "[Add them.]add({\"a\": 1})" },
	{ "harmony", "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>Hello",
	  "[Hm]Hello" },
	{ "harmony",
	  "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant<|channel|>commentary to=functions.add "
	  "<|constrain|>json<|message|>{\"a\": 1}",
	  "I look.add({\"a\": 1})" },
	{ "harmony", "<|channel|>commentary to=functions.add oops", "<|channel|>commentary to=functions.add oops",
	  true },
};

static void check_read(struct test *t)
{
	struct buf told = BUF_INIT;

	test_case(t, "calls, text and thoughts are told the same however the answer is cut");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct call_form *f = call_form_by_name(rows[i].form);
		for (size_t step = 1; step <= strlen(rows[i].answer); step++) {
			read_answer(f, rows[i].answer, step, false, false, &told);
			CHECK_MSG(t, !strcmp(buf_str(&told), rows[i].told), "%s by %zu: %s, not %s", rows[i].answer,
			          step, buf_str(&told), rows[i].told);
		}
	}
	test_case(t, "each form has a call among them");
	for (const struct call_form *const *f = call_form_table; *f; f++) {
		bool has = false;
		for (size_t i = 0; i < ARRAY_LEN(rows); i++)
			has |= !strcmp(rows[i].form, (*f)->name) && strstr(rows[i].told, "add({\"a\": 1})");
		CHECK_MSG(t, has, "%s", (*f)->name);
	}
	buf_release(&told);
}

static void check_cut(struct test *t)
{
	static const char answer[] = "Well <tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n</tool_call>";
	const struct call_form *f = call_form_by_name("hermes");
	struct buf told = BUF_INIT;

	test_case(t, "where an answer was cut, no part of a mark is told");
	for (size_t n = 0; n < strlen(answer); n++) {
		char *part = mem_strndup(answer, n);
		read_answer(f, part, 1, false, true, &told);
		CHECK_MSG(t, !strchr(buf_str(&told), '<') && !strstr(buf_str(&told), "tool_call"), "%s: %s", part,
		          buf_str(&told));
		read_answer(f, part, 1, false, false, &told);
		CHECK_MSG(t, strchr(buf_str(&told), '(') || !strcmp(buf_str(&told), part), "%s: %s", part,
		          buf_str(&told));
		mem_free(part);
	}
	read_answer(f, "{\"name\": 1", 3, false, true, &told);
	CHECK(t, !strcmp(buf_str(&told), "{\"name\": 1"));
	read_answer(f, "so </think> <tool_call>x", 1, true, false, &told);
	CHECK(t, !strcmp(buf_str(&told), "so </think> <tool_call>x"));
	buf_release(&told);
}

/* --- grammars --- */

static const char add_schema[] =
	"{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"integer\"}}, \"required\": "
	"[\"a\"], \"additionalProperties\": false}",
		  say_schema[] = "{\"type\": \"object\", \"properties\": {\"t\": {\"type\": \"string\"}}}";

static struct grammar *compile(const struct call_form *f, bool required, bool parallel, bool thinks,
                               const struct grammar_vocabulary *v, struct err *e)
{
	json_t *add = json_loads(add_schema, 0, NULL), *say = json_loads(say_schema, 0, NULL);
	struct call_tool tools[] = { { "add", add }, { "say", say } };
	struct call_rules r = { .form = f,
		                .tools = tools,
		                .n_tools = ARRAY_LEN(tools),
		                .required = required,
		                .parallel = parallel,
		                .thoughts = true,
		                .thinks = thinks };
	struct buf gbnf = BUF_INIT;
	struct grammar *g = call_grammar(&r, &gbnf, e) == 0 ? grammar_new(buf_str(&gbnf), gbnf.len, v, e) : NULL;

	buf_release(&gbnf);
	json_decref(add);
	json_decref(say);
	return g;
}

static void check_allowed(struct test *t)
{
	test_case(t, "what a parser reads as calls its grammar allows, what is broken it does not");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = ERR_INIT;
		const struct call_form *f = call_form_by_name(rows[i].form);
		struct grammar *g = compile(f, false, true, false, NULL, &e),
			       *must = compile(f, true, true, false, NULL, &e),
			       *one = compile(f, true, false, false, NULL, &e);
		const char *answer = rows[i].answer;
		size_t n = strlen(answer);
		bool calls = strchr(rows[i].told, '(') && strchr("as[<", rows[i].told[0]) && !rows[i].broken,
		     two = calls && strstr(rows[i].told, "})") != strrchr(rows[i].told, '}');
		CHECK_MSG(t, g && must && one, "%s: %s", rows[i].form, e.msg);
		if (g && must && one) {
			CHECK_MSG(t, grammar_accepts(g, answer, n, NULL) == !rows[i].broken, "%s", answer);
			CHECK_MSG(t, !grammar_accepts(must, answer, n, NULL) || calls, "%s is no call", answer);
			CHECK_MSG(t, !calls || grammar_accepts(must, answer, n, NULL), "%s is required", answer);
			CHECK_MSG(t, !calls || grammar_accepts(one, answer, n, NULL) == !two, "%s alone", answer);
		}
		grammar_free(g);
		grammar_free(must);
		grammar_free(one);
	}
}

/* Tokens that such answers are made of, and some that lead astray. */
static const char *const words[] = {
	NULL,
	"<tool_call>",
	"</tool_call>",
	"<|python_tag|>",
	"[TOOL_CALLS]",
	"[ARGS]",
	"<|tool_call|>",
	"<",
	"tool",
	"_call",
	">\n",
	">{\"",
	"[{",
	"{\"",
	"name",
	"\":",
	" \"",
	"add",
	"say",
	"\", \"",
	"arguments",
	"parameters",
	": {\"",
	"a",
	"t",
	"\": ",
	"1",
	"-2",
	"}}",
	"}",
	"]",
	"\n",
	" ",
	"\"",
	",",
	"{",
	":",
	"[",
	"|",
	">",
	"=",
	"function",
	"</function>",
	">>>",
	"all",
	"Hello",
	"<think>",
	"</think>",
	"_id",
	"0",
	"<|START_ACTION|>",
	"<|END_ACTION|>",
	"<|channel|>",
	"commentary",
	" to=functions.",
	"<|constrain|>",
	"json",
	"<function=",
	"<parameter=",
	"</parameter>",
	"<arg_key>",
	"</arg_key>",
	"<arg_value>",
	"</arg_value>",
	"<seed:tool_call>",
	"<minimax:tool_call>",
	"<invoke name=\"",
	"<|tool_call_start|>",
	"(",
	"<|message|>",
	"analysis",
	"<|end|>",
	"<|start|>",
	"assistant",
	"<｜tool▁calls▁begin｜>",
	"<｜tool▁call▁begin｜>",
	"<｜tool▁sep｜>",
	"```",
	"<｜tool▁call▁end｜>",
	"<｜tool▁calls▁end｜>",
	"<|/tool_call|>",
	"/",
	"<|START_THINKING|>",
	"<|END_THINKING|>",
	"[THINK]",
	"[/THINK]",
	"｜",
	"▁",
};
enum { PRINTED = '~' - ' ' + 1, VOCABULARY = ARRAY_LEN(words) + PRINTED };

/* With every printed character, so that all can go on. */
static const char *const *vocabulary_texts(void)
{
	static const char *text[VOCABULARY];
	static char printed[PRINTED][2];

	for (size_t i = 0; i < VOCABULARY; i++) {
		size_t c = i - ARRAY_LEN(words);
		if (i >= ARRAY_LEN(words))
			printed[c][0] = (char)(' ' + c);
		text[i] = i < ARRAY_LEN(words) ? words[i] : printed[c];
	}
	return text;
}

static size_t draw(uint64_t seed, size_t step, size_t n)
{
	uint32_t random[4];

	rng_words((struct rng_key){ seed, RNG_SAMPLE }, step, 0, 0, random);
	return random[0] % n;
}

/* A drawn answer, of the tokens that are allowed; false: it did not end. */
static bool grow(struct grammar *g, const char *const *tokens, uint64_t seed, struct buf *answer)
{
	struct grammar_match *m = grammar_match_new(g);
	bool over = false;

	for (size_t step = 0; step < 400 && !over; step++) {
		size_t allowed, id = 0;
		const uint64_t *mask = grammar_match_mask(m, &allowed);
		bool may_end = mask[0] & 1;
		size_t pick = allowed ? draw(seed, step, allowed) : 0;
		over = may_end && step > 60;
		if (over || !allowed)
			break;
		for (; !(mask[id / 64] >> (id & 63) & 1) || pick--;)
			id++;
		over = id == 0 || !grammar_match_add(m, (int32_t)id);
		if (!over)
			buf_adds(answer, tokens[id]);
		over |= grammar_match_is_over(m);
	}
	grammar_match_free(m);
	return over;
}

static void check_arguments(struct test *t, const char *told)
{
	for (const char *at = told; (at = strpbrk(at, "([")) != NULL; at++) {
		const char *end = strstr(at, "})");
		json_t *j = *at == '(' && end ? json_loadb(at + 1, (size_t)(end - at), 0, NULL) : NULL;
		if (*at == '(' && end && j && json_object_get(j, "a"))
			CHECK_MSG(t, json_is_integer(json_object_get(j, "a")), "%s", told);
		json_decref(j);
	}
}

static void check_drawn(struct test *t)
{
	struct tokens ends = { 0 };
	struct buf answer = BUF_INIT, told = BUF_INIT;
	const char *const *tokens = vocabulary_texts();
	size_t n_calls = 0, n_over = 0;

	test_case(t, "what is drawn by a form's masks is read as calls; where one is required, there is one and "
	             "nothing else");
	tokens_add(&ends, 0);
	struct grammar_vocabulary *v = grammar_vocabulary_of(tokens, VOCABULARY, &ends);
	for (const struct call_form *const *f = call_form_table; *f; f++)
		for (uint64_t seed = 0; seed < 24; seed++) {
			struct err e = ERR_INIT;
			bool required = seed & 1;
			struct grammar *g = compile(*f, required, seed & 2, false, v, &e);
			CHECK_MSG(t, g, "%s: %s", (*f)->name, e.msg);
			buf_clear(&answer);
			if (g && grow(g, tokens, seed, &answer)) {
				read_answer(*f, buf_str(&answer), answer.len, false, false, &told);
				bool call = strstr(buf_str(&told), "add({") || strstr(buf_str(&told), "say({");
				n_over++;
				n_calls += call;
				CHECK_MSG(t, !required || call, "%s: %s is no call", (*f)->name, buf_str(&answer));
				CHECK_MSG(t, !strstr(buf_str(&told), "…"), "%s: %s", (*f)->name, buf_str(&answer));
				check_arguments(t, buf_str(&told));
			}
			grammar_free(g);
		}
	CHECK_MSG(t, n_over > 100 && n_calls > 60, "%zu calls of %zu", n_calls, n_over);
	grammar_vocabulary_free(v);
	tokens_release(&ends);
	buf_release(&answer);
	buf_release(&told);
}

static void check_refused(struct test *t)
{
	json_t *bad = json_loads("{\"type\": \"object\", \"properties\": {\"x\": {\"not\": {}}}}", 0, NULL);
	struct call_tool tool = { "f", bad };
	struct call_rules r = { .form = call_form_by_name("hermes"), .tools = &tool, .n_tools = 1, .parallel = true };
	struct buf gbnf = BUF_INIT;
	struct err e = ERR_INIT;

	test_case(t, "a schema that cannot be written is refused by its tool and place");
	CHECK(t, call_grammar(&r, &gbnf, &e) < 0);
	CHECK_MSG(t, strstr(e.msg, "tool 'f'") && strstr(e.msg, "#/properties/x") && strstr(e.msg, "'not'"), "%s",
	          e.msg);
	buf_release(&gbnf);
	json_decref(bad);
	CHECK(t,
	      call_name_valid("a.b-c_1") && !call_name_valid("a b") && !call_name_valid("") && !call_name_valid("é"));
}

/* What tells each of them, as templates of such models have it. */
static const struct {
	const char *form, *text;
} templates[] = {
	{ "hermes",
	  "{{ '<tool_call>\\n{\"name\": \"' + c.name + '\", \"arguments\": ' + c.arguments|tojson }}</tool_call>" },
	{ "llama", "<|start_header_id|>ipython<|end_header_id|> {{ '{\"name\": \"' + c.name + '\", ' }}{{ "
	           "'\"parameters\": ' }}" },
	{ "mistral", "[TOOL_CALLS][{{ c.function|tojson }}]" },
	{ "mistral_args", "[TOOL_CALLS]{{ c.name }}[ARGS]{{ c.arguments }}" },
	{ "granite", "<|start_of_role|>assistant<|end_of_role|><|tool_call|>{{ calls|tojson }}" },
	{ "phi", "<|tool|>{{ message.tools }}<|/tool|>" },
	{ "functionary", "<|start_header_id|><function={{ name }}>{{ arguments }}</function><|python_tag|>" },
	{ "recipient", "<|start_header_id|>assistant<|end_header_id|>>>>all\\n{{ content }}" },
	{ "command", "<|START_ACTION|>[{\"tool_call_id\": \"0\", \"tool_name\": }]<|END_ACTION|>" },
	{ "deepseek", "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>{{ n }}\\n```json" },
	{ "harmony", "<|start|>assistant<|channel|>commentary to=functions.{{ n }} <|constrain|>json<|message|>" },
	{ "xml", "<tool_call>\\n<function={{ n }}>\\n<parameter=x>1</parameter></function></tool_call>" },
	{ "glm", "<tool_call>{{ n }}<arg_key>k</arg_key><arg_value>{{ arguments }}" },
	{ "seed", "<seed:tool_call>\\n<function={{ n }}><parameter={{ k }}>{{ v }}</parameter>" },
	{ "minimax", "<minimax:tool_call><invoke name=\"{{ n }}\"><parameter name=\"k\">" },
	{ "pythonic", "<|start_header_id|>ipython [func_name1(params_name1=params_value1)]" },
	{ "deepseek_args", "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>{{ n }}<｜tool▁sep｜>{{ a }}" },
	{ "kimi", "<|tool_calls_section_begin|><|tool_call_begin|>{{ id }}<|tool_call_argument_begin|>{{ a }}" },
	{ "nemotron", "<TOOLCALL>[{{ calls }}]</TOOLCALL>" },
	{ "apriel", "within <tool_call></tool_call>: <tool_calls>[{\"name\": , \"arguments\": }]</tool_calls>" },
	{ NULL, "<tool_call><invoke name=\"{{ n }}\"> arguments" },
	{ "lfm", "<|im_start|>List of tools: {{ '<|tool_call_start|>[' + calls + ']<|tool_call_end|>' }}" },
	{ NULL, "<|im_start|>{{ role }}\\n{{ content }}<|im_end|>" },
};

static void check_told(struct test *t)
{
	test_case(t, "a template's text tells its form, and one alone");
	for (size_t i = 0; i < ARRAY_LEN(templates); i++) {
		const struct call_form *f = call_form_of(templates[i].text);
		CHECK_MSG(t, templates[i].form ? f && !strcmp(f->name, templates[i].form) : !f, "%s: %s",
		          templates[i].text, f ? f->name : "none");
	}
}

/* --- a call, or a text of a format --- */

static const char number[] = "root ::= \"{\" ws name ws \":\" ws [0-9]+ \"}\" # a number\nws ::= [ \\n]*\n"
			     "name ::= \"\\\"\" [a-z\\]]{1,8} \"\\\"\"",
		  any[] = "root ::= .*";

/* told: NULL where it is not allowed. */
static const struct {
	const char *form, *format, *answer, *told;
} beside[] = {
	{ "hermes", number, "{\"x\": 12}", "{\"x\": 12}" },
	{ "hermes", number, "\n<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n</tool_call>",
	  "add({\"a\": 1})" },
	{ "hermes", number, "Well {\"x\": 12}", NULL },
	{ "hermes", number, "<think>so</think>{\"x\": 12}", NULL },
	{ "hermes", any, "<tool_call>{\"name\": \"add\", \"arguments\": {\"b\": 1}}</tool_call>", NULL },
	{ "hermes", any, "a <tool_call>{\"name\": \"add\", \"arguments\": {\"b\": 1}}</tool_call>",
	  "a <tool_call>{\"name\": \"add\", \"arguments\": {\"b\": 1}}</tool_call>" },
	{ "llama", NULL, "{\"name\": \"add\", \"parameters\": {\"a\": 1}}", "add({\"a\": 1})" },
	{ "llama", NULL, "{\"name\": \"add\", \"parameters\": {\"b\": 1}}", NULL },
	{ "llama", any, " {  \"name\": \t\"add\", \"parameters\":   {\"b\": 1}}", NULL },
	{ "llama", any, "{                     \"name\": \"add\", \"parameters\": {\"b\": 1}}",
	  "{                     \"name\": \"add\", \"parameters\": {\"b\": 1}}" },
	{ "llama", any, "                     {\"name\": \"add\", \"parameters\": {\"b\": 1}}",
	  "                     {\"name\": \"add\", \"parameters\": {\"b\": 1}}" },
	{ "llama", NULL, "{\"name\": \"adds\", \"parameters\": {\"b\": 1}}",
	  "{\"name\": \"adds\", \"parameters\": {\"b\": 1}}" },
	{ "llama", NULL, "{\"name\": \"add\", \"age\": [\"<|python_tag|>\"]}",
	  "{\"name\": \"add\", \"age\": [\"<|python_tag|>\"]}" },
	{ "mistral_args", NULL, "{\"x\": \"[TOOL_CALLS]add[ARGS]{}\"}", "{\"x\": \"[TOOL_CALLS]add[ARGS]{}\"}" },
	{ "recipient", NULL, "all\n{\"x\": \">>>add\"}", "{\"x\": \">>>add\"}" },
	{ "recipient", NULL, "say\n{\"t\": \"\"}", "say({\"t\": \"\"})" },
	{ "recipient", NULL, "{\"x\": 1}", NULL },
	{ "command", NULL, "<|START_THINKING|>I\n<|END_THINKING|><|START_RESPONSE|>{\"x\": 1}", "[I\n]{\"x\": 1}" },
	{ "command", any, "<|START_RESPONSE|>x<|END_RESPONSE|>", "x<|END_RESPONSE|>" },
	{ "harmony", number,
	  "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>{\"x\":1}",
	  "[Hm]{\"x\":1}" },
	{ "harmony", number, "<|channel|>analysis<|message|>Hm<|end|>", NULL },
};

static struct grammar *compile_beside(const struct call_form *f, const char *format, bool required, struct err *e)
{
	json_t *add = json_loads(add_schema, 0, NULL), *say = json_loads(say_schema, 0, NULL);
	struct call_tool tools[] = { { "add", add }, { "say", say } };
	struct buf gbnf = BUF_INIT, text = BUF_INIT;
	struct call_rules r = { .form = f,
		                .tools = tools,
		                .n_tools = ARRAY_LEN(tools),
		                .required = required,
		                .format = &text,
		                .parallel = true,
		                .thoughts = true };

	if (format)
		buf_adds(&text, format);
	else
		grammar_of_json(&text);
	struct grammar *g = call_grammar(&r, &gbnf, e) == 0 ? grammar_new(buf_str(&gbnf), gbnf.len, NULL, e) : NULL;
	buf_release(&gbnf);
	buf_release(&text);
	json_decref(add);
	json_decref(say);
	return g;
}

static void check_beside(struct test *t)
{
	json_t *kinds = json_pack("{s:{}, s:{}}", "add", "say");
	struct call_answer how = { .formatted = true, .kinds = kinds };
	struct buf told = BUF_INIT;

	test_case(t, "beside a format an answer is a call or a text of it, and what begins as a call is one");
	for (size_t i = 0; i < ARRAY_LEN(beside); i++) {
		struct err e = ERR_INIT;
		const struct call_form *f = call_form_by_name(beside[i].form);
		struct grammar *g = compile_beside(f, beside[i].format, false, &e),
			       *must = compile_beside(f, beside[i].format, true, &e);
		const char *answer = beside[i].answer, *wanted = beside[i].told;
		size_t n = strlen(answer);
		CHECK_MSG(t, g && must, "%s: %s", beside[i].form, e.msg);
		if (g && must) {
			CHECK_MSG(t, grammar_accepts(g, answer, n, NULL) == (wanted != NULL), "%s", answer);
			CHECK_MSG(t, !grammar_accepts(must, answer, n, NULL) || strchr(wanted, '('), "%s", answer);
		}
		for (size_t step = 1; wanted && step <= n; step++) {
			read_as(f, &how, answer, step, false, &told);
			CHECK_MSG(t, !strcmp(buf_str(&told), wanted), "%s by %zu: %s", answer, step, buf_str(&told));
		}
		grammar_free(g);
		grammar_free(must);
	}
	buf_release(&told);
	json_decref(kinds);
}

/* --- arguments that stand one by one --- */

static const char pairs_schema[] =
	"{\"type\": \"object\", \"required\": [\"t\", \"n\"], \"properties\": {\"t\": {\"type\": \"string\"}, \"n\": "
	"{\"type\": \"integer\"}, \"o\": {\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"null\"}]}, \"e\": "
	"{\"enum\": "
	"[\"a b\", \"c\"]}, \"d\": {\"type\": \"string\", \"format\": \"date\"}, \"l\": {\"type\": \"array\", "
	"\"items\": "
	"{\"type\": \"boolean\"}}, \"m\": {\"type\": [\"string\", \"integer\"]}, \"s\": {\"type\": \"string\", "
	"\"maxLength\": 2}, "
	"\"x\": {}, \"p\": {\"type\": \"string\", \"pattern\": \"^[ab]+$\"}, \"c\": {\"$ref\": \"#/$defs/c\"}}, "
	"\"$defs\": "
	"{\"c\": {\"const\": true}}}";

#define GLM(K, V) "<arg_key>" K "</arg_key><arg_value>" V "</arg_value>"
/* told: NULL where it is not allowed. */
static const struct {
	const char *form, *arguments, *told;
} pairs[] = {
	{ "glm", GLM("t", "1") GLM("n", "2"), "{\"t\": \"1\", \"n\": 2}" },
	{ "glm", GLM("t", "") GLM("n", "2") GLM("o", "null") GLM("l", "[true, false]"),
	  "{\"t\": \"\", \"n\": 2, \"o\": null, \"l\": [true, false]}" },
	{ "glm", GLM("t", "</arg") GLM("n", "2") GLM("o", "nulls") GLM("e", "a b") GLM("d", "2026-01-31"),
	  "{\"t\": \"</arg\", \"n\": 2, \"o\": \"nulls\", \"e\": \"a b\", \"d\": \"2026-01-31\"}" },
	{ "glm", GLM("t", "") GLM("n", "2") GLM("m", "\"</arg_value>\"") GLM("s", "é") GLM("x", "{\"a\": 1}"),
	  "{\"t\": \"\", \"n\": 2, \"m\": \"</arg_value>\", \"s\": \"é\", \"x\": {\"a\": 1}}" },
	{ "glm", GLM("t", "") GLM("n", "2") GLM("x", "{\"a\": 1") GLM("p", "\"ab\"") GLM("c", "true"),
	  "{\"t\": \"\", \"n\": 2, \"x\": \"{\\\"a\\\": 1\", \"p\": \"ab\", \"c\": true}" },
	{ "glm", GLM("n", "2"), NULL },
	{ "glm", GLM("n", "2") GLM("t", "1"), NULL },
	{ "glm", GLM("t", "1") GLM("n", "two"), NULL },
	{ "glm", GLM("t", "1") GLM("n", "2") GLM("e", "b"), NULL },
	{ "glm", GLM("t", "1") GLM("n", "2") GLM("s", "abc"), NULL },
	{ "glm", GLM("t", "1") GLM("n", "2") GLM("y", "b"), NULL },
	{ "glm", GLM("t", "1</arg_value><arg_key>n") GLM("n", "2"), NULL },
	{ "pythonic", "t=\"True, (\", n=2, o=None, l=[True, False], x={\"a\": None}, c=True",
	  "{\"t\": \"True, (\", \"n\": 2, \"o\": null, \"l\": [true, false], \"x\": {\"a\": null}, \"c\": true}" },
	{ "pythonic", "t=\"\", n=2, c=true", NULL },
	{ "pythonic", "t='', n=2", NULL },
};

static struct grammar *compile_pairs(const struct call_form *f, const char *text, json_t *kinds, struct err *e)
{
	json_t *schema = json_loads(text, 0, NULL);
	struct call_tool tool = { "f", schema };
	struct buf gbnf = BUF_INIT;
	struct call_rules r = { .form = f, .tools = &tool, .n_tools = 1, .kinds = kinds };
	struct grammar *g = call_grammar(&r, &gbnf, e) == 0 ? grammar_new(buf_str(&gbnf), gbnf.len, NULL, e) : NULL;

	buf_release(&gbnf);
	json_decref(schema);
	return g;
}

static void check_pairs(struct test *t)
{
	struct buf told = BUF_INIT;

	test_case(t, "arguments one by one are what the schema allows, and read as such");
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		struct err e = ERR_INIT;
		const struct call_form *f = call_form_by_name(pairs[i].form);
		json_t *kinds = json_object();
		struct grammar *g = compile_pairs(f, pairs_schema, kinds, &e);
		bool python = !strcmp(f->name, "pythonic");
		char *answer = mem_printf(python ? "[f(%s)]" : "<tool_call>f%s</tool_call>", pairs[i].arguments),
		     *wanted = mem_printf("f(%s)", pairs[i].told ? pairs[i].told : "");
		CHECK_MSG(t, g, "%s", e.msg);
		if (g)
			CHECK_MSG(t, grammar_accepts(g, answer, strlen(answer), NULL) == (pairs[i].told != NULL), "%s",
			          answer);
		for (size_t step = 1; pairs[i].told && step < 9; step++) {
			read_as(f, &(struct call_answer){ .kinds = kinds }, answer, step, false, &told);
			CHECK_MSG(t, !strcmp(buf_str(&told), wanted), "%s by %zu: %s", answer, step, buf_str(&told));
		}
		mem_free(answer);
		mem_free(wanted);
		grammar_free(g);
		json_decref(kinds);
	}
	buf_release(&told);
}

static void check_pairs_refused(struct test *t)
{
	static const struct {
		const char *form, *schema, *said;
	} bad[] = {
		{ "glm", "{\"properties\": {\"a\": {\"enum\": [\"x</arg_value>\"]}}}", "where texts of this form end" },
		{ "glm", "{\"properties\": {\"a b\": {}}}", "cannot have such a name" },
		{ "pythonic", "{\"properties\": {\"a-b\": {}}}", "cannot have such a name" },
		{ "xml", "{\"anyOf\": [{\"properties\": {}}]}", "'anyOf' is not understood" },
		{ "xml", "{\"properties\": {\"a\": {\"not\": {}}}}", "'not' is not understood" },
		{ "xml",
		  "{\"properties\": {\"a\": {\"$ref\": \"#/$defs/a\"}}, \"$defs\": {\"a\": {\"anyOf\": [{\"$ref\": "
		  "\"#/$defs/a\"}]}}}",
		  "begins with itself" },
	};

	test_case(t, "what cannot be written one by one is refused by its place");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = ERR_INIT;
		json_t *kinds = json_object();
		struct grammar *g = compile_pairs(call_form_by_name(bad[i].form), bad[i].schema, kinds, &e);
		CHECK_MSG(t, !g && strstr(e.msg, bad[i].said), "%s: %s", bad[i].schema, e.msg);
		grammar_free(g);
		json_decref(kinds);
	}
}

void test_calls(struct test *t)
{
	check_pairs(t);
	check_pairs_refused(t);
	check_beside(t);
	check_read(t);
	check_cut(t);
	check_allowed(t);
	check_drawn(t);
	check_refused(t);
	check_told(t);
}
