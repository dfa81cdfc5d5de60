/* test_evaluate: windows against the recipe they follow, written as it is told; choices, texts and answers of the tiny
 * Llama against scores of documents one by one and against greedy answers of a session. */
#include "../test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "data/forest.h"
#include "infer/generate.h"
#include "eval/evaluate.h"
#include "eval/word_f1.h"
#include "eval/window.h"

/* --- windows --- */

/* for begin in range(0, n, stride): end = min(begin + window, n); the last (end − previous end) are new; a window's
 * first is never scored. */
static void recipe(int n, int window, int stride, int *count)
{
	for (int begin = 0, previous = 0; begin < n; begin += stride) {
		int end = MIN(begin + window, n), fresh = end - previous;
		for (int i = MAX(end - fresh, begin + 1); i < end; i++)
			count[i]++;
		previous = end;
		if (end == n)
			return;
	}
}

static void check_windows(struct test *t, int n, int window, int stride)
{
	int32_t ids[64];
	int count[64] = { 0 }, wanted[64] = { 0 };
	struct windows w = { 0 };

	for (int i = 0; i < n; i++)
		ids[i] = 100 + i;
	recipe(n, window, stride, wanted);
	windows_add(&w, ids, (size_t)n, window, stride, "a", 1);
	for (size_t i = 0; i < w.n; i++) {
		const struct document *d = &w.items[i];
		CHECK(t, d->n <= window && d->ids == ids + w.begin[i] && !d->learn[0] && d->n_learn > 0);
		for (int32_t j = 0; j < d->n; j++)
			count[w.begin[i] + (size_t)j] += d->learn[j];
	}
	CHECK_MSG(t, !memcmp(count, wanted, sizeof(count)), "%d tokens, window %d, stride %d", n, window, stride);
	windows_release(&w);
}

static void test_windows(struct test *t)
{
	test_case(t, "windows score what the recipe scores");
	for (int n = 1; n <= 40; n += n < 20 ? 1 : 3)
		for (int window = 1; window <= 24; window++)
			for (int stride = 1; stride <= window; stride++)
				check_windows(t, n, window, stride);
}

/* --- a model and rows --- */

struct bench {
	struct model model;
	struct pool *pool;
	struct device device;
	const struct kernels *kernels;
	struct rows rows;
	struct evaluate_options options;
	struct evaluation result;
	json_t *lines;
};

static void keep(void *ctx, json_t *line) { json_array_append(((struct bench *)ctx)->lines, line); }

static void bench_open(struct test *t, struct bench *b)
{
	struct err e = ERR_INIT;
	char *path = io_join(test_golden(), "llama");

	*b = (struct bench){ .pool = pool_new(2), .kernels = kernels_get(NULL, &e) };
	b->device = device_cpu(b->kernels, b->pool);
	CHECK_MSG(t, model_open(&b->model, path, &e) == 0 && model_tokenizer(&b->model, &e) == 0, "%s", e.msg);
	b->options = (struct evaluate_options){
		.max_length = 128, .stride = 64, .micro_batch_tokens = 256, .detail = keep, .ctx = b
	};
	mem_free(path);
}

static void bench_close(struct bench *b)
{
	json_decref(b->lines);
	rows_release(&b->rows);
	model_close(&b->model);
	pool_free(b->pool);
}

/* Evaluates rows given as JSONL. */
static int bench_run(struct test *t, struct bench *b, const char *text, struct err *e)
{
	char *path = io_join(test_tmp(), "rows.jsonl");
	struct subject s = { .model = &b->model, .device = &b->device };

	json_decref(b->lines);
	b->lines = json_array();
	rows_release(&b->rows);
	b->rows = (struct rows){ 0 };
	CHECK(t, io_write(path, text, strlen(text), e) == 0);
	int status = rows_load(&b->rows, path, e);
	mem_free(path);
	return status ? status : evaluate(&b->result, &s, &b->rows, &b->options, e);
}

