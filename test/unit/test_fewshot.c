/* test_fewshot: prompts byte by byte as lm-eval makes them, draws as Python's, scores as bm25s' (golden values of
 * tools/golden/in_context.py); which examples are chosen, and that a row is never its own; turns, systems' turns and
 * what was kept. */
#include "../test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/py_random.h"
#include "data/content_free.h"
#include "data/fewshot.h"
#include "data/shape.h"
#include "retrieve/bm25.h"

static json_t *golden(struct test *t, const char *name)
{
	struct err e = ERR_INIT;
	char *dir = io_join(test_golden(), "in_context"), *path = io_join(dir, name);
	json_t *j = jsonx_load_file(path, &e);

	CHECK_MSG(t, j, "%s", e.msg);
	mem_free(path);
	mem_free(dir);
	return j;
}

static void load(struct test *t, struct rows *r, const char *name)
{
	struct err e = ERR_INIT;
	char *dir = io_join(test_golden(), "in_context"), *path = io_join(dir, name);

	CHECK_MSG(t, rows_load(r, path, &e) == 0, "%s", e.msg);
	mem_free(path);
	mem_free(dir);
}

/* Rows of a text, by the file's name. */
static void load_text(struct test *t, struct rows *r, const char *name, const char *text)
{
	struct err e = ERR_INIT;
	char *path = io_join(test_tmp(), name);

	CHECK(t, io_write(path, text, strlen(text), &e) == 0);
	CHECK_MSG(t, rows_load(r, path, &e) == 0, "%s", e.msg);
	mem_free(path);
}

/* --- draws --- */

static void check_draws(struct test *t, const json_t *draw)
{
	size_t n = (size_t)json_integer_value(json_object_get(draw, "n")),
	       k = (size_t)json_integer_value(json_object_get(draw, "k"));
	size_t *out = mem_array(k, sizeof(*out));
	struct mt19937 g;

	py_random_seed(&g, (uint64_t)json_integer_value(json_object_get(draw, "seed")));
	for (int turn = 0; turn < 2; turn++) {
		const json_t *wanted = json_object_get(draw, turn ? "second" : "first");
		py_random_sample(&g, n, k, out);
		for (size_t i = 0; i < k; i++)
			CHECK_MSG(t, (json_int_t)out[i] == json_integer_value(json_array_get(wanted, i)),
			          "%zu of %zu, number %zu: %zu", k, n, i, out[i]);
	}
	mem_free(out);
}

static void check_bm25(struct test *t, const json_t *values)
{
	struct rows r;
	struct bm25 *b = bm25_new();
	double score[64];

	load(t, &r, "sections.jsonl");
	for (size_t i = 0; i < r.n; i++) {
		const json_t *q = json_object_get(r.items[i].json, "query");
		bm25_add(b, json_string_value(q), json_string_length(q));
	}
	CHECK(t, bm25_texts(b) == r.n);
	for (size_t i = 0; i < json_array_size(json_object_get(values, "queries")); i++) {
		const char *query = json_string_value(json_array_get(json_object_get(values, "queries"), i));
		const json_t *wanted = json_array_get(json_object_get(values, "scores"), i);
		bm25_score(b, query, strlen(query), score);
		for (size_t k = 0; k < r.n; k++) {
			double is = json_number_value(json_array_get(wanted, k));
			CHECK_MSG(t, fabs(score[k] - is) < 1e-6, "%s, %zu: %g, wanted %g", query, k, score[k], is);
		}
	}
	bm25_free(b);
	rows_release(&r);
}

/* --- prompts as lm-eval's --- */

