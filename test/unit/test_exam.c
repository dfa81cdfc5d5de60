/* test_exam: tasks of lm-eval on the tiny Llama against its own samples (tools/golden/exams.py): prompts, rows and
 * targets by their hashes, replies and metrics of every sample, sums; literals and configs that are refused, by name.
  * */
#include "../test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/py_literal.h"
#include "base/py_re.h"
#include "base/yaml_json.h"
#include "exam/english.h"
#include "exam/exam.h"
#include "exam/function.h"
#include "exam/instructions.h"

/* Sums of log-probabilities in f32, in another order than PyTorch's. */
static const double tolerance = 2e-5;

struct bench {
	struct model model;
	struct pool *pool;
	struct device device;
	const struct kernels *kernels;
};

static void bench_open(struct test *t, struct bench *b)
{
	struct err e = ERR_INIT;
	char *path = io_join(test_golden(), "llama");

	*b = (struct bench){ .pool = pool_new(2), .kernels = kernels_get(NULL, &e) };
	b->device = device_cpu(b->kernels, b->pool);
	CHECK_MSG(t, model_open(&b->model, path, &e) == 0 && model_tokenizer(&b->model, &e) == 0, "%s", e.msg);
	mem_free(path);
}

static void bench_close(struct bench *b)
{
	model_close(&b->model);
	pool_free(b->pool);
}

/* --- samples --- */

static bool same(const json_t *a, const json_t *b)
{
	if (json_is_array(a) && json_is_array(b)) {
		bool all = json_array_size(a) == json_array_size(b);
		for (size_t i = 0; all && i < json_array_size(a); i++)
			all = same(json_array_get(a, i), json_array_get(b, i));
		return all;
	}
	if (json_is_boolean(b))
		return json_is_string(a) && !strcmp(json_string_value(a), json_is_true(b) ? "True" : "False");
	double x = json_is_string(a) ? atof(json_string_value(a)) : json_number_value(a),
	       y = json_is_string(b) ? atof(json_string_value(b)) : json_number_value(b);
	if (json_is_string(a) && json_is_string(b) && !strcmp(json_string_value(a), json_string_value(b)))
		return true;
	return (x != 0 || y != 0 || json_is_number(a)) && fabs(x - y) <= tolerance * fmax(1, fabs(y));
}

static void check_sample(struct test *t, const struct exam_scores *s, size_t f, size_t i, const json_t *wanted)
{
	static const char *const hashes[] = { "prompt_hash", "target_hash", "doc_hash", "filter" };
	struct err e = ERR_INIT;
	json_t *line = exam_sample(s, f, i, &e), *v;
	const char *name = s->asked->task->name, *key;

	CHECK_MSG(t, line != NULL, "%s: %s", name, e.msg);
	for (size_t k = 0; k < ARRAY_LEN(hashes); k++)
		CHECK_MSG(t, json_equal(json_object_get(line, hashes[k]), json_object_get(wanted, hashes[k])),
		          "%s row %zu: %s", name, i, hashes[k]);
	char *ours = json_dumps(json_object_get(line, "filtered_resps"), JSON_ENCODE_ANY),
	     *theirs = json_dumps(json_object_get(wanted, "filtered_resps"), JSON_ENCODE_ANY);
	CHECK_MSG(t, same(json_object_get(line, "filtered_resps"), json_object_get(wanted, "filtered_resps")),
	          "%s row %zu: %s, wanted %s", name, i, ours, theirs);
	mem_free(ours);
	mem_free(theirs);
	json_object_foreach(json_object_get(wanted, "metrics"), key, v)
		if (!json_is_array(v) || json_array_size(json_array_get(v, 1)) == 0) /* brier's pair is ours summed */
			CHECK_MSG(t, same(json_object_get(line, key), v), "%s row %zu: %s",
			          name, i, key);
	json_decref(line);
}

static void check_scores(struct test *t, const struct exam_scores *s, const json_t *golden)
{
	const char *name = s->asked->task->name;
	const json_t *samples = json_object_get(json_object_get(golden, "samples"), name),
	             *results = json_object_get(json_object_get(golden, "results"), name);
	char key[80];

	test_case(t, "%s: prompts, replies and metrics are lm-eval's", name);
	CHECK_MSG(t, json_array_size(samples) == s->n_filters * s->asked->n_docs, "%zu samples",
	          json_array_size(samples));
	for (size_t f = 0; f < s->n_filters; f++)
		for (size_t i = 0; i < s->asked->n_docs; i++)
			check_sample(t, s, f, i, json_array_get(samples, f * s->asked->n_docs + i));
	for (size_t k = 0; k < s->n; k++) {
		snprintf(key, sizeof(key), "%s,%s", s->items[k].metric, s->items[k].filter);
		double wanted = json_number_value(json_object_get(results, key)), got = s->items[k].value.mean;
		CHECK_MSG(t, fabs(got - wanted) <= 1e-3 * fmax(1e-3, fabs(wanted)), "%s: %g, wanted %g", key, got,
		          wanted);
	}
}

