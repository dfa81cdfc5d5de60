/* test_learners: what is learnt in seconds, as scikit-learn does it (values/learners): words and their weights,
 * logistic regression of several and of two classes, sparse and dense, ridge, neighbours, temperature; that threads
 * change nothing; files; rows of every shape; what cannot be learnt from. */
#include "../test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "format/safetensors.h"
#include "learn/answers.h"
#include "learn/folds.h"
#include "learn/knn.h"
#include "learn/temperature.h"

struct bench {
	struct test *t;
	struct safetensors values;
	struct rows rows, other;        /* learnt from, and answered */
	struct answers train, test;
	struct arena mem;
	struct workshop on;
};

static char *golden(const char *name) { return io_join(test_golden(), name); }

static const struct st_tensor *value(const struct bench *b, const char *name)
{
	const struct st_tensor *x = st_find(&b->values, name);

	if (!x)
		BUG("no %s", name);
	return x;
}

static double worst(const double *a, const double *b, size_t n)
{
	double most = 0;

	for (size_t i = 0; i < n; i++)
		most = fmax(most, fabs(a[i] - b[i]));
	return most;
}

static bool open_bench(struct bench *b)
{
	struct err e = ERR_INIT;
	char *values = golden("values/learners.safetensors"), *train = golden("learner_rows.jsonl"),
	     *test = golden("learner_test.jsonl");
	bool fine = st_open(&b->values, values, &e) == 0 && rows_load(&b->rows, train, &e) == 0 &&
	            rows_load(&b->other, test, &e) == 0 && answers_learn(&b->train, &b->rows, false, &e) == 0 &&
	            answers_take(&b->test, &b->other, &b->train.rows.labels, &e) == 0;

	CHECK_MSG(b->t, fine, "%s", e.msg);
	b->on.kernels = kernels_get(NULL, &e);
	b->on.pool = pool_new(2);
	mem_free(values);
	mem_free(train);
	mem_free(test);
	return fine;
}

static void close_bench(struct bench *b)
{
	pool_free(b->on.pool);
	answers_release(&b->train);
	answers_release(&b->test);
	rows_release(&b->rows);
	rows_release(&b->other);
	st_close(&b->values);
	arena_release(&b->mem);
}

/* --- as scikit-learn --- */

static void check_linear(struct bench *b, const char *what, const struct linear_model *m)
{
	char name[64];

	snprintf(name, sizeof(name), "%sweight", what);
	const struct st_tensor *w = value(b, name);
	double off = worst(m->w, w->data, m->cols * (size_t)m->outputs);
	CHECK_MSG(b->t, w->bytes == m->cols * (size_t)m->outputs * sizeof(double), "%s: %zu bytes", name, w->bytes);
	CHECK_MSG(b->t, off < 1e-4, "%s is off by %g", name, off);
	snprintf(name, sizeof(name), "%sbias", what);
	off = worst(m->b, value(b, name)->data, (size_t)m->outputs);
	CHECK_MSG(b->t, off < 1e-4 * (1 + fabs(m->b[0])), "%s is off by %g", name, off);
}

static void check_words(struct bench *b)
{
	const struct examples *x = &b->train.rows;
	const struct fit_options o = { .C = 10, .tolerance = 1e-8, .most = 5000 };
	struct linear_model m;
	struct tfidf words;
	struct design rows, other;
	struct err e = ERR_INIT;

	test_case(b->t, "words and their weights");
	tfidf_fit(&words, &b->mem, x->text, NULL, x->n);
	CHECK_MSG(b->t, words.n * sizeof(double) == value(b, "idf")->bytes, "%zu words", words.n);
	CHECK(b->t, worst(words.idf, value(b, "idf")->data, words.n) < 1e-12);
	test_case(b->t, "logistic regression on words");
	tfidf_rows(&words, &b->mem, x->text, NULL, x->n, true, &rows);
	tfidf_rows(&words, &b->mem, b->test.rows.text, NULL, b->test.rows.n, false, &other);
	linear_begin(&m, rows.cols, x->labels.n);
	CHECK(b->t, logistic_fit(&m, &rows, x->y, &o, &b->on, &e) == 0);
	check_linear(b, "", &m);
	size_t n = other.rows * (size_t)x->labels.n;
	double *z = arena_array(&b->mem, n, sizeof(*z));
	linear_outputs(&m, &other, &b->on, z);
	CHECK(b->t, worst(z, value(b, "outputs")->data, n) < 1e-4);
	linear_release(&m);
	test_case(b->t, "temperature");
	double t = temperature_fit(z, b->test.rows.y, other.rows, (size_t)x->labels.n, 0);
	CHECK_MSG(b->t, fabs(t - *(const double *)value(b, "temperature")->data) < 1e-4, "%.8f", t);
}