static void check_prompts(struct test *t, const json_t *wanted)
{
	struct err e = ERR_INIT;
	struct rows examples, rows, made;
	struct fewshot *f;
	const json_t *prompts = json_object_get(wanted, "prompts");
	struct fewshot_options o = {
		.num = (size_t)json_integer_value(json_object_get(wanted, "k")),
		.select = (enum fewshot_select)fewshot_select_of(json_string_value(json_object_get(wanted, "select"))),
		.seed = (uint64_t)json_integer_value(json_object_get(wanted, "seed")),
		.instruction = json_string_value(json_object_get(wanted, "instruction")),
		.target_delimiter = " ",
	};

	load(t, &examples, json_string_value(json_object_get(wanted, "examples")));
	load(t, &rows, json_string_value(json_object_get(wanted, "rows")));
	CHECK_MSG(t, fewshot_new(&f, &examples, &o, &e) == 0, "%s", e.msg);
	CHECK_MSG(t, fewshot_apply(f, &rows, &made, &e) == 0, "%s", e.msg);
	CHECK(t, made.n == json_array_size(prompts) && made.shape == rows.shape);
	for (size_t i = 0; i < made.n; i++) {
		json_t *asked = shape_ask(made.shape, made.items[i].json, &e);
		CHECK_MSG(t, json_equal(asked, json_array_get(prompts, i)), "row %zu:\n%s\n--- wanted\n%s", i,
		          json_string_value(asked), json_string_value(json_array_get(prompts, i)));
		json_decref(asked);
	}
	fewshot_free(f);
	rows_release(&made);
	rows_release(&rows);
	rows_release(&examples);
}

/* Messages where a template writes the rows. */
static void check_turns(struct test *t, const json_t *wanted)
{
	struct err e = ERR_INIT;
	struct rows rows, made;
	struct fewshot *f;
	struct fewshot_options o = { .num = (size_t)json_integer_value(json_object_get(wanted, "k")), .chat = true,
		                     .instruction = json_string_value(json_object_get(wanted, "instruction")) };

	load(t, &rows, json_string_value(json_object_get(wanted, "rows")));
	CHECK_MSG(t, fewshot_new(&f, &rows, &o, &e) == 0, "%s", e.msg);
	CHECK_MSG(t, fewshot_apply(f, &rows, &made, &e) == 0, "%s", e.msg);
	CHECK(t, made.n == json_array_size(json_object_get(wanted, "messages")));
	for (size_t i = 0; i < made.n; i++) {
		json_t *asked = shape_ask(made.shape, made.items[i].json, &e);
		CHECK_MSG(t, json_equal(asked, json_array_get(json_object_get(wanted, "messages"), i)), "row %zu", i);
		json_decref(asked);
	}
	fewshot_free(f);
	rows_release(&made);
	rows_release(&rows);
}

static void test_golden_prompts(struct test *t)
{
	json_t *values = golden(t, "values.json"), *one;
	size_t i;

	test_case(t, "draws are those of Python's random");
	json_array_foreach(json_object_get(values, "draws"), i, one)
		check_draws(t, one);
	test_case(t, "BM25 scores are those of bm25s");
	check_bm25(t, json_object_get(values, "bm25"));
	test_case(t, "prompts are lm-eval's, byte by byte");
	json_array_foreach(json_object_get(values, "prompts"), i, one)
		check_prompts(t, one);
	test_case(t, "messages are lm-eval's, as several turns");
	json_array_foreach(json_object_get(values, "turns"), i, one)
		check_turns(t, one);
	json_decref(values);
}

/* --- which --- */

static const char pool[] = "{\"prompt\": \"red apple\", \"completion\": \"fruit\"}\n"
                           "{\"prompt\": \"green apple\", \"completion\": \"fruit\"}\n"
                           "{\"prompt\": \"old car\", \"completion\": \"thing\"}\n"
                           "{\"prompt\": \"red car\", \"completion\": \"thing\"}\n"
                           "{\"prompt\": \"green frog\", \"completion\": \"animal\"}\n";

