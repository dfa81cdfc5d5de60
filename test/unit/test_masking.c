/* test_masking: what is hidden of a text: how many tokens, whole words, spans; and what the head costs.
 *
 *   words       where they are by ids is where white space is in the text, and of WordPiece where "##" is not
 *   whole       a word is hidden or it is not; never more tokens than planned, at least one; every word is as likely
 *   spans       their lengths are those of the distribution; all of one becomes the mask, or nothing of it does
 *   head        it is paid for each hidden token, so a plan's operations are linear in their number */
#include "fixture_training.h"

#include <math.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/masking.h"

#define TEXT "The plan is a promise: no step takes more memory than it says.\nNaïve café, 1,024 rows in 2026 and games"

enum { ROOM = 256, TURNS = 2000 };

struct bench {
	struct tokenizer *tokenizer;
	struct masking masking;
	struct tokens ids, at;
	struct document document, out;
	int32_t hidden[ROOM], predicted[ROOM], work[ROOM];
	uint8_t learn[ROOM], *words;
};

/* That of a file of golden values. */
static struct tokenizer *of_values(const char *path, struct err *e)
{
	json_t *j = jsonx_load_file(path, e);
	struct tokenizer *k = tokenizer_from_json(json_object_get(j, "tokenizer"), NULL, path, e);

	json_decref(j);
	return k;
}

/* TEXT between the tokens that stand around one, of which wanted are to be hidden. */
static void bench_open(struct test *t, struct bench *b, const char *name, int32_t wanted)
{
	struct err e = ERR_INIT;
	char *dir = io_join(test_golden(), name);

	*b = (struct bench){ .tokenizer = strchr(name, '.') ? of_values(dir, &e) : tokenizer_from_dir(dir, &e) };
	CHECK_MSG(t, b->tokenizer, "%s", e.msg);
	mem_free(dir);
	struct around around = tokenizer_around(b->tokenizer);
	for (size_t i = 0; i < around.n_front; i++) {
		tokens_add(&b->ids, around.front[i]);
		tokens_add(&b->at, -1);
	}
	CHECK(t, tokenizer_encode_offsets(b->tokenizer, TEXT, strlen(TEXT), 0, &b->ids, &b->at, &e) == 0);
	for (size_t i = 0; i < around.n_back; i++) {
		tokens_add(&b->ids, around.back[i]);
		tokens_add(&b->at, -1);
	}
	CHECK(t, b->ids.n < ROOM);
	b->words = masking_words(b->tokenizer);
	b->document = (struct document){ .ids = b->ids.id, .n = (int32_t)b->ids.n, .n_learn = wanted };
	b->masking = (struct masking){ .tokenizer = b->tokenizer, .seed = 5, .mask_replace = 0.8, .random_replace = 0.1,
		                       .mask = tokenizer_mask(b->tokenizer), .words = b->words, .span_max = 10,
		                       .vocabulary = (int32_t)tokenizer_size(b->tokenizer) };
}

static void bench_close(struct bench *b)
{
	tokenizer_free(b->tokenizer);
	tokens_release(&b->ids);
	tokens_release(&b->at);
	mem_free(b->words);
}

static void apply(struct bench *b, uint64_t step)
{
	masking_apply(&b->masking, step, 3, &b->document, &b->out, b->hidden, b->learn, b->predicted, b->work);
}

/* Does token i begin a word? By the table of ids. */
static bool begins(const struct bench *b, size_t i)
{
	int word = b->words[b->ids.id[i]], before = i ? b->words[b->ids.id[i - 1]] : WORD_SPECIAL;

	return !(word & WORD_SPECIAL) && (word & WORD_BEGINS || before & (WORD_ENDS | WORD_SPECIAL));
}

static bool is_space(char c) { return c == ' ' || c == '\n'; }