/* Σ log p of the tokens of `text` after the first `from` of its tokens, in one document of its own. */
static double score_alone(struct test *t, struct bench *b, const char *text, int from)
{
	struct err e = ERR_INIT;
	struct tokens ids = { 0 };
	struct scorer *scorer;
	struct scorer_options o = { 128, 128 };
	uint8_t learn[128] = { 0 };
	double sum = NAN;

	CHECK(t, tokenizer_encode(b->model.tokenizer, text, strlen(text), 0, &ids, &e) == 0 && ids.n <= 128);
	struct document d = { .ids = ids.id, .learn = learn, .n = (int32_t)ids.n, .choice = -1, .file = "alone" };
	for (int i = from; i < d.n; i++)
		learn[i] = 1;
	d.n_learn = d.n - from;
	CHECK(t, scorer_new(&scorer, &b->model, NULL, &b->device, &o, &e) == 0);
	CHECK(t, scorer_run(scorer, (const struct document *[]){ &d }, 1, false, &sum, NULL, NULL, NULL, &e) == 0);
	scorer_free(scorer);
	tokens_release(&ids);
	return sum;
}

/* A model may say that it has more positions than a micro-batch has rows. */
static void test_too_long(struct test *t, struct bench *b)
{
	struct err e = ERR_INIT;
	struct model long_model = b->model;
	struct scorer_options o = { .max_length = FOREST_MAX_ROWS + 1, .max_tokens = 128 };
	struct scorer *scorer;

	test_case(t, "documents longer than a micro-batch may be are refused by a sentence");
	CHECK(t, scorer_new(&scorer, &b->model, NULL, &b->device, &o, &e) < 0 && strstr(e.msg, "positions"));
	long_model.config.n_ctx = 1 << 24;
	e = (struct err)ERR_INIT;
	CHECK(t, scorer_new(&scorer, &long_model, NULL, &b->device, &o, &e) < 0);
	CHECK_MSG(t, strstr(e.msg, "4194305 tokens cannot be scored, at most 4194304"), "%s", e.msg);
}

static int count_tokens(struct bench *b, const char *text)
{
	struct err e = ERR_INIT;
	struct tokens ids = { 0 };
	tokenizer_encode(b->model.tokenizer, text, strlen(text), 0, &ids, &e);
	int n = (int)ids.n;
	tokens_release(&ids);
	return n;
}

static double line_number(struct bench *b, size_t line, const char *key)
{
	return json_number_value(json_object_get(json_array_get(b->lines, line), key));
}

/* --- choices --- */

static void test_choices(struct test *t, struct bench *b)
{
	static const char *const choices[] = { "games", "a much longer answer than that", "text", "é" };
	static const int chars[] = { 5, 30, 4, 1 };
	struct err e = ERR_INIT;
	size_t best = 0, best_norm = 0;
	double sum[4];

	test_case(t, "choices: sums of log-probabilities of documents one by one, first of the largest");
	CHECK_MSG(t,
	          bench_run(t, b,
	                    "{\"query\": \"Which section?\", \"choices\": [\"games\", \"a much longer answer than "
	                    "that\", \"text\", \"é\"], \"gold\": 1}\n"
	                    "{\"query\": \"Which?\", \"choices\": [\"one\", \"one\"], \"gold\": 0}\n"
	                    "{\"query\": \"Which?\", \"choices\": [\"one\", \"one\"], \"gold\": 1}\n",
	                    &e) == 0,
	          "%s", e.msg);
	for (size_t i = 0; i < 4; i++) {
		char text[80];
		snprintf(text, sizeof(text), "Which section? %s", choices[i]);
		sum[i] = score_alone(t, b, text, count_tokens(b, "Which section?"));
		double got =
			json_number_value(json_array_get(json_object_get(json_array_get(b->lines, 0), "logprobs"), i));
		CHECK_MSG(t, fabs(sum[i] - got) < 1e-4 * fabs(sum[i]), "choice %zu: %g, %g was wanted", i, got, sum[i]);
		CHECK(t, json_integer_value(json_array_get(json_object_get(json_array_get(b->lines, 0), "characters"),
		                                           i)) == chars[i]);
		best = sum[i] > sum[best] ? i : best;
		best_norm = sum[i] / chars[i] > sum[best_norm] / chars[best_norm] ? i : best_norm;
	}
	CHECK(t, best != best_norm); /* else the row tells little */
	CHECK(t, line_number(b, 0, "choice") == (double)best && line_number(b, 0, "choice_norm") == (double)best_norm);
	CHECK(t, line_number(b, 1, "acc") == 1 && line_number(b, 2, "acc") == 0 && line_number(b, 1, "acc_norm") == 1);
	CHECK(t, b->result.n == 3 && b->result.exact_match.n == 0);
	CHECK(t, fabs(b->result.acc.mean - ((best == 1) + 1) / 3.0) < 1e-12);
	CHECK(t, fabs(b->result.acc_norm.mean - ((best_norm == 1) + 1) / 3.0) < 1e-12);

	test_case(t, "choices: a gold that is none");
	CHECK(t, bench_run(t, b, "{\"query\": \"Which?\", \"choices\": [\"one\", \"two\"], \"gold\": 2}\n", &e) < 0);
	CHECK_MSG(t, strstr(e.msg, ":1"), "%s", e.msg);
}