/* What stands before the one row, in words: the examples' questions, apart by |. */
static void check_chosen(struct test *t, struct fewshot_options o, const char *row, const char *wanted)
{
	struct err e = ERR_INIT;
	struct rows examples, rows, made;
	struct fewshot *f;

	o.target_delimiter = "=";
	o.delimiter = "|";
	load_text(t, &examples, "pool.jsonl", pool);
	load_text(t, &rows, "row.jsonl", row);
	CHECK_MSG(t, fewshot_new(&f, &examples, &o, &e) == 0, "%s", e.msg);
	CHECK_MSG(t, fewshot_apply(f, &rows, &made, &e) == 0, "%s", e.msg);
	const char *got = json_string_value(json_object_get(made.items[0].json, "prompt"));
	CHECK_MSG(t, !strcmp(got, wanted), "%s, wanted %s", got, wanted);
	fewshot_free(f);
	rows_release(&made);
	rows_release(&rows);
	rows_release(&examples);
}

/* A vector of each word's first letter: apples near apples. */
static int letters(void *ctx, const char *const *texts, size_t n, float *out, struct err *e)
{
	(void)ctx;
	(void)e;
	for (size_t i = 0; i < n; i++) {
		const char *last = strrchr(texts[i], ' ');
		int at = last[1] == 'a' ? 0 : last[1] == 'c' ? 1 : 2;
		for (int k = 0; k < 3; k++)
			out[3 * i + (size_t)k] = k == at;
	}
	return 0;
}

static void test_choice(struct test *t)
{
	const char row[] = "{\"prompt\": \"a red frog\", \"completion\": \"animal\"}\n",
	           own[] = "{\"prompt\": \"red apple\", \"completion\": \"other\"}\n";
	static const struct fewshot_embedder embedder = { 3, letters, NULL };

	test_case(t, "first, and never the row itself");
	check_chosen(t, (struct fewshot_options){ .num = 2 }, row, "red apple=fruit|green apple=fruit|a red frog");
	check_chosen(t, (struct fewshot_options){ .num = 2 }, own, "green apple=fruit|old car=thing|red apple");
	test_case(t, "reverse, and another order of the same");
	check_chosen(t, (struct fewshot_options){ .num = 2, .order = FEWSHOT_REVERSE }, row,
	             "green apple=fruit|red apple=fruit|a red frog");
	test_case(t, "by words: the nearest, the nearest last");
	check_chosen(t, (struct fewshot_options){ .num = 2, .select = FEWSHOT_BM25 }, row,
	             "green frog=animal|red apple=fruit|a red frog");
	check_chosen(t,
	             (struct fewshot_options){ .num = 2, .select = FEWSHOT_BM25, .order = FEWSHOT_SIMILAR_LAST }, row,
	             "red apple=fruit|green frog=animal|a red frog");
	check_chosen(t, (struct fewshot_options){ .num = 1, .select = FEWSHOT_BM25 }, own,
	             "green apple=fruit|red apple");
	test_case(t, "by vectors");
	check_chosen(t, (struct fewshot_options){ .num = 1, .select = FEWSHOT_EMBEDDING, .embedder = &embedder }, row,
	             "green frog=animal|a red frog");
	check_chosen(t, (struct fewshot_options){ .num = 3, .select = FEWSHOT_DIVERSE, .embedder = &embedder }, row,
	             "red apple=fruit|old car=thing|green frog=animal|a red frog");
	test_case(t, "balanced: each class once before one comes again");
	for (uint64_t seed = 0; seed < 5; seed++) {
		struct err e = ERR_INIT;
		struct rows examples;
		struct fewshot *f;
		struct buf text = BUF_INIT;
		struct fewshot_options o = { .num = 3, .select = FEWSHOT_BALANCED, .seed = seed };
		load_text(t, &examples, "pool.jsonl", pool);
		CHECK(t, fewshot_new(&f, &examples, &o, &e) == 0 && fewshot_text(f, NULL, &text, &e) == 0);
		CHECK(t, strstr(buf_str(&text), "fruit") && strstr(buf_str(&text), "thing") &&
		                 strstr(buf_str(&text), "animal"));
		buf_release(&text);
		fewshot_free(f);
		rows_release(&examples);
	}
}