static void check_group(struct test *t, const struct exams *x, const struct exam_scores *scores, const json_t *golden)
{
	const json_t *wanted = json_object_get(json_object_get(golden, "results"), "all");
	struct arena mem = ARENA_INIT;
	struct exam_score *made;
	struct err e = ERR_INIT;
	size_t n;
	char key[80];

	test_case(t, "a group's scores and errors");
	CHECK(t, x->n_groups == 1 && exam_group_score(x, &x->groups[0], scores, &mem, &made, &n, &e) == 0);
	CHECK(t, n == 2);
	for (size_t k = 0; k < n; k++) {
		snprintf(key, sizeof(key), "%s,none", made[k].metric);
		CHECK_MSG(t, fabs(made[k].value.mean - json_number_value(json_object_get(wanted, key))) < 1e-9, "%s",
		          key);
		snprintf(key, sizeof(key), "%s_stderr,none", made[k].metric);
		CHECK_MSG(t, fabs(made[k].value.stderr_ - json_number_value(json_object_get(wanted, key))) < 1e-9,
		          "%s: %g", key, made[k].value.stderr_);
	}
	arena_release(&mem);
}

/* What the model answered is what it would say itself, and what it did not answer is not. */
static void check_greedy(struct test *t, const struct exam_asked *answers, const struct exam *scored,
                         const struct exam_subject *s, struct exam_run_options *o)
{
	struct exam_request items[10] = { 0 };
	struct exam_asked *list, asked = { .task = scored, .items = items, .n = 2 * answers->n,
		                           .n_docs = answers->n };
	struct err e = ERR_INIT;
	size_t said = 0, other = 0;

	list = &asked;
	test_case(t, "an answer is greedy, one with more behind it is not");
	for (size_t i = 0; i < answers->n && i < 5; i++) {
		const char *text = json_string_value(json_array_get(answers->items[i].answers, 0));
		items[2 * i] = (struct exam_request){ .doc = i, .context = answers->items[i].context };
		items[2 * i].continuation = arena_printf(&asked.mem, "%s", *text ? text : "-");
		items[2 * i + 1] = items[2 * i];
		items[2 * i + 1].continuation = arena_printf(&asked.mem, "%s 0-9", text);
	}
	CHECK_MSG(t, exam_run(s, &list, 1, o, &e) == 0, "%s", e.msg);
	for (size_t i = 0; i < answers->n; i++) {
		said += items[2 * i].greedy;
		other += items[2 * i + 1].greedy;
	}
	CHECK_MSG(t, said > 0 && other == 0, "%zu, %zu", said, other);
	arena_release(&asked.mem);
}

static void test_samples(struct test *t)
{
	static const char *const files[] = { "all.yaml", "words.yaml", "pages.yaml", "answers.yaml" };
	char *folder = io_join(test_golden(), "exams"), *path = io_join(folder, "samples.json");
	const char *names[ARRAY_LEN(files)];
	struct err e = ERR_INIT;
	json_t *golden = jsonx_load_file(path, &e);
	const struct exam_source from = { .num_fewshot = -1 };
	struct exam_scores scores[8];
	struct exam_asked asked[8], *list[8];
	struct exams x;
	struct bench b;

	bench_open(t, &b);
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		names[i] = io_join(folder, files[i]);
	test_case(t, "task files are read");
	int status = exams_open(&x, names, ARRAY_LEN(files), &from, &e);
	CHECK_MSG(t, status == 0 && x.n == 6, "%s", e.msg);
	const struct text_codec codec = { b.model.tokenizer, NULL };
	const struct exam_how how = { .codec = &codec, .seed = 1234 };
	const struct exam_subject s = { &b.model, NULL, &b.device };
	struct exam_run_options o = { .max_length = b.model.config.n_ctx, .micro_batch_tokens = 256 };
	for (size_t i = 0; i < x.n && status == 0; i++) {
		status = exam_ask(&x.items[i], &how, &asked[i], &e);
		list[i] = &asked[i];
	}
	if (status == 0)
		status = exam_run(&s, list, x.n, &o, &e);
	for (size_t i = 0; i < x.n && status == 0; i++)
		status = exam_score(&asked[i], &scores[i], &e);
	CHECK_MSG(t, status == 0, "%s", e.msg);
	for (size_t i = 0; i < x.n; i++)
		check_scores(t, &scores[i], golden);
	check_group(t, &x, scores, golden);
	check_greedy(t, &asked[5], &x.items[3], &s, &o);
	for (size_t i = 0; i < x.n; i++) {
		exam_scores_release(&scores[i]);
		exam_asked_release(&asked[i]);
	}
	exams_release(&x);
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		mem_free((char *)(uintptr_t)names[i]);
	json_decref(golden);
	mem_free(folder);
	mem_free(path);
	bench_close(&b);
}