/* The same by the text: it begins with white space, or behind some that is more than a token of one space. */
static bool begins_in_text(const struct bench *b, size_t i)
{
	int32_t at = b->at.id[i], before = i ? b->at.id[i - 1] : -1;
	const char *last = i ? tokenizer_text(b->tokenizer, b->ids.id[i - 1]) : "";

	if (at < 0 || !i || before < 0 || tokenizer_is_special(b->tokenizer, b->ids.id[i]))
		return at >= 0 && !tokenizer_is_special(b->tokenizer, b->ids.id[i]);
	return tokenizer_is_special(b->tokenizer, b->ids.id[i - 1]) ||
	       (at > before && (is_space(TEXT[at]) ||
	                        (is_space(TEXT[at - 1]) && strcmp(last, "▁") != 0 && strcmp(last, "Ġ") != 0)));
}

static void test_words(struct test *t, const char *name)
{
	struct bench b;
	size_t n = 0;

	test_case(t, "words of %s are where white space is", name);
	bench_open(t, &b, name, 1);
	for (size_t i = 0; i < b.ids.n; i++) {
		const char *text = tokenizer_text(b.tokenizer, b.ids.id[i]);
		bool want = strstr(name, "wordpiece") ? b.at.id[i] >= 0 && strncmp(text, "##", 2) != 0 :
		                                        begins_in_text(&b, i);
		CHECK_MSG(t, begins(&b, i) == want, "token %zu \"%s\" of %s", i, text, name);
		n += want;
	}
	CHECK(t, n >= 19 && n < b.ids.n);
	bench_close(&b);
}

/* Words that are hidden in part; *words: those that are, to be added to by where they begin. */
static int parted(const struct bench *b, int *words)
{
	int bad = 0;

	for (size_t i = 0; i < b->ids.n; i++) {
		bool special = b->words[b->ids.id[i]] & WORD_SPECIAL;
		bad += special && b->learn[i];
		bad += !special && !begins(b, i) && b->learn[i] != b->learn[i - 1];
		bad += !b->learn[i] && b->hidden[i] != b->ids.id[i];
		words[i] += b->learn[i] && begins(b, i);
	}
	return bad;
}

static void test_whole(struct test *t)
{
	struct bench b;
	int words[ROOM] = { 0 }, bad = 0, less = 0, masks = 0, total = 0;
	double least = INFINITY, most = 0;

	test_case(t, "whole words, as many tokens as there is room for");
	bench_open(t, &b, "bert", 9);
	for (uint64_t step = 0; step < TURNS; step++) {
		int32_t n = 0;
		apply(&b, step);
		bad += parted(&b, words);
		for (int32_t i = 0; i < b.out.n; i++) {
			n += b.learn[i];
			masks += b.hidden[i] == b.masking.mask;
		}
		bad += n != b.out.n_learn || n > 9 || n < 1;
		less += n < 9;
		total += n;
	}
	CHECK(t, !bad);
	CHECK_MSG(t, less < TURNS / 4, "%d of %d times not all that are wanted", less, TURNS);
	CHECK_MSG(t, fabs(masks / (double)total - 0.8) < 0.02, "%d of %d are the mask", masks, total);
	for (size_t i = 0; i < b.ids.n; i++)
		if (begins(&b, i) && (i + 1 == b.ids.n || begins(&b, i + 1) || b.at.id[i + 1] < 0)) { /* of one token */
			least = fmin(least, words[i]);
			most = fmax(most, words[i]);
		}
	CHECK_MSG(t, least > 0.7 * most, "a word of one token is hidden %g times, another %g", least, most);
	b.document.n_learn = 1;
	b.document.ids += 1;                                     /* "The" alone fits where its tokens do */
	b.document.n = 2;
	apply(&b, 0);
	CHECK(t, b.out.n_learn == 1 && b.learn[0] + b.learn[1] == 1);
	bench_close(&b);
}

/* Words that are hidden, stretches of them, and neighbours of another fate. */
struct stretches { double words, n, parts; };

static void count_stretches(const struct bench *b, struct stretches *s)
{
	for (size_t i = 1; i < b->ids.n; i++) {
		if (!b->learn[i] || !begins(b, i))
			continue;
		s->words++;
		s->n += !b->learn[i - 1];
		s->parts += b->learn[i - 1] &&
		            (b->hidden[i] == b->masking.mask) != (b->hidden[i - 1] == b->masking.mask);
	}
}