static void check_two_classes(struct bench *b)
{
	const struct examples *x = &b->train.rows;
	const struct fit_options o = { .C = 10, .tolerance = 1e-8, .most = 5000 };
	int32_t *pick = arena_array(&b->mem, x->n, sizeof(*pick)), *y = arena_array(&b->mem, x->n, sizeof(*y));
	struct linear_model m;
	struct tfidf words;
	struct design rows;
	struct err e = ERR_INIT;
	size_t n = 0;

	test_case(b->t, "logistic regression of two classes");
	for (size_t i = 0; i < x->n; i++)
		if (x->y[i] < 2) {
			y[n] = x->y[i];
			pick[n++] = (int32_t)i;
		}
	tfidf_fit(&words, &b->mem, x->text, NULL, x->n);
	tfidf_rows(&words, &b->mem, x->text, pick, n, true, &rows);
	linear_begin(&m, rows.cols, 2);
	CHECK(b->t, logistic_fit(&m, &rows, y, &o, &b->on, &e) == 0);
	check_linear(b, "binary.", &m);
	linear_release(&m);
}

static void check_dense(struct bench *b)
{
	const struct st_tensor *x = value(b, "x"), *x_test = value(b, "x_test");
	struct design d = { .rows = x->dim[0], .cols = x->dim[1], .dense = x->data };
	struct fit_options o = { .C = 0.5, .tolerance = 1e-8, .most = 5000 };
	struct linear_model m;
	struct err e = ERR_INIT;

	for (int rough = 0; rough < 2; rough++) {
		test_case(b->t, "logistic regression on numbers, %s", rough ? "begun in float" : "in double");
		linear_begin(&m, d.cols, b->train.rows.labels.n);
		struct fit_options begun = { .C = 0.5, .tolerance = 1e-4, .most = 200, .rough = true };
		CHECK(b->t, !rough || logistic_fit(&m, &d, b->train.rows.y, &begun, &b->on, &e) == 0);
		CHECK(b->t, logistic_fit(&m, &d, b->train.rows.y, &o, &b->on, &e) == 0);
		check_linear(b, "dense.", &m);
		linear_release(&m);
	}
	test_case(b->t, "ridge");
	double *lengths = arena_array(&b->mem, d.rows, sizeof(*lengths));
	for (size_t i = 0; i < d.rows; i++)
		lengths[i] = (double)utf8_count(b->train.rows.text[i].s, b->train.rows.text[i].n);
	linear_begin(&m, d.cols, 0);
	o.C = 0.5; /* alpha 2 */
	CHECK(b->t, ridge_fit(&m, &d, lengths, &o, &b->on, &e) == 0);
	check_linear(b, "ridge.", &m);
	linear_release(&m);
	test_case(b->t, "neighbours");
	float *kept = arena_array(&b->mem, x->bytes, 1), *asked = arena_array(&b->mem, x_test->bytes, 1);
	memcpy(kept, x->data, x->bytes);
	memcpy(asked, x_test->data, x_test->bytes);
	knn_unit(kept, x->dim[0], d.cols);
	knn_unit(asked, x_test->dim[0], d.cols);
	int32_t *nearest = arena_array(&b->mem, x_test->dim[0] * 5, sizeof(*nearest));
	knn_find(kept, x->dim[0], asked, x_test->dim[0], d.cols, 5, NULL, &b->on, nearest);
	CHECK(b->t, !memcmp(nearest, value(b, "nearest")->data, value(b, "nearest")->bytes));
}