/* --- literals, expressions, YAML --- */

static void test_literals(struct test *t)
{
	static const struct { const char *text, *json; } cases[] = {
		{ "['a', \"b's\", 'c\\n\\x41\\u00e9']", "[\"a\", \"b's\", \"c\\nA\u00e9\"]" },
		{ "(1, -2.5, None, True)", "[1, -2.5, null, true]" },
		{ "{'a': [1, 2,], 'b': ()}", "{\"a\": [1, 2], \"b\": []}" },
		{ "('one' ' text')", "\"one text\"" },
		{ "[", NULL }, { "f(1)", NULL }, { "['a'] + ['b']", NULL }, { "{1: 2}", NULL }, { "", NULL },
	};

	test_case(t, "Python's literals");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = ERR_INIT;
		json_t *made = py_literal(cases[i].text, strlen(cases[i].text), &e);
		char *text = made ? json_dumps(made, JSON_ENCODE_ANY) : NULL;
		CHECK_MSG(t, cases[i].json ? text && !strcmp(text, cases[i].json) : !text && e.msg[0], "%s: %s",
		          cases[i].text, text ? text : e.msg);
		mem_free(text);
		json_decref(made);
	}
}

static void test_expressions(struct test *t)
{
	static const struct { const char *pattern, *with, *text, *made; } cases[] = {
		{ "x*", "-", "abxd", "-a-b--d-" }, /* Python 3.7 and later */
		{ "\\(\\s*([^\\)]*?)\\s*\\)", "(\\1)", "a ( b c ) d", "a (b c) d" },
		{ "\\d+", "N", "7 and \u0663\u0664", "N and N" },
	};

	test_case(t, "re.sub");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf out = BUF_INIT;
		struct err e = ERR_INIT;
		struct py_re *re;
		CHECK(t, py_re_new(&re, cases[i].pattern, &e) == 0);
		CHECK(t, py_re_sub(re, cases[i].with, cases[i].text, strlen(cases[i].text), &out, &e) == 0);
		CHECK_MSG(t, !strcmp(buf_str(&out), cases[i].made), "%s: %s", cases[i].pattern, buf_str(&out));
		py_re_free(re);
		buf_release(&out);
	}
}

static void test_yaml(struct test *t)
{
	static const char text[] = "a: yes\nb: [1, 2.5, '3', null, 1e5]\nc: !function x.y\n"
	                           "d: \"l\\\n  m\"\ne: |\n  n\n  o\n";
	struct err e = ERR_INIT;
	json_t *made = yaml_json(text, strlen(text), "f", &e);
	char *line = made ? jsonx_line(made) : NULL;

	test_case(t, "YAML as PyYAML reads it");
	CHECK_MSG(t, line && !strcmp(line, "{\"a\": true, \"b\": [1, 2.5, \"3\", null, \"1e5\"], \"c\": "
	                                   "{\"!function\": \"x.y\"}, \"d\": \"lm\", \"e\": \"n\\no\\n\"}"),
	          "%s", line ? line : e.msg);
	mem_free(line);
	json_decref(made);
	static const char *const bad[] = { "a: &x 1\nb: *x", "a: 1\na: 2", "a: 010", "a: !py x",
	                                   "- a\n---\n- b", "a: [" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		e.msg[0] = 0;
		CHECK_MSG(t, !yaml_json(bad[i], strlen(bad[i]), "f", &e) && e.msg[0], "%s", bad[i]);
	}
}

