/* Lint: each reason to refuse, by file and line; counts of lengths, duplicates, overlap and sharing against what can be
 * counted by hand. */
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "data/lint.h"
#include "../test.h"

struct bench {
	struct tokenizer *tokenizer;
	struct template *template_;
	struct lint_options options;
	struct rows rows;
	struct documents docs;
	struct lint lint;
	struct err e;
};

static void bench_open(struct test *t, struct bench *b, const char *template_)
{
	struct err e = ERR_INIT;
	char *dir = io_join(test_golden(), "llama");
	*b = (struct bench){ .tokenizer = tokenizer_from_dir(dir, &e),
		             .options = { .document = { .max_length = 64 }, .vocabulary = 301 } };
	CHECK_MSG(t, b->tokenizer, "%s", e.msg);
	if (template_)
		CHECK_MSG(t, (b->template_ = template_parse(template_, &e)) != NULL, "%s", e.msg);
	mem_free(dir);
}

static void bench_clear(struct bench *b)
{
	lint_release(&b->lint);
	documents_release(&b->docs);
	rows_release(&b->rows);
	b->e = (struct err)ERR_INIT;
}

static void bench_close(struct bench *b)
{
	bench_clear(b);
	template_free(b->template_);
	tokenizer_free(b->tokenizer);
}

static int lint(struct test *t, struct bench *b, const char *text)
{
	struct text_codec c = { b->tokenizer, b->template_ };
	char *path = io_join(test_tmp(), "lint.jsonl");

	bench_clear(b);
	CHECK(t, io_write(path, text, strlen(text), &b->e) == 0 && rows_load(&b->rows, path, &b->e) == 0);
	CHECK_MSG(t, lint_documents(&b->lint, &b->docs, &b->rows, &c, &b->options, &b->e) == 0, "%s", b->e.msg);
	mem_free(path);
	return lint_refuse(&b->lint, &b->e);
}

static void check_refused(struct test *t, struct bench *b, const char *text, size_t n, const char *what)
{
	CHECK_MSG(t, lint(t, b, text) < 0, "%s was not refused", text);
	CHECK_MSG(t, b->lint.refused.n == n && strstr(b->e.msg, what), "%zu findings, \"%s\", wanted %zu, \"%s\"",
	          b->lint.refused.n, b->e.msg, n, what);
}

static const char bare[] = "{% for m in messages %}{{ m.role }}:{{ m.content }}{% endfor %}{% if add_generation_prompt "
                           "%}assistant:{% endif %}";
static const char ended[] = "{% for m in messages %}{{ m.role }}:{{ m.content }}<|end|>{% endfor %}{% if "
                            "add_generation_prompt %}assistant:{% endif %}";

/* --- refusals --- */

