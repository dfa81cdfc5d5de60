/* test_fim: texts whose middle stands at the end.
 *
 *   again      parts put back in order are the text, but for what the suffix lost; every text is as long as it was
 *   cuts       between characters, each part's tokens its own; SentencePiece's between tokens
 *   which      the share that is asked for, both orders; nothing of what has a prompt; the same again
 *   marks      those that models know; none are refused */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "data/fim.h"

#define TEXT "The plan is a promise: no step takes more memory than it says. Naïve café, 1,024 rows in 2026."

enum { ROOM = 256, TURNS = 500 };

struct bench {
	struct tokenizer *tokenizer;
	struct fim fim;
	struct tokens ids;
	struct document document;
	uint8_t learn[ROOM];
	int32_t out[ROOM];
};

static struct tokenizer *plain(const char *name, struct err *e)
{
	char *path = io_join(test_golden(), name);
	json_t *j = strchr(name, '.') ? jsonx_load_file(path, e) : NULL;
	struct tokenizer *k = j ? tokenizer_from_json(json_object_get(j, "tokenizer"), NULL, path, e) :
	                          tokenizer_from_dir(path, e);

	json_decref(j);
	mem_free(path);
	return k;
}

/* TEXT, its end, and TEXT once more, as rows are packed. */
static void bench_open(struct test *t, struct bench *b, const char *name, const char *const marks[3])
{
	struct err e = ERR_INIT;
	struct tokenizer *without = plain(name, &e);

	*b = (struct bench){ .fim = { .seed = 3, .rate = 1, .spm_rate = 0.5 } };
	CHECK_MSG(t, without, "%s", e.msg);
	CHECK(t, fim_marks(&b->fim, without, &e) < 0 && strstr(e.msg, "no tokens that mark prefix"));
	b->tokenizer = tokenizer_extended(without, marks, 3, "here", &e);
	CHECK_MSG(t, b->tokenizer && fim_marks(&b->fim, b->tokenizer, &e) == 0, "%s", e.msg);
	for (int i = 0; i < 2; i++) {
		CHECK(t, tokenizer_encode(b->tokenizer, TEXT, strlen(TEXT), 0, &b->ids, &e) == 0);
		tokens_add(&b->ids, 0);  /* special in both */
	}
	CHECK(t, b->ids.n < ROOM && tokenizer_is_special(b->tokenizer, 0));
	memset(b->learn, 1, ROOM);
	b->learn[0] = 0;
	b->document = (struct document){ .ids = b->ids.id, .learn = b->learn, .n = (int32_t)b->ids.n };
	tokenizer_free(without);
}

static void bench_close(struct bench *b)
{
	tokenizer_free(b->tokenizer);
	tokens_release(&b->ids);
}

static int32_t find(const int32_t *ids, int32_t n, int32_t id)
{
	for (int32_t i = 0; i < n; i++)
		if (ids[i] == id)
			return i;
	return -1;
}

static void decode(const struct bench *b, const int32_t *ids, int32_t n, struct buf *out)
{
	for (int32_t i = 0; i < n; i++)
		tokenizer_piece(b->tokenizer, ids[i], out);
}

/* n tokens of a text that was cut, of which `whole` is the text; *spm: how. −1: it was not; 0: it is not that text. */
static int check_text(const struct bench *b, const int32_t *ids, int32_t n, const struct buf *whole, bool *spm)
{
	const struct fim *f = &b->fim;
	int32_t suffix = find(ids, n, f->suffix), middle = find(ids, n, f->middle);
	struct buf head = BUF_INIT, tail = BUF_INIT;

	if (find(ids, n, f->prefix) != 0)
		return suffix < 0 && middle < 0 ? -1 : 0;
	if (suffix < 1 || middle <= suffix)
		return 0;
	*spm = suffix == 1 && middle + 1 < n;
	decode(b, ids + 1, suffix - 1, &head);
	decode(b, ids + middle + 1, n - middle - 1, &head);
	decode(b, ids + suffix + 1, middle - suffix - 1, &tail);
	bool same = head.len + tail.len <= whole->len && !memcmp(head.data, whole->data, head.len) &&
	            (!tail.len || !memcmp(tail.data, whole->data + head.len, tail.len));
	buf_release(&head);
	buf_release(&tail);
	return same;
}

