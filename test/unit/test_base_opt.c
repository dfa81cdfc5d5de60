/* Options: the same table read from arguments, YAML and JSON; its help; the nearest name. */
#include "../test.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/utf8.h"

struct target {
	bool packing, shuffle;
	int64_t lora_r, unset, steps, n;
	double rate, unset_rate;
	const char *prompt, *method, *modules;
	size_t memory;
	struct opt_list data;
};

static const struct opt table[] = {
	OPT_GROUP("First"),
	{ OPT_TYPE_STRING, "prompt", "p", offsetof(struct target, prompt), NULL, 0, 0, NULL, "TEXT",
	  "what to go on from" },
	{ OPT_TYPE_FLOAT, "learning-rate", "lr", offsetof(struct target, rate), "2e-4", 0, 1, NULL, "X",
	  "peak learning rate" },
	OPT_INT("lora-r", struct target, lora_r, "8", 1, 4096, "rank of the adapter"),
	OPT_INT("unset", struct target, unset, NULL, 0, 10, "nothing by default"),
	OPT_INT("max-steps", struct target, steps, "-1", -1, 1e12, "steps"),
	OPT_FLOAT("unset-rate", struct target, unset_rate, NULL, -1, 1, "nothing by default either"),
	OPT_GROUP("Second"),
	OPT_INT("n", struct target, n, "1", 1, 9, "how many"),
	OPT_FLAG("packing", struct target, packing, "false", "join documents"),
	OPT_FLAG("shuffle", struct target, shuffle, "true",
	         "mix the rows; a long text that says what it is good for, at length, so that it wraps"),
	OPT_CHOICE("method", struct target, method, "lora", "lora|full", "what is trained"),
	OPT_STRING("target-modules", struct target, modules, "all-linear", "LIST", "where the adapter goes"),
	OPT_BYTES("memory", struct target, memory, NULL, "limit"),
	OPT_LIST("data", struct target, data, "FILE", "rows"),
	OPT_END
};