/* --- learners --- */

/* Dense features as those of three layers, of which the middle one is the good one. */
static struct examples with_features(struct bench *b, const struct answers *a, const char *name)
{
	static const int layers[] = { 0, 4, 8 };
	const struct st_tensor *x = value(b, name);
	struct examples out = a->rows;
	float *f = arena_array(&b->mem, x->dim[0] * 3 * x->dim[1], sizeof(*f));

	for (size_t i = 0; i < x->dim[0] * 3 * x->dim[1]; i++) {
		size_t layer = i / x->dim[1] % 3, row = i / x->dim[1] / 3, c = i % x->dim[1];
		f[i] = layer == 1 ? ((const float *)x->data)[row * x->dim[1] + c] : sinf((float)(i * (layer + 1)));
	}
	out.feature = f;
	out.n_layers = 3;
	out.width = x->dim[1];
	out.layer = layers;
	return out;
}

static double accuracy(const float *z, const struct examples *x)
{
	size_t hits = 0, k = (size_t)x->labels.n;

	for (size_t i = 0; i < x->n; i++) {
		size_t best = 0;
		for (size_t j = 1; j < k; j++)
			best = z[i * k + j] > z[i * k + best] ? j : best;
		hits += (int32_t)best == x->y[i];
	}
	return (double)hits / (double)x->n;
}

/* Saved and loaded it says the same, to the bit. */
static void check_file(struct bench *b, const struct learner *l, const struct examples *x, const float *z)
{
	struct learner again;
	struct err e = ERR_INIT;
	size_t n = x->n * (size_t)x->labels.n;
	float *said = arena_array(&b->mem, n, sizeof(*said));

	CHECK_MSG(b->t, learner_save(l, test_tmp(), NULL, &e) == 0, "%s", e.msg);
	CHECK(b->t, learner_is_in(test_tmp()));
	CHECK_MSG(b->t, learner_load(&again, test_tmp(), NULL, &e) == 0, "%s", e.msg);
	CHECK_MSG(b->t, learner_outputs(&again, x, &b->on, said, &e) == 0, "%s", e.msg);
	CHECK(b->t, !memcmp(said, z, n * sizeof(*z)));
	CHECK(b->t, again.kind == l->kind && again.k == l->k && again.layer == l->layer);
	learner_release(&again);
}

static void check_learner(struct bench *b, enum learner_kind kind, double least)
{
	const struct learner_options o = { .layer = -1, .folds = 5, .seed = 7 };
	struct examples train = with_features(b, &b->train, "x"), test = with_features(b, &b->test, "x_test");
	struct workshop alone = { b->on.kernels, pool_new(1) };
	struct learner l, same;
	struct err e = ERR_INIT;
	size_t n = test.n * (size_t)test.labels.n;
	float *z = arena_array(&b->mem, n, sizeof(*z)), *z_alone = arena_array(&b->mem, n, sizeof(*z));

	test_case(b->t, "%s", learner_names[kind]);
	CHECK_MSG(b->t, learner_fit(&l, kind, &train, &o, &b->on, &e) == 0, "%s", e.msg);
	CHECK_MSG(b->t, learner_outputs(&l, &test, &b->on, z, &e) == 0, "%s", e.msg);
	CHECK_MSG(b->t, accuracy(z, &test) >= least, "accuracy %.3f", accuracy(z, &test));
	CHECK_MSG(b->t, fabs(l.held_score - accuracy(z, &test)) < 0.25, "%.3f in cross-validation, %.3f of others",
	          l.held_score, accuracy(z, &test));
	CHECK(b->t, !learner_reads_features(kind) || l.layer == 4);
	CHECK(b->t, learner_fit(&same, kind, &train, &o, &alone, &e) == 0);
	CHECK(b->t, learner_outputs(&same, &test, &alone, z_alone, &e) == 0);
	CHECK(b->t, !memcmp(z, z_alone, n * sizeof(*z)));
	check_file(b, &l, &test, z);
	learner_release(&l);
	learner_release(&same);
	pool_free(alone.pool);
}