static void test_refusals(struct test *t)
{
	struct bench b;
	bench_open(t, &b, ended);

	test_case(t, "nothing is supervised");
	check_refused(t, &b,
	              "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}\n{\"messages\": [{\"role\": "
	              "\"assistant\", \"content\": \"a\"}]}\n",
	              1, "lint.jsonl:1: nothing to train on");
	check_refused(t, &b, "{\"text\": \"a\"}\n{\"text\": \"\"}\n\n{\"text\": \"\"}\n", 2,
	              "lint.jsonl:2: nothing to train on: no token of this row is supervised (and 1 more");

	test_case(t, "truncation takes the answer");
	b.options.document.max_length = 6;
	check_refused(
		t, &b,
		"{\"prompt\": \"01234\", \"completion\": \"5\"}\n{\"prompt\": \"012345\", \"completion\": \"6\"}\n", 1,
		"lint.jsonl:2: nothing to train on: of its 8 tokens the first 6");
	CHECK(t, b.lint.n_truncated == 2);
	b.options.document.packing = true;
	CHECK(t, lint(t, &b, "{\"prompt\": \"012345\", \"completion\": \"6\"}\n") == 0 && b.lint.n == 1 &&
	                 b.lint.max == 8);
	b.options.document.packing = false;

	test_case(t, "the end is never supervised");
	check_refused(
		t, &b,
		"{\"prompt\": \"0\", \"completion\": \"123456\"}\n{\"prompt\": \"0\", \"completion\": \"12345\"}\n", 1,
		"lint.jsonl:1: EOS is never supervised");
	CHECK(t, lint(t, &b,
	              "{\"prompt\": \"0\", \"completion\": \"123456\"}\n{\"prompt\": \"0\", \"completion\": "
	              "\"1234\"}\n") == 0 &&
	                 b.lint.n_ended == 1);
	b.options.document.eval_choices = true;
	CHECK(t, lint(t, &b, "{\"query\": \"0\", \"choices\": [\"1\", \"2\"], \"gold\": 0}\n") == 0 &&
	                 b.lint.n_ended == 0);
	b.options.document = (struct document_options){ .max_length = 64 };

	test_case(t, "a token that the model does not have");
	b.options.vocabulary = 100;
	check_refused(t, &b, "{\"text\": \"the the\"}\n", 1, "lint.jsonl:1: token ");
	b.options.vocabulary = 0;
	CHECK(t, lint(t, &b, "{\"text\": \"the the\"}\n") == 0);

	test_case(t, "double BOS");
	check_refused(t, &b, "{\"text\": \"a\"}\n{\"text\": \"<|begin|><|begin|>a\"}\n", 1,
	              "lint.jsonl:2: double BOS: it begins with <|begin|> twice");
	CHECK(t, lint(t, &b, "{\"text\": \"<|begin|>a<|begin|>\"}\n") == 0);
	bench_close(&b);

	test_case(t, "a template without an end");
	bench_open(t, &b, bare);
	check_refused(t, &b,
	              "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", "
	              "\"content\": \"b\"}]}\n",
	              1, "would not learn to stop");
	bench_close(&b);
}

static void test_many(struct test *t)
{
	struct bench b;
	struct buf text = BUF_INIT;

	test_case(t, "of many findings the first are kept, all are counted");
	bench_open(t, &b, NULL);
	for (int i = 0; i < FINDINGS_KEPT + 50; i++)
		buf_adds(&text, "{\"text\": \"\"}\n");
	check_refused(t, &b, buf_str(&text), FINDINGS_KEPT + 50, "(and 149 more");
	CHECK(t, b.lint.refused.first[FINDINGS_KEPT - 1].line == FINDINGS_KEPT);
	buf_release(&text);
	bench_close(&b);
}

/* --- counts --- */

static void test_lengths(struct test *t)
{
	struct bench b;
	struct buf text = BUF_INIT;

	test_case(t, "lengths: nearest ranks and powers of two");
	bench_open(t, &b, NULL);
	for (int n = 20; n >= 1; n--) { /* with the EOS: 2 to 21 tokens */
		buf_adds(&text, "{\"text\": \"");
		for (int i = 0; i < n; i++)
			buf_addc(&text, (char)('0' + (i + n) % 10));
		buf_adds(&text, "\"}\n");
	}
	CHECK(t, lint(t, &b, buf_str(&text)) == 0);
	CHECK_MSG(t, b.lint.min == 2 && b.lint.median == 11 && b.lint.p95 == 20 && b.lint.max == 21, "%d %d %d %d",
	          b.lint.min, b.lint.median, b.lint.p95, b.lint.max);
	CHECK(t, b.lint.histogram[0] == 0 && b.lint.histogram[1] == 2 && b.lint.histogram[2] == 4 &&
	                 b.lint.histogram[3] == 8 && b.lint.histogram[4] == 6);
	CHECK(t, b.lint.n == 20 && b.lint.tokens == 230 && b.lint.learnt == 210 && b.lint.n_ended == 20 &&
	                 b.lint.duplicates.n == 0);
	buf_release(&text);
	bench_close(&b);
}