/* --- texts --- */

static void test_texts(struct test *t, struct bench *b)
{
	static const char long_text[] =
		"The plan is a promise, and no step takes more memory than it says; a shorter text would tell less.";
	struct err e = ERR_INIT;
	char rows[512];
	int n = count_tokens(b, "The plan is a promise.");
	double sum = score_alone(t, b, "The plan is a promise.", 1);

	test_case(t, "text: the whole within one window");
	CHECK_MSG(t, bench_run(t, b, "{\"text\": \"The plan is a promise.\"}\n", &e) == 0, "%s", e.msg);
	CHECK_MSG(t, fabs(b->result.perplexity.mean / exp(-sum / (n - 1)) - 1) < 1e-5, "%g, %g was wanted",
	          b->result.perplexity.mean, exp(-sum / (n - 1)));
	CHECK(t, b->result.scored_tokens == n - 1 && b->result.perplexity.n == 1);

	test_case(t, "text: windows score every token but the first of each text");
	b->options.max_length = 16;
	b->options.stride = 5;
	snprintf(rows, sizeof(rows), "{\"text\": \"%s\"}\n{\"text\": \"A\"}\n{\"text\": \"The plan.\"}\n", long_text);
	CHECK_MSG(t, bench_run(t, b, rows, &e) == 0, "%s", e.msg);
	CHECK(t, b->result.scored_tokens == count_tokens(b, long_text) - 1 + count_tokens(b, "The plan.") - 1);
	CHECK(t, json_array_size(b->lines) == 3 && line_number(b, 0, "tokens") == count_tokens(b, long_text) - 1 &&
	                 line_number(b, 1, "windows") == 0);
	b->options.max_length = 128;
	b->options.stride = 64;

	test_case(t, "text: too short to predict anything");
	CHECK(t, bench_run(t, b, "{\"text\": \"A\"}\n", &e) < 0);
}

/* --- answers --- */

/* The greedy answer to a prompt's text, at most `most` tokens. */
static enum finish ask(struct test *t, struct bench *b, const char *prompt, size_t most, struct generation *g)
{
	struct err e = ERR_INIT;
	struct sampler greedy = { 0 };
	struct generate_options o = { .max_new_tokens = most, .sampler = &greedy };
	struct tokens ids = { 0 };
	struct session *s;

	sampler_init(&greedy, (size_t)b->model.config.V);
	generate_ends(&b->model, &o.end);
	CHECK(t, tokenizer_encode(b->model.tokenizer, prompt, strlen(prompt), 0, &ids, &e) == 0);
	CHECK(t,
	      session_new(&s, &b->model, NULL, &b->device, &(struct session_size){ .n_ctx = 128 }, &e) == 0);
	CHECK(t, generate(s, b->model.tokenizer, ids.id, ids.n, &o, g, &e) == 0);
	session_free(s);
	sampler_release(&greedy);
	tokens_release(&o.end);
	tokens_release(&ids);
	return g->finish;
}

static char *make_row(const char *prompt, const char *completion)
{
	json_t *j = json_pack("{s:s, s:s}", "prompt", prompt, "completion", completion);
	char *line = jsonx_line(j);
	json_decref(j);
	return line;
}

/* How many of the answer's first tokens are text by themselves and come before a token that is not among them; 0: none
 * such. */
static size_t text_before_another(struct bench *b, const struct generation *g, struct buf *text)
{
	for (size_t n = 2; n + 1 < g->ids.n; n++) {
		bool again = false;
		for (size_t i = 0; i < n; i++)
			again |= g->ids.id[i] == g->ids.id[n];
		text->len = 0;
		tokenizer_decode(b->model.tokenizer, g->ids.id, n, true, text);
		if (!again && utf8_valid(buf_str(text), text->len, NULL) && strspn(buf_str(text), " \n") < text->len &&
		    !memchr(text->data, 0, text->len))
			return n;
	}
	return 0;
}