static void test_again(struct test *t, const char *name, const char *const marks[3])
{
	struct bench b;
	struct buf whole = BUF_INIT;
	int cut = 0, bad = 0, spm = 0, moved = 0;

	test_case(t, "%s, %s: the parts are the text", name, marks[0]);
	bench_open(t, &b, name, marks);
	int32_t half = b.document.n / 2;
	decode(&b, b.ids.id, half - 1, &whole);
	for (uint64_t step = 0; step < TURNS; step++) {
		fim_apply(&b.fim, step, 1, &b.document, b.out);
		for (int32_t at = 0; at < b.document.n; at += half) {
			bool is_spm = false;
			int status = check_text(&b, b.out + at, half - 1, &whole, &is_spm);
			cut += status == 1;
			bad += status == 0 || b.out[at + half - 1] != 0;
			spm += is_spm;
		}
		moved += memcmp(b.out, b.out + half, (size_t)half * sizeof(*b.out)) != 0;
	}
	CHECK_MSG(t, !bad, "%d of %d", bad, 2 * TURNS);
	CHECK_MSG(t, cut > 1.8 * TURNS && cut < 2 * TURNS, "%d of %d were cut; some have too little suffix", cut,
	          2 * TURNS);
	CHECK_MSG(t, fabs(spm / (double)cut - 0.5) < 0.06, "%d of %d with the suffix first", spm, cut);
	CHECK(t, moved > 0.9 * TURNS);
	buf_release(&whole);
	bench_close(&b);
}

/* Of a byte-level tokenizer: prefixes that end inside what is a token of the text, and are tokens of their own. */
static void test_cuts(struct test *t, const char *const marks[3])
{
	struct err e = ERR_INIT;
	struct bench b;
	int inside = 0, bad = 0;

	test_case(t, "cuts are between characters, and parts have the tokens of their own text");
	bench_open(t, &b, "gpt2", marks);
	b.fim.spm_rate = 0;
	for (uint64_t step = 0; step < 100; step++) {
		struct buf text = BUF_INIT;
		struct tokens own = { 0 };
		fim_apply(&b.fim, step, 1, &b.document, b.out);
		int32_t n = find(b.out, b.document.n, b.fim.suffix) - 1;
		decode(&b, b.out + 1, n, &text);
		if (n > 0 && b.out[0] == b.fim.prefix) {
			tokenizer_encode(b.tokenizer, text.data, text.len, 0, &own, &e);
			bad += own.n != (size_t)n || memcmp(own.id, b.out + 1, own.n * sizeof(*own.id)) != 0;
			inside += memcmp(own.id, b.ids.id, own.n * sizeof(*own.id)) != 0;
		}
		tokens_release(&own);
		buf_release(&text);
	}
	CHECK(t, !bad && !e.msg[0]);
	CHECK_MSG(t, inside > 10, "%d of 100 cuts lie inside a token", inside);
	bench_close(&b);
}

static void test_which(struct test *t, const char *const marks[3])
{
	struct bench b;
	int32_t again[ROOM];
	int cut = 0;

	test_case(t, "so many as are asked for, none with a prompt, the same again");
	bench_open(t, &b, "gpt2", marks);
	size_t bytes = (size_t)b.document.n * sizeof(*again);
	b.fim.rate = 0.3;
	for (uint64_t step = 0; step < TURNS; step++) {
		fim_apply(&b.fim, step, 1, &b.document, b.out);
		fim_apply(&b.fim, step, 1, &b.document, again);
		CHECK(t, !memcmp(again, b.out, bytes));
		cut += b.out[0] == b.fim.prefix;
	}
	CHECK_MSG(t, fabs(cut / (double)TURNS - 0.3) < 0.06, "%d of %d", cut, TURNS);
	b.fim.rate = 1;
	b.learn[1] = 0;                                          /* two words that are asked */
	fim_apply(&b.fim, 7, 1, &b.document, again);
	CHECK(t, !memcmp(again, b.ids.id, bytes));
	b.learn[1] = 1;
	b.document.n = 3;                                        /* nothing to cut */
	fim_apply(&b.fim, 7, 1, &b.document, again);
	CHECK(t, !memcmp(again, b.ids.id, 3 * sizeof(*again)));
	bench_close(&b);
}

void test_fim(struct test *t)
{
	static const char *const starcoder[] = { "<fim_prefix>", "<fim_suffix>", "<fim_middle>" },
	                  *const qwen[] = { "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>" };

	test_again(t, "gpt2", starcoder);
	test_again(t, "values/tokenizer_spm.json", qwen);
	test_cuts(t, starcoder);
	test_which(t, starcoder);
}