/* --- turns --- */

static void check_row(struct test *t, const struct fewshot_options *o, const char *examples, const char *row,
                      const char *wanted)
{
	struct err e = ERR_INIT;
	struct rows some = { 0 }, rows, made;
	struct fewshot *f;

	if (examples)
		load_text(t, &some, "examples.jsonl", examples);
	load_text(t, &rows, "row.jsonl", row);
	CHECK_MSG(t, fewshot_new(&f, &some, o, &e) == 0, "%s", e.msg);
	CHECK_MSG(t, fewshot_apply(f, &rows, &made, &e) == 0, "%s", e.msg);
	json_t *want = jsonx_load(wanted, strlen(wanted), "wanted", &e);
	char *got = jsonx_line(made.items[0].json);
	CHECK_MSG(t, json_equal(made.items[0].json, want), "%s", got);
	mem_free(got);
	json_decref(want);
	fewshot_free(f);
	rows_release(&made);
	rows_release(&rows);
	rows_release(&some);
}

static void test_turns(struct test *t)
{
	const char example[] = "{\"prompt\": \"2 + 2?\", \"completion\": \"4\"}\n";
	struct fewshot_options chat = { .num = 1, .chat = true, .instruction = "Add." }, text = { .num = 1 },
	                       asks = { .num = 1, .chat = true, .asks = true }, alone = { .instruction = "Add." };

	test_case(t, "a text as a user's turn, after the system's and an example's");
	check_row(t, &chat, example, "{\"query\": \"3 + 3?\", \"choices\": [\"5\", \"6\"], \"gold\": 1}",
	          "{\"query\": [{\"role\": \"system\", \"content\": \"Add.\"}, "
	          "{\"role\": \"user\", \"content\": \"2 + 2?\"}, {\"role\": \"assistant\", \"content\": \"4\"}, "
	          "{\"role\": \"user\", \"content\": \"3 + 3?\"}], \"choices\": [\"5\", \"6\"], \"gold\": 1}");
	test_case(t, "a conversation's own system's turn and the instruction are one");
	check_row(t, &alone, NULL,
	          "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, "
	          "{\"role\": \"assistant\", \"content\": \"b\"}], \"system\": \"Be brief.\"}",
	          "{\"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\\n\\nAdd.\"}, {\"role\": \"user\", "
	          "\"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"b\"}]}");
	test_case(t, "examples before a conversation are not what is judged");
	check_row(t, &text, example,
	          "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, "
	          "{\"role\": \"assistant\", \"content\": \"b\"}]}",
	          "{\"messages\": [{\"role\": \"user\", \"content\": \"2 + 2?\"}, "
	          "{\"role\": \"assistant\", \"content\": \"4\", \"weight\": 0}, "
	          "{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"b\"}]}");
	test_case(t, "Alpaca's columns without a template and with one");
	check_row(t, &alone, NULL, "{\"instruction\": \"Count.\", \"output\": \"1\"}",
	          "{\"prompt\": \"Add.\\n\\nBelow is an instruction that describes a task. Write a response that "
	          "appropriately completes the request.\\n\\n### Instruction:\\nCount.\\n\\n### Response:\", "
	          "\"completion\": \"1\"}");
	check_row(t, &asks, example, "{\"instruction\": \"Count.\", \"input\": \"a b\", \"output\": \"2\"}",
	          "{\"messages\": [{\"role\": \"user\", \"content\": \"2 + 2?\"}, "
	          "{\"role\": \"assistant\", \"content\": \"4\"}, "
	          "{\"role\": \"user\", \"content\": \"Count.\\na b\"}]}");
	test_case(t, "an instruction alone, an empty line after it");
	check_row(t, &alone, NULL, "{\"prompt\": \"x\", \"completion\": \"y\"}",
	          "{\"prompt\": \"Add.\\n\\nx\", \"completion\": \"y\"}");
}