/* The tiny model never ends by itself, so a token that it comes to is declared to be an end. */
static size_t make_an_end(struct test *t, struct bench *b, char prompt[40], struct buf *answer)
{
	size_t n = 0;
	for (int i = 0; i < 300 && !n; i++) {
		struct generation g;
		snprintf(prompt, 40, "The %c%c%d", 'a' + i % 26, 'a' + i / 26 % 26, i);
		ask(t, b, prompt, 24, &g);
		n = text_before_another(b, &g, answer);
		if (n)
			json_object_set_new(b->model.source.generation_config, "eos_token_id",
			                    json_pack("[i, i]", 2, g.ids.id[n]));
		generation_release(&g);
	}
	return n;
}

static void test_words(struct test *t)
{
	test_case(t, "the F1 of words, as SQuAD's");
	CHECK(t, fabs(word_f1("The cat sat.", "a cat sat down") - 0.8) < 1e-15);
	CHECK(t, word_f1("", "") == 1 && word_f1("dog", "cat") == 0 && word_f1("", "cat") == 0);
	CHECK(t, fabs(word_f1("to be to be", "to be") - 2.0 * 2 / 6) < 1e-15);
	CHECK(t, word_f1("\xC3\x89t\xC3\xA9\xE3\x80\x80NOIR\xFF!", "\xC3\xA9T\xC3\x89 noir\xFF") == 1);
}

static void test_answers(struct test *t, struct bench *b)
{
	struct err e = ERR_INIT;
	struct buf said = BUF_INIT;
	char prompt[40];

	test_case(t, "answers: what the model says by itself is an exact match, anything else is none");
	CHECK(t, make_an_end(t, b, prompt, &said) > 0);
	char *spaced = mem_printf("\xC2\xA0%s\xE3\x80\x80\n", buf_str(&said));
	char *more = mem_printf("%s and more", buf_str(&said));
	char *right = make_row(prompt, buf_str(&said)), *wrong = make_row(prompt, more),
	     *padded = make_row(prompt, spaced);
	char *rows = mem_printf("%s\n%s\n%s\n", right, wrong, padded);
	CHECK_MSG(t, bench_run(t, b, rows, &e) == 0, "%s", e.msg);
	CHECK(t, line_number(b, 0, "exact_match") == 1 && line_number(b, 1, "exact_match") == 0 &&
	                 line_number(b, 2, "exact_match") == 1);
	CHECK(t, line_number(b, 0, "f1") == 1 && line_number(b, 1, "f1") < 1 && line_number(b, 2, "f1") == 1);
	CHECK(t, fabs(b->result.f1.mean - (2 + line_number(b, 1, "f1")) / 3) < 1e-12 && b->result.f1.n == 3);
	CHECK(t, fabs(b->result.exact_match.mean - 2.0 / 3) < 1e-12 && b->result.acc.n == 0 &&
	                 b->result.perplexity.n == 3);
	const char *answer = json_string_value(json_object_get(json_array_get(b->lines, 1), "answer"));
	CHECK_MSG(t, answer && !strcmp(answer, buf_str(&said)), "\"%s\", \"%s\" was wanted", answer, buf_str(&said));
	mem_free(spaced);
	mem_free(more);
	mem_free(right);
	mem_free(wrong);
	mem_free(padded);
	mem_free(rows);
	buf_release(&said);
}

static void test_refused(struct test *t, struct bench *b)
{
	struct err e = ERR_INIT;

	test_case(t, "rows that cannot be judged");
	CHECK(t, bench_run(t, b, "{\"prompt\": \"a\", \"completion\": \"b\", \"label\": true}\n", &e) < 0);
	CHECK_MSG(t, strstr(e.msg, "can be evaluated"), "%s", e.msg);
}

void test_evaluate(struct test *t)
{
	struct bench b;

	test_windows(t);
	bench_open(t, &b);
	test_too_long(t, &b);
	test_choices(t, &b);
	test_texts(t, &b);
	test_words(t);
	test_answers(t, &b);
	test_refused(t, &b);
	bench_close(&b);
}