static void check_numbers(struct bench *b, enum learner_kind kind, double least)
{
	const struct learner_options o = { .layer = -1, .folds = 5 };
	struct examples train = with_features(b, &b->train, "x");
	struct learner l;
	struct err e = ERR_INIT;
	struct arena mem = ARENA_INIT;
	double *number = arena_array(&mem, train.n, sizeof(*number));
	float *z = arena_array(&mem, train.n, sizeof(*z));

	test_case(b->t, "%s of numbers", learner_names[kind]);
	for (size_t i = 0; i < train.n; i++)
		number[i] = 3 + (double)train.feature[(i * 3 + 1) * train.width];
	labels_make(&train.labels, &mem, 1, NULL, PROBLEM_REGRESSION);
	train.y = NULL;
	train.number = number;
	CHECK_MSG(b->t, learner_fit(&l, kind, &train, &o, &b->on, &e) == 0, "%s", e.msg);
	CHECK_MSG(b->t, l.held_score >= least, "%.3f", l.held_score);
	CHECK(b->t, learner_outputs(&l, &train, &b->on, z, &e) == 0);
	check_file(b, &l, &train, z);
	learner_release(&l);
	arena_release(&mem);
}

/* --- rows --- */

static void check_rows(struct bench *b)
{
	static const struct { const char *row, *text, *label; } cases[] = {
		{ "{\"query\": \"2 + 2 =\", \"choices\": [\"3\", \"4\"], \"gold\": 1}", "2 + 2 =", "4" },
		{ "{\"prompt\": \"2 + 2 =\", \"completion\": \" 4 \"}", "2 + 2 =", "4" },
		{ "{\"messages\": [{\"role\": \"system\", \"content\": \"Add.\"}, {\"role\": \"user\", \"content\": "
		  "\"2, 2\"}, {\"role\": \"assistant\", \"content\": \"4\\n\"}]}", "Add.\n2, 2", "4" },
		{ "{\"conversations\": [{\"from\": \"human\", \"value\": \"2 + 2?\"}, {\"from\": \"gpt\", "
		  "\"value\": \"4\"}]}", "2 + 2?", "4" },
		{ "{\"text\": \"good\", \"label\": 4}", "good", "4" },
		{ "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": \"4\"}", "a\nb", "4" },
		{ "{\"text\": \"a\", \"text_pair\": \"b\", \"label\": \"4\"}", "a\nb", "4" },
		{ "{\"question\": \"a\", \"sentence\": \"b\", \"label\": \"4\"}", "a\nb", "4" },
		/* as Alpaca's rows are published: `text` has the answer */
		{ "{\"instruction\": \"2 + 2?\", \"input\": \"\", \"output\": \"4\", \"text\": \"2 + 2? 4\"}", "2 + 2?",
		  "4" },
		{ "{\"prompt\": \"2 + 2 =\", \"completion\": \" 4\", \"text\": \"2 + 2 = 4\"}", "2 + 2 =", "4" },
	};
	char *path = io_join(test_tmp(), "rows.jsonl");

	test_case(b->t, "rows of every shape");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rows rows = { 0 };
		struct answers a = { 0 };
		struct err e = ERR_INIT;
		CHECK(b->t, io_write(path, cases[i].row, strlen(cases[i].row), &e) == 0);
		bool fine = rows_load(&rows, path, &e) == 0 && answers_learn(&a, &rows, false, &e) == 0;
		CHECK_MSG(b->t, fine, "%s", e.msg);
		CHECK_MSG(b->t, fine && !strcmp(a.rows.text[0].s, cases[i].text), "%s", cases[i].row);
		CHECK_MSG(b->t, fine && !strcmp(a.rows.labels.name[a.rows.y[0]], cases[i].label), "%s", cases[i].row);
		answers_release(&a);
		rows_release(&rows);
	}
	static const char few[] = "{\"query\": \"ab cd\", \"choices\": [\"z\", \"x\", \"y\"], \"gold\": 1}\n"
	                          "{\"query\": \"ef gh\", \"choices\": [\"z\", \"x\", \"y\"], \"gold\": 0}\n";
	struct rows rows = { 0 };
	struct answers a = { 0 };
	struct learner l;
	const struct learner_options o = { .layer = -1, .folds = 5 };
	struct err e = ERR_INIT;
	test_case(b->t, "choices that all rows have are the labels");
	CHECK(b->t, io_write(path, few, strlen(few), &e) == 0 && rows_load(&rows, path, &e) == 0);
	CHECK_MSG(b->t, answers_learn(&a, &rows, false, &e) == 0 && a.rows.labels.n == 3, "%s", e.msg);
	CHECK(b->t, !strcmp(a.rows.labels.name[0], "x") && a.rows.y[0] == 0 && a.rows.y[1] == 2);
	CHECK_MSG(b->t, learner_fit(&l, LEARNER_TFIDF, &a.rows, &o, &b->on, &e) == 0, "%s", e.msg);
	learner_release(&l);
	answers_release(&a);
	rows_release(&rows);
	mem_free(path);
}