/* --- what is kept, what is refused --- */

static void test_saved(struct test *t)
{
	struct err e = ERR_INIT;
	struct rows examples, rows;
	struct fewshot *f, *again = NULL;
	struct fewshot_options o = { .num = 2, .instruction = "Tab\tand naïve\n" };

	test_case(t, "what was kept is used, byte by byte");
	load_text(t, &examples, "pool.jsonl", pool);
	load_text(t, &rows, "row.jsonl", "{\"prompt\": \"x\", \"completion\": \"y\"}\n");
	CHECK(t, fewshot_new(&f, &examples, &o, &e) == 0);
	json_t *saved = fewshot_save(f, &e), *a, *b;
	CHECK_MSG(t, saved && fewshot_load(&again, saved, &(struct fewshot_options){ 0 }, &e) == 0, "%s", e.msg);
	a = fewshot_row(f, &rows.items[0], rows.shape, &e);
	b = fewshot_row(again, &rows.items[0], rows.shape, &e);
	CHECK_MSG(t, a && json_equal(a, b), "%s", e.msg);
	CHECK(t, !strncmp(json_string_value(json_object_get(a, "prompt")), "Tab\tand naïve\nred apple fruit\n\n", 30));
	json_decref(a);
	json_decref(b);
	json_decref(saved);
	fewshot_free(f);
	fewshot_free(again);

	test_case(t, "what cannot be is a sentence");
	o.num = 6;
	CHECK(t, fewshot_new(&f, &examples, &o, &e) < 0);
	CHECK_MSG(t, strstr(e.msg, "--num-fewshot 6: the examples are 5 rows"), "%s", e.msg);
	o = (struct fewshot_options){ .num = 5 };
	CHECK(t, fewshot_new(&f, &examples, &o, &e) == 0);
	CHECK(t, !fewshot_row(f, &examples.items[2], examples.shape, &e));
	CHECK_MSG(t, strstr(e.msg, "without the row itself"), "%s", e.msg);
	fewshot_free(f);
	o = (struct fewshot_options){ .num = 1, .select = FEWSHOT_BM25 };
	CHECK(t, fewshot_new(&f, &examples, &o, &e) == 0 && !fewshot_save(f, &e));
	CHECK_MSG(t, strstr(e.msg, "chosen for each row"), "%s", e.msg);
	fewshot_free(f);
	CHECK(t, fewshot_load(&f, rows.items[0].json, &o, &e) < 0);
	rows_release(&rows);
	load_text(t, &rows, "row.jsonl", "{\"text\": \"x\"}\n");
	CHECK(t, fewshot_new(&f, &rows, &o, &e) < 0);
	CHECK_MSG(t, strstr(e.msg, "a row of text has none"), "%s", e.msg);
	rows_release(&rows);
	rows_release(&examples);
}

static void test_content_free(struct test *t)
{
	struct err e = ERR_INIT;
	struct rows rows, free;

	test_case(t, "content-free inputs stand where the rows differ");
	load(t, &rows, "sections.jsonl");
	CHECK_MSG(t, content_free_rows(&rows, &free, &e) == 0 && free.n == 3, "%s", e.msg);
	const char *wanted[] = { "Package: N/A\nSection:", "Package: [MASK]\nSection:", "Package: \nSection:" };
	for (size_t i = 0; i < 3; i++)
		CHECK_MSG(t, !strcmp(json_string_value(json_object_get(free.items[i].json, "query")), wanted[i]), "%s",
		          json_string_value(json_object_get(free.items[i].json, "query")));
	rows_release(&free);
	rows_release(&rows);
}

void test_fewshot(struct test *t)
{
	test_golden_prompts(t);
	test_choice(t);
	test_turns(t);
	test_saved(t);
	test_content_free(t);
}