/* Parses words separated by spaces. */
static int parse(struct opt_parse *p, struct target *o, const char *words, struct err *e)
{
	char copy[300], *argv[20];
	int argc = 0;
	snprintf(copy, sizeof(copy), "%s", words);
	for (char *save = NULL, *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	opt_begin(p, table, o, e);
	return opt_args(p, argc, argv, e);
}

static void defaults(struct test *t)
{
	struct target o;
	struct opt_parse p;
	struct err e = ERR_INIT;
	test_case(t, "defaults");
	memset(&o, 0xEE, sizeof(o));
	CHECK(t, opt_begin(&p, table, &o, &e) == 0);
	CHECK(t, !o.packing && o.shuffle && o.lora_r == 8 && o.unset == OPT_UNSET_INT && o.steps == -1 &&
	                 o.rate == 2e-4 && isnan(o.unset_rate));
	CHECK(t,
	      !o.prompt && strcmp(o.method, "lora") == 0 && o.memory == 0 && o.data.n == 0 && !opt_given(&p, "lora-r"));
	opt_release(&p);
}

static void arguments(struct test *t)
{
	struct target o;
	struct opt_parse p;
	struct err e = ERR_INIT;
	test_case(t, "options and positionals in any order");
	CHECK_MSG(t,
	          parse(&p, &o,
	                "model.gguf --lora-r 16 -p hi --learning_rate=1e-3 --packing --no-shuffle - --data a --data=b "
	                "--method full --memory 2G --max-steps -1 -- --lora-r",
	                &e) == 0,
	          "%s", e.msg);
	CHECK(t, o.lora_r == 16 && strcmp(o.prompt, "hi") == 0 && o.rate == 1e-3 && o.packing && !o.shuffle &&
	                 o.steps == -1);
	CHECK(t, o.data.n == 2 && strcmp(o.data.items[1], "b") == 0 && strcmp(o.method, "full") == 0 &&
	                 o.memory == 2000000000);
	CHECK(t, p.n_positional == 3 && strcmp(p.positional[0], "model.gguf") == 0 &&
	                 strcmp(p.positional[1], "-") == 0 && strcmp(p.positional[2], "--lora-r") == 0);
	CHECK(t, opt_given(&p, "lora-r") && opt_given(&p, "lr") && !opt_given(&p, "unset"));
	opt_release(&p);
	test_case(t, "a name of one letter, as --help shows it and in full");
	CHECK_MSG(t, parse(&p, &o, "-n 3", &e) == 0 && o.n == 3, "%s", e.msg);
	opt_release(&p);
	CHECK_MSG(t, parse(&p, &o, "--n=4", &e) == 0 && o.n == 4, "%s", e.msg);
	opt_release(&p);
	test_case(t, "other spellings");
	CHECK_MSG(t,
	          parse(&p, &o,
	                "--lr 0.5 -p=--lora-r --packing=yes --shuffle=off --lora-r=1 --lora-r=2 --unset-rate -1",
	                &e) == 0,
	          "%s", e.msg);
	CHECK(t, o.rate == 0.5 && strcmp(o.prompt, "--lora-r") == 0 && o.packing && !o.shuffle && o.lora_r == 2 &&
	                 o.unset_rate == -1);
	opt_release(&p);
}

static void wrong_arguments(struct test *t)
{
	static const struct { const char *words, *says; } cases[] = {
		{ "--lora-rr 8", "unknown option --lora-rr, did you mean --lora-r?" },
		{ "--lerning_rate 1", "unknown option --lerning_rate, did you mean --learning-rate?" },
		{ "--modules x", "unknown option --modules, did you mean --target-modules?" },
		{ "--zzzzzz", "unknown option --zzzzzz" },
		{ "-x", "unknown option -x" },
		{ "-lr 1", "unknown option -lr, did you mean --lr?" },
		{ "--p 1", "unknown option --p" },
		{ "--lora-r", "--lora-r wants a value (N)" },
		{ "--prompt --packing", "--prompt wants a value (TEXT), found the option --packing" },
		{ "--lora-r 0", "--lora-r 0: it must lie between 1 and 4096" },
		{ "--lora-r 99999999999999999999999", "it must lie between 1 and 4096" },
		{ "--lora-r 8.5", "--lora-r 8.5: a whole number was wanted" },
		{ "--lora-r=", "--lora-r : a whole number was wanted" },
		{ "--learning-rate 1x", "--learning-rate 1x: a number was wanted" },
		{ "--learning-rate nan", "a number was wanted" },
		{ "--learning-rate 0x1", "a number was wanted" },
		{ "--learning-rate 2", "it must lie between 0 and 1" },
		{ "--memory lots", "--memory lots: a size such as" },
		{ "--method loro", "--method loro: lora or full was wanted" },
		{ "--packing=maybe", "--packing maybe: true or false was wanted" },
		{ "--no-packing=1", "--no-packing takes no value" },
		{ "--no-lora-r", "unknown option --no-lora-r" },
		{ "--=x", "unknown option --" },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct target o;
		struct opt_parse p;
		struct err e = ERR_INIT;
		test_case(t, "refuses %s", cases[i].words);
		CHECK_MSG(t, parse(&p, &o, cases[i].words, &e) == -1 && strstr(e.msg, cases[i].says), "%s", e.msg);
		opt_release(&p);
	}
}

static int read_yaml(struct opt_parse *p, const char *text, struct err *e)
{
	return opt_yaml_text(p, text, strlen(text), "r.yaml", e);
}

static void yaml(struct test *t)
{
	struct target o;
	struct opt_parse p;
	struct err e = ERR_INIT;
	test_case(t, "YAML fills what is not given");
	CHECK(t, parse(&p, &o, "--lora-r 4 --data first", &e) == 0);
	CHECK_MSG(t,
	          read_yaml(&p,
	                    "# a recipe\nlora_r: 32\nlr: 1e-3\npacking: yes\nprompt: \"two words: yes\"\ndata: [x, y]\n"
	                    "target-modules:\n  - q_proj\n  - v_proj\nunset:\nmemory: 1GiB\nmethod: full\n",
	                    &e) == 0,
	          "%s", e.msg);
	CHECK(t, o.lora_r == 4 && o.rate == 1e-3 && o.packing && strcmp(o.prompt, "two words: yes") == 0 &&
	                 o.unset == OPT_UNSET_INT);
	CHECK(t, o.data.n == 1 && strcmp(o.data.items[0], "first") == 0 && strcmp(o.modules, "q_proj,v_proj") == 0);
	CHECK(t, o.memory == 1u << 30 && strcmp(o.method, "full") == 0 && opt_given(&p, "packing") &&
	                 !opt_given(&p, "unset"));
	opt_release(&p);
	test_case(t, "YAML lists, single items, empty files");
	opt_begin(&p, table, &o, &e);
	CHECK_MSG(t, read_yaml(&p, "data:\n- a\n- b\n", &e) == 0 && o.data.n == 2, "%s", e.msg);
	opt_release(&p);
	opt_begin(&p, table, &o, &e);
	CHECK_MSG(t,
	          read_yaml(&p, "data: one\nprompt: 'null'\n", &e) == 0 && o.data.n == 1 &&
	                  strcmp(o.prompt, "null") == 0,
	          "%s", e.msg);
	CHECK(t,
	      read_yaml(&p, "", &e) == 0 && read_yaml(&p, "# nothing\n", &e) == 0 && read_yaml(&p, "---\n", &e) == 0);
	CHECK(t, opt_yaml(&p, "/no/such.yaml", &e) == -1 && strstr(e.msg, "/no/such.yaml"));
	opt_release(&p);
}

static void wrong_yaml(struct test *t)
{
	static const struct { const char *text, *says; } cases[] = {
		{ "lora_r: 8\nlora_q: 8\n", "r.yaml line 2: unknown option lora_q, did you mean lora-r?" },
		{ "abc: [", "r.yaml line 1: unknown option abc" },
		{ "data: [x", "r.yaml line" },
		{ "lora_r: 8\nmethod: [a]\n", "r.yaml line 2: method wants one value, found a list" },
		{ "\nlora_r: {a: 1}\n", "r.yaml line 2: one value was wanted" },
		{ "data: [[x]]\n", "r.yaml line 1: one value was wanted" },
		{ "lora_r: 9999\n", "r.yaml line 1: lora_r 9999: it must lie between 1 and 4096" },
		{ "lora_r: 8\nlora-r: 9\n", "r.yaml line 2: lora-r is given twice" },
		{ "- a\n", "r.yaml line 1: a mapping was wanted" },
		{ "word", "r.yaml line 1: a mapping was wanted" },
		{ "lora_r: &x 8\n", "anchors" },
		{ "lora_r: *x\n", "anchors" },
		{ "[a]: 1\n", "one value was wanted" },
		{ "lora_r: 8\n---\nlora_r: 9\n", "r.yaml line 2: a second document" },
		{ "lora_r: 8\n\tlr: 9\n", "r.yaml line 2" },
		{ "prompt: \"\xff\"\n", "r.yaml line" },
		{ "prompt: \"\\0\"\n", "zero byte" },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct target o;
		struct opt_parse p;
		struct err e = ERR_INIT;
		test_case(t, "refuses YAML %zu", i);
		opt_begin(&p, table, &o, &e);
		CHECK_MSG(t, read_yaml(&p, cases[i].text, &e) == -1 && strstr(e.msg, cases[i].says), "%s", e.msg);
		opt_release(&p);
	}
}

static void records(struct test *t)
{
	struct target o, again;
	struct opt_parse p, q;
	struct err e = ERR_INIT;
	test_case(t, "a record reads back to the same values");
	CHECK(t, parse(&p, &o,
	               "--lr 0.30000000000000004 --data a --data b --memory 3G --no-shuffle --method full --unset 7 "
	               "--lora-r 3",
	               &e) == 0);
	json_t *record = opt_record(&p);
	char *line = jsonx_line(record);
	json_t *read = jsonx_load(line, strlen(line), "record", &e);
	opt_begin(&q, table, &again, &e);
	CHECK_MSG(t, opt_json(&q, read, &e) == 0, "%s", e.msg);
	CHECK(t, again.rate == o.rate && again.data.n == 2 && again.memory == o.memory && !again.shuffle &&
	                 again.unset == 7 && again.lora_r == 3);
	CHECK(t, isnan(again.unset_rate) && !again.prompt && !opt_given(&q, "lr") &&
	                 json_is_null(json_object_get(read, "unset_rate")));
	json_t *second = opt_record(&q);
	CHECK(t, json_equal(record, second) && json_object_get(record, "learning_rate") &&
	                 !json_object_get(record, "First"));
	json_decref(record);
	json_decref(second);
	json_decref(read);
	mem_free(line);
	opt_release(&q);
	test_case(t, "JSON does not override what is given, and is checked");
	read = json_pack("{s:i, s:i, s:n}", "lora_r", 64, "max_steps", 12, "target_modules");
	CHECK(t, opt_json(&p, read, &e) == 0 && o.lora_r == 3 && o.steps == 12 && !o.modules);
	json_object_set_new(read, "max_steps", json_real(1.5));
	CHECK(t, opt_json(&p, read, &e) == -1 && strstr(e.msg, "max_steps 1.5: a whole number"));
	json_object_set_new(read, "max_steps", json_array());
	CHECK(t, opt_json(&p, read, &e) == -1 && strstr(e.msg, "one value was wanted"));
	json_decref(read);
	read = json_pack("{s:i}", "max_step", 12);
	CHECK(t, opt_json(&p, read, &e) == -1 && strstr(e.msg, "did you mean max-steps?"));
	json_decref(read);
	opt_release(&p);
	test_case(t, "one value as text");
	opt_begin(&p, table, &o, &e);
	CHECK(t, opt_assign(&p, "lora_r", "5", &e) == 0 && o.lora_r == 5 && opt_given(&p, "lora-r") &&
	                 opt_assign(&p, "nope", "5", &e) == -1);
	opt_release(&p);
}

static void help_line(void *ctx, const char *line)
{
	buf_addf(ctx, "%s\n", line);
}

static void help(struct test *t)
{
	static const char expected[] =
		"First:\n"
		"  -p, --prompt TEXT         what to go on from\n"
		"  --learning-rate, --lr X   peak learning rate (default: 2e-4)\n"
		"  --lora-r N                rank of the adapter (default: 8)\n"
		"  --unset N                 nothing by default\n"
		"  --max-steps N             steps (default: -1)\n"
		"  --unset-rate X            nothing by default either\n"
		"\n"
		"Second:\n"
		"  -n N                      how many (default: 1)\n"
		"  --packing                 join documents\n"
		"  --shuffle                 mix the rows; a long text that says what it is good\n"
		"                            for, at length, so that it wraps (default;\n"
		"                            --no-shuffle turns it off)\n"
		"  --method lora|full        what is trained (default: lora)\n"
		"  --target-modules LIST     where the adapter goes (default: all-linear)\n"
		"  --memory SIZE             limit\n"
		"  --data FILE               rows (may be repeated)\n";
	struct buf b = BUF_INIT;
	test_case(t, "help");
	opt_help(table, help_line, &b);
	CHECK_MSG(t, strcmp(buf_str(&b), expected) == 0, "\n%s", buf_str(&b));
	buf_release(&b);
}

static void nearest(struct test *t)
{
	static const char *const words[] = { "tune", "eval", "merge", "data lint", "generate" };
	const char *w;
	test_case(t, "the nearest word");
	CHECK(t, (w = opt_nearest("tnue", words, 5)) && strcmp(w, "tune") == 0);
	CHECK(t, (w = opt_nearest("genrate", words, 5)) && strcmp(w, "generate") == 0);
	CHECK(t, (w = opt_nearest("data_lint", words, 5)) && strcmp(w, "data lint") == 0);
	CHECK(t, !opt_nearest("serve", words, 5) && !opt_nearest("", words, 5) && !opt_nearest("x", words, 5));
}

void test_base_opt(struct test *t)
{
	defaults(t);
	arguments(t);
	wrong_arguments(t);
	yaml(t);
	wrong_yaml(t);
	records(t);
	help(t);
	nearest(t);
}