static void check_refused(struct bench *b)
{
	static const struct { const char *rows, *sentence; } cases[] = {
		{ "{\"text\": \"a b\", \"label\": \"x\"}\n{\"text\": \"b\", \"label\": \"x\"}\n",
		  "nothing to tell apart" },
		{ "{\"text\": \"ab\", \"label\": \"x\"}\n", "fewer than two" },
		{ "{\"text\": \"a\", \"label\": \"x\"}\n{\"text\": \"b\", \"label\": \"y\"}\n", "no word of two" },
		{ "{\"text\": \"a\", \"label\": \"x\"}\n{\"text\": \"b\", \"label\": \"y\"}\n{\"text\": \"b\", "
		  "\"label\": \"z\"}\n", "no labels that rows have in common" },
		{ "{\"prompt\": \"a\"}\n", "no answer" },
	};
	const struct learner_options o = { .layer = -1, .folds = 5 };
	char *path = io_join(test_tmp(), "rows.jsonl");

	test_case(b->t, "rows that nothing can be learnt from");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rows rows = { 0 };
		struct answers a = { 0 };
		struct learner l = { 0 };
		struct err e = ERR_INIT;
		CHECK(b->t, io_write(path, cases[i].rows, strlen(cases[i].rows), &e) == 0);
		CHECK(b->t, rows_load(&rows, path, &e) < 0 || answers_learn(&a, &rows, false, &e) < 0 ||
		                    learner_fit(&l, LEARNER_TFIDF, &a.rows, &o, &b->on, &e) < 0);
		CHECK_MSG(b->t, strstr(e.msg, cases[i].sentence), "%s", e.msg);
		learner_release(&l);
		answers_release(&a);
		rows_release(&rows);
	}
	mem_free(path);
}

static void check_folds(struct bench *b)
{
	const struct examples *x = &b->train.rows;
	int32_t *fold = arena_array(&b->mem, x->n, sizeof(*fold)), count[5][6] = { { 0 } };

	test_case(b->t, "parts have as many of each class");
	folds_make(fold, x->y, NULL, x->n, 5, 3);
	for (size_t i = 0; i < x->n; i++)
		count[fold[i]][x->y[i]]++;
	for (int p = 0; p < 5; p++)
		for (int c = 0; c < x->labels.n; c++)
			CHECK_MSG(b->t, count[p][c] == 6, "%d rows of class %d in part %d", count[p][c], c, p);
}

void test_learners(struct test *t)
{
	struct bench b = { .t = t };

	test_case(t, "rows");
	if (open_bench(&b)) {
		check_words(&b);
		check_two_classes(&b);
		check_dense(&b);
		check_folds(&b);
		check_learner(&b, LEARNER_MAJORITY, 0.15);
		check_learner(&b, LEARNER_TFIDF, 0.7);
		check_learner(&b, LEARNER_KNN, 0.3);
		check_learner(&b, LEARNER_PROBE, 0.4);
		check_numbers(&b, LEARNER_MAJORITY, -0.1);
		check_numbers(&b, LEARNER_TFIDF, 0);
		check_numbers(&b, LEARNER_KNN, 0);
		check_numbers(&b, LEARNER_PROBE, 0.9);
		check_rows(&b);
		check_refused(&b);
	}
	close_bench(&b);
}