/* --- instructions of IFEval, by lm-eval's own functions (tools/golden/ifeval.py) --- */

static void test_instructions(struct test *t, const json_t *checks)
{
	size_t i;
	json_t *one;

	test_case(t, "instructions of IFEval");
	CHECK(t, json_array_size(checks) > 400);
	json_array_foreach((json_t *)(uintptr_t)checks, i, one) {
		const char *id = json_string_value(json_array_get(one, 0)),
		           *answer = json_string_value(json_array_get(one, 2));
		struct err e = ERR_INIT;
		bool follows = false;
		CHECK_MSG(t, instruction_follows(id, json_array_get(one, 1), answer, &follows, &e) == 0, "%s", e.msg);
		CHECK_MSG(t, follows == json_is_true(json_array_get(one, 3)), "%s of %s: %d", id, answer, follows);
	}
}

static void test_counts(struct test *t, const json_t *counts)
{
	size_t i;
	json_t *one;

	test_case(t, "sentences and words of capitals");
	CHECK(t, json_array_size(counts) > 100);
	json_array_foreach((json_t *)(uintptr_t)counts, i, one) {
		const char *s = json_string_value(json_array_get(one, 0));
		size_t sentences = english_sentences(s, strlen(s)), capitals = english_capital_words(s, strlen(s));
		CHECK_MSG(t, sentences == (size_t)json_integer_value(json_array_get(one, 1)), "%s: %zu", s, sentences);
		CHECK_MSG(t, capitals == (size_t)json_integer_value(json_array_get(one, 2)), "%s: %zu", s, capitals);
	}
}

static void test_loose(struct test *t, const json_t *rows)
{
	const struct exam_function *f = exam_function("ifeval.process_results");
	size_t i;
	json_t *one, *v;
	const char *key;

	test_case(t, "IFEval's rows, strictly and loosely");
	CHECK(t, f && json_array_size(rows) > 40);
	json_array_foreach((json_t *)(uintptr_t)rows, i, one) {
		json_t *answers = json_pack("[O]", json_array_get(one, 1)), *made = json_object();
		struct err e = ERR_INIT;
		CHECK_MSG(t, f->of_results(json_array_get(one, 0), answers, made, &e) == 0, "%s", e.msg);
		json_object_foreach(json_array_get(one, 2), key, v) {
			const json_t *ours = json_object_get(made, key);
			bool equal = !json_is_array(v) || json_array_size(v) == json_array_size(ours);
			for (size_t k = 0; k < json_array_size(v) && equal; k++)
				equal = json_is_true(json_array_get(v, k)) ==
				        (json_number_value(json_array_get(ours, k)) == 1);
			CHECK_MSG(t, equal && (json_is_array(v) || json_is_true(v) == (json_number_value(ours) == 1)),
			          "row %zu: %s", i, key);
		}
		json_decref(answers);
		json_decref(made);
	}
}

static void test_bad_instructions(struct test *t)
{
	static const struct { const char *id, *kwargs, *says; } cases[] = {
		{ "keywords:rhyme", "{}", "none of IFEval's" },
		{ "punctuation:no_comma", "{\"language\": \"de\"}", "has no language" },
		{ "length_constraints:number_words", "{\"num_words\": 3, \"relation\": \"about\"}", "neither" },
		{ "length_constraints:number_words", "{\"relation\": \"at least\"}", "num_words" },
		{ "keywords:existence", "{\"keywords\": [\"a(\"]}", "regular expression" },
	};
	bool follows;

	test_case(t, "instructions that make no sense");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = ERR_INIT;
		json_t *kwargs = json_loads(cases[i].kwargs, 0, NULL);
		CHECK_MSG(t, instruction_follows(cases[i].id, kwargs, "a", &follows, &e) < 0 &&
		          strstr(e.msg, cases[i].says), "%s: %s", cases[i].id, e.msg);
		json_decref(kwargs);
	}
}

static void test_ifeval(struct test *t)
{
	char *path = io_join(test_golden(), "exams/ifeval.json");
	json_t *golden = json_load_file(path, 0, NULL);

	test_instructions(t, json_object_get(golden, "checks"));
	test_counts(t, json_object_get(golden, "counts"));
	test_loose(t, json_object_get(golden, "rows"));
	test_bad_instructions(t);
	json_decref(golden);
	mem_free(path);
}

void test_exam(struct test *t)
{
	test_ifeval(t);
	test_literals(t);
	test_expressions(t);
	test_yaml(t);
	test_samples(t);
}