static void test_duplicates(struct test *t)
{
	struct bench b;

	test_case(t, "duplicates: the first row that repeats one, and which");
	bench_open(t, &b, NULL);
	CHECK(t, lint(t, &b,
	              "{\"text\": \"a\"}\n{\"text\": \"b\"}\n{\"text\": \"b\", \"id\": 1}\n{\"text\": "
	              "\"a\"}\n{\"text\": \"b\"}\n") == 0);
	const struct finding *first = b.lint.duplicates.first;
	CHECK(t, b.lint.duplicates.n == 3 && first->line == 3 && strstr(first->text, "lint.jsonl:2"));
	CHECK(t,
	      lint(t, &b,
	           "{\"prompt\": \"01\", \"completion\": \"2\"}\n{\"prompt\": \"0\", \"completion\": \"12\"}\n") == 0 &&
	              b.lint.duplicates.n == 0);
	bench_close(&b);
}

static void test_overlap(struct test *t)
{
	struct bench train, eval;
	struct lint_overlap o;

	test_case(t, "overlap: whole documents, and prompts");
	bench_open(t, &train, ended);
	bench_open(t, &eval, ended);
	eval.options.document.eval_choices = true;
	CHECK(t, lint(t, &train,
	              "{\"query\": \"Which?\", \"choices\": [\"a\", \"b\"], \"gold\": 1}\n{\"query\": \"Where?\", "
	              "\"choices\": [\"a\", \"b\"], \"gold\": 0}\n") == 0);
	CHECK(t, lint(t, &eval,
	              "{\"query\": \"Where?\", \"choices\": [\"x\", \"y\"], \"gold\": 1}\n{\"query\": \"Which?\", "
	              "\"choices\": [\"c\", \"b\"], \"gold\": 0}\n"
	              "{\"query\": \"When?\", \"choices\": [\"a\", \"b\"], \"gold\": 0}\n") == 0);
	o = lint_compare(&train.lint, &eval.lint);
	CHECK_MSG(t, o.documents == 1 && o.prompts == 2, "%zu documents, %zu prompts", o.documents, o.prompts);
	CHECK(t, lint(t, &eval,
	              "{\"prompt\": \"Which?\", \"completion\": \" b\"}\n{\"prompt\": \"How?\", \"completion\": \" "
	              "b\"}\n") == 0);
	o = lint_compare(&train.lint, &eval.lint);
	CHECK_MSG(t, o.documents == 1 && o.prompts == 1, "%zu documents, %zu prompts", o.documents, o.prompts);
	CHECK(t, lint(t, &eval, "{\"text\": \"Which? a\"}\n{\"text\": \"Which? b\"}\n") == 0);
	o = lint_compare(&train.lint, &eval.lint);
	CHECK_MSG(t, o.documents == 1 && o.prompts == 0, "%zu documents, %zu prompts", o.documents, o.prompts);
	bench_close(&train);
	bench_close(&eval);
}

static void test_sharing(struct test *t)
{
	struct bench b;

	test_case(t, "computed tokens: a shared prefix once a micro-batch");
	bench_open(t, &b, NULL);
	CHECK(t, lint(t, &b, "{\"prompt\": \"0123456789012345678901234567890\", \"completion\": \"a\"}\n"
	                     "{\"prompt\": \"0123456789012345678901234567890\", \"completion\": \"b\"}\n"
	                     "{\"prompt\": \"0123456789012345678901234567890\", \"completion\": \"c\"}\n") == 0);
	CHECK(t, b.docs.tokens == 99);
	CHECK_MSG(t, lint_computed(&b.docs, 1024) == 37, "%lld", (long long)lint_computed(&b.docs, 1024));
	CHECK_MSG(t, lint_computed(&b.docs, 35) == 35 + 33, "%lld", (long long)lint_computed(&b.docs, 35));
	CHECK(t, lint_computed(&b.docs, 1) == 99);
	bench_close(&b);
}

void test_lint(struct test *t)
{
	test_refusals(t);
	test_many(t);
	test_lengths(t);
	test_duplicates(t);
	test_overlap(t);
	test_sharing(t);
}