/* As many tokens as a few words have, so stretches are spans as a rule. */
static void test_spans(struct test *t)
{
	struct stretches with = { 0 }, without = { 0 };
	struct bench b;
	int seen[ROOM] = { 0 }, bad = 0;

	test_case(t, "spans of words: longer stretches than words by themselves, and one fate");
	bench_open(t, &b, "bert", 12);
	b.masking.mask_replace = 0.5;
	b.masking.random_replace = 0;
	for (uint64_t step = 0; step < 2 * TURNS; step++) {
		b.masking.span_p = step < TURNS ? 0.2 : 0;
		apply(&b, step);
		bad += parted(&b, seen) + (b.out.n_learn > 12) + (b.out.n_learn < 1);
		count_stretches(&b, step < TURNS ? &with : &without);
	}
	CHECK(t, !bad);
	CHECK_MSG(t, with.words / with.n > 1.5 * without.words / without.n, "%.3f words a span, %.3f without",
	          with.words / with.n, without.words / without.n);
	double one = with.parts / (with.words - with.n), each = without.parts / (without.words - without.n);
	CHECK_MSG(t, one < 0.1 && each > 0.4, "%.3f of neighbours of a span become something else, %.3f without", one,
	          each);
	bench_close(&b);
}

static void test_lengths(struct test *t)
{
	double mean = 0, want = 0, all = 0;

	test_case(t, "a span's length is geometric, cut at the most and spread over the rest");
	for (int l = 1; l <= 10; l++) {
		all += pow(0.8, l - 1);
		want += l * pow(0.8, l - 1);
	}
	for (int i = 0; i < 1000; i++)
		mean += masking_span_length(0.2, 10, (i + 0.5) / 1000) / 1000.0;
	CHECK_MSG(t, fabs(mean - want / all) < 0.01, "%.3f words, wanted %.3f", mean, want / all);
	CHECK(t, masking_span_length(0.2, 10, 0) == 1 && masking_span_length(0.2, 10, 1 - 0x1p-32) == 10 &&
	         masking_span_length(1, 10, 0.999) == 1 && masking_span_length(0.2, 1, 0.999) == 1);
}

/* Operations of all steps, and tokens that are predicted. */
static void planned(struct test *t, double share, double *flops, double *labels)
{
	char *data = io_join(test_golden(), "texts.jsonl");
	struct training s;
	struct job j;
	char options[200];

	snprintf(options, sizeof(options), "objective=mlm method=full max-steps=1 batch-size=6 micro-batch-tokens=200 "
	         "max-length=100 mlm-probability=%g", share);
	job_init(t, &j, "bert", data, options);
	*flops = *labels = NAN;
	if (training_begin(t, &s, &j, 1)) {
		*flops = trainer_plan(s.trainer)->planned_flops;
		*labels = (double)trainer_plan(s.trainer)->supervised_tokens;
	}
	training_end(&s);
	job_release(&j);
	mem_free(data);
}

static void test_head(struct test *t)
{
	const double V = 301, C = 32, head = 6 * (V * C + C * C); /* of test/golden/bert: forward and two gradients */
	double flops[3], labels[3];

	test_case(t, "the head is paid for each hidden token alone");
	for (int i = 0; i < 3; i++)
		planned(t, 0.1 + 0.3 * i, &flops[i], &labels[i]);
	double each = (flops[1] - flops[0]) / (labels[1] - labels[0]),
	       then = (flops[2] - flops[1]) / (labels[2] - labels[1]);
	CHECK_MSG(t, fabs(each - then) <= 1e-6 * each, "%g operations a hidden token, then %g", each, then);
	CHECK_MSG(t, each > head && each < 1.1 * head, "%g operations a hidden token, %g in the head's matrices", each,
	          head);
}

void test_masking(struct test *t)
{
	log_set(LOG_QUIET);
	test_words(t, "bert");
	test_words(t, "values/tokenizer_wordpiece.json");
	test_words(t, "values/tokenizer_unigram.json");
	test_words(t, "values/tokenizer_spm.json");
	test_whole(t);
	test_spans(t);
	test_lengths(t);
	test_head(t);
}
