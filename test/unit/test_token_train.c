/* token_train: against what tokenizers and SentencePiece trained from the same texts (tools/golden/
 * tokenizer_training.py), with any number of threads and through files, with counts beyond 32 bits; and that what is
 * trained is read back as the same. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "../test.h"
#include "token/charsmap.h"
#include "token/pair_merges.h"
#include "token/pretokenize.h"
#include "token/train.h"

void test_token_train(struct test *t);

/* Texts of a JSON array. */
struct list { const json_t *texts; size_t at; };

static int next_text(void *ctx, const char **text, size_t *n, struct err *e)
{
	struct list *l = ctx;
	const json_t *s = json_array_get(l->texts, l->at++);

	(void)e;
	if (!s)
		return 0;
	*text = json_string_value(s);
	*n = json_string_length(s);
	return 1;
}

static struct tokenizer *train(const json_t *texts, const json_t *c, int threads, struct token_train_report *r,
                               struct err *e)
{
	const char *type = json_string_value(json_object_get(c, "type")), *special[16], *key;
	struct list l = { texts, 0 };
	struct token_texts source = { next_text, &l, 0 };
	struct token_training t = { .vocab_size = (size_t)json_integer_value(json_object_get(c, "vocab_size")),
		                    .special = special, .pool = pool_new(threads) };
	struct opt_row row;
	struct opt_parse p;
	json_t *value;
	size_t i;

	json_array_foreach(json_object_get(c, "special"), i, value)
		special[t.n_special++] = json_string_value(value);
	if (!opt_row_find(token_trainer_rows, type, &row, NULL))
		BUG("no trainer %s", type);
	void *options = mem_alloc(row.options_size);
	int status = opt_begin(&p, row.opts, options, e);
	json_object_foreach(json_object_get(c, "options"), key, value)
		if (!status)
			status = opt_assign(&p, key, json_string_value(value), e);
	struct tokenizer *made = status ? NULL : token_train(type, &t, options, &source, r, e);
	opt_release(&p);
	mem_free(options);
	pool_free(t.pool);
	return made;
}

/* "left right" of each merge, by the tokenizer.json that was saved. */
static json_t *merges_of(const struct tokenizer *made)
{
	struct err e = ERR_INIT;
	char *path = io_join(test_tmp(), "trained"), *file = io_join(path, "tokenizer.json");
	json_t *out = json_array(), *pair;
	size_t i;

	if (tokenizer_save(made, path, &e))
		BUG("%s", e.msg);
	json_t *j = jsonx_load_file(file, &e);
	json_array_foreach(json_object_get(json_object_get(j, "model"), "merges"), i, pair) {
		char *both = json_is_string(pair) ? mem_strdup(json_string_value(pair)) :
		                                    mem_printf("%s %s", json_string_value(json_array_get(pair, 0)),
		                                               json_string_value(json_array_get(pair, 1)));
		json_array_append_new(out, json_string(both));
		mem_free(both);
	}
	json_decref(j);
	mem_free(path);
	mem_free(file);
	return out;
}

static void compare_lists(struct test *t, const char *what, const json_t *wanted, const json_t *found)
{
	size_t i;
	json_t *w;

	CHECK_MSG(t, json_array_size(wanted) == json_array_size(found), "%zu %s, wanted %zu", json_array_size(found),
	          what, json_array_size(wanted));
	json_array_foreach((json_t *)wanted, i, w)
		if (!json_equal(w, json_array_get(found, i))) {
			CHECK_MSG(t, false, "%s %zu is \"%s\", wanted \"%s\"", what, i,
			          json_string_value(json_array_get(found, i)), json_string_value(w));
			return;
		}
}

static json_t *pieces_of(const struct tokenizer *made)
{
	json_t *list = json_array();
	for (size_t i = 0; i < tokenizer_size(made); i++)
		json_array_append_new(list, json_string(tokenizer_text(made, (int32_t)i)));
	return list;
}

/* Scores as the tokenizer.json says them: one thread of theirs and ours add in the same order, so what is left is how
 * their file writes an f32. */
static void compare_scores(struct test *t, const json_t *wanted, const struct tokenizer *made)
{
	struct err e = ERR_INIT;
	char *path = io_join(test_tmp(), "trained"), *file = io_join(path, "tokenizer.json");

	if (tokenizer_save(made, path, &e))
		BUG("%s", e.msg);
	json_t *j = jsonx_load_file(file, &e), *w;
	const json_t *vocab = json_object_get(json_object_get(j, "model"), "vocab");
	size_t i;
	json_array_foreach((json_t *)wanted, i, w) {
		double found = json_number_value(json_array_get(json_array_get(vocab, i), 1));
		CHECK_MSG(t, fabs(found - json_number_value(w)) <= 1e-6, "score %zu is %.7f, wanted %.7f", i, found,
		          json_number_value(w));
	}
	json_decref(j);
	mem_free(path);
	mem_free(file);
}

static void check_case(struct test *t, const json_t *texts, const json_t *c)
{
	static const int threads[] = { 1, 3 };
	const json_t *merges = json_object_get(c, "merges");
	struct err e = ERR_INIT;
	char *first = NULL;

	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		struct token_train_report r;
		struct tokenizer *made = train(texts, c, threads[i], &r, &e);
		CHECK_MSG(t, made, "%s", e.msg);
		if (!made)
			break;
		json_t *pieces = pieces_of(made), *m = merges ? merges_of(made) : NULL;
		char *text = tokenizer_hash_text(made);
		compare_lists(t, "pieces", json_object_get(c, "pieces"), pieces);
		if (merges)
			compare_lists(t, "merges", merges, m);
		if (json_object_get(c, "scores"))
			compare_scores(t, json_object_get(c, "scores"), made);
		CHECK(t, !first || !strcmp(first, text));
		if (!first)
			first = mem_strdup(text);
		mem_free(text);
		json_decref(pieces);
		json_decref(m);
		tokenizer_free(made);
	}
	mem_free(first);
}

static void goldens(struct test *t, const char *name)
{
	struct err e = ERR_INIT;
	char *path = mem_printf("%s/training/%s.json", test_golden(), name);
	json_t *j = jsonx_load_file(path, &e), *c;
	size_t i;

	CHECK_MSG(t, j, "%s", e.msg);
	json_array_foreach(json_object_get(j, "cases"), i, c) {
		test_case(t, "%s, case %zu", name, i);
		check_case(t, json_object_get(j, "texts"), c);
	}
	json_decref(j);
	mem_free(path);
}

/* 3,000 words, each three times over the whole, with counts that differ. */
static struct word_counts counted(struct test *t, size_t memory, uint64_t *spilled)
{
	struct token_training how = { .memory = memory, .scratch = test_tmp(), .pool = pool_new(1) };
	struct err e = ERR_INIT;
	struct word_counter *c = word_counter_new(&how, NULL, NULL, &e);
	struct word_counts w;
	char word[32];

	for (int i = 0; i < 9000; i++) {
		int n = snprintf(word, sizeof(word), "%c%d", i % 3 ? 'w' : 0, i * 7 % 3000);
		CHECK(t, !word_counter_add(c, word, (size_t)n, (uint64_t)i + 1, &e));
	}
	CHECK_MSG(t, !word_counter_end(c, &w, spilled, &e), "%s", e.msg);
	pool_free(how.pool);
	return w;
}

static void test_parts(struct test *t)
{
	uint64_t none, some, sum = 0;

	test_case(t, "words that memory does not hold go through files, and come out as the same");
	struct word_counts all = counted(t, 0, &none), parts = counted(t, 300000, &some);
	CHECK_MSG(t, none == 0 && some > 20000, "%d and %d bytes", (int)none, (int)some);
	CHECK(t, all.n == 3000 && parts.n == all.n);
	for (size_t i = 0; i < all.n && i < parts.n; i++) {
		size_t n = word_counts_bytes(&all, i);
		CHECK(t, n == word_counts_bytes(&parts, i) && all.count[i] == parts.count[i] &&
		                 !memcmp(all.text + all.begin[i], parts.text + parts.begin[i], n));
		sum += all.count[i];
	}
	CHECK(t, sum == 9000ull * 9001 / 2);
	word_counts_release(&all);
	word_counts_release(&parts);

	struct token_training how = { .memory = 40000, .scratch = test_tmp(), .pool = pool_new(1) };
	struct err e = ERR_INIT;
	struct word_counter *c = word_counter_new(&how, NULL, NULL, &e);
	for (int i = 0; i < 3000; i++)
		word_counter_add(c, (const char *)&i, sizeof(i), 1, &e);
	CHECK(t, word_counter_end(c, &all, &some, &e) < 0 && strstr(e.msg, "of --memory 40 kB"));
	pool_free(how.pool);
}

static int next_of_list(void *ctx, const char **text, size_t *n, struct err *e)
{
	const char *const **at = ctx;

	(void)e;
	if (!**at)
		return 0;
	*text = *(*at)++;
	*n = strlen(*text);
	return 1;
}

/* By a normalizer as SentencePiece's: white space becomes one space, none at the ends, a mark for each. */
static struct word_counts counted_lines(struct test *t, const char *const *lines, bool by_spaces, uint64_t memory)
{
	static const char rules[] =
		"[{'type': 'Sequence', 'normalizers': [{'type': 'Nmt'}, {'type': 'NFKC'},"
		"{'type': 'Replace', 'pattern': {'Regex': '\\\\A +| +\\\\z'}, 'content': ''},"
		"{'type': 'Replace', 'pattern': {'Regex': ' {2,}'}, 'content': ' '},"
		"{'type': 'Replace', 'pattern': {'Regex': ' +\u00a7'}, 'content': '\u00a7'},"
		"{'type': 'Prepend', 'prepend': '_', 'first': true},"
		"{'type': 'Replace', 'pattern': {'String': ' '}, 'content': '_'}]},"
		"{'type': 'Split', 'pattern': {'String': '_'}, 'behavior': 'MergedWithNext', 'invert': false}]";
	struct token_training how = { .memory = memory, .scratch = test_tmp(), .pool = pool_new(2) };
	struct token_texts texts = { next_of_list, &lines, 0 };
	struct token_train_report r = { 0 };
	struct word_counts w = { 0 };
	struct err e = ERR_INIT;
	uint64_t spilled;
	char text[sizeof(rules)];

	for (size_t i = 0; i < sizeof(rules); i++)
		text[i] = rules[i] == '\'' ? '"' : rules[i];
	json_t *j = json_loads(text, 0, NULL);
	struct word_counter *c = word_counter_new(&how, json_array_get(j, 0), json_array_get(j, 1), &e);
	if (by_spaces)
		word_counter_by_spaces(c);
	CHECK_MSG(t, !word_counter_read(c, &texts, true, &r, &e), "%s", e.msg);
	CHECK_MSG(t, !word_counter_end(c, &w, &spilled, &e), "%s", e.msg);
	CHECK(t, r.texts == 9 && r.words == 27);
	json_decref(j);
	pool_free(how.pool);
	return w;
}

static void test_spaces(struct test *t)
{
	static const char *const lines[] = {
		"the cat  sat\u00a7",
		" the\tcat sat \u00a7",
		"the \u00a0\u00a7",
		"caf\u00e9 cafe\u0301 \u00a7",
		"\u3000the \u00b4 x\u00b4 cat\u00a7",
		"\u201cthe\u201d \u201c\u00a7",
		"   \u00a7",
		"\u00a8a the the\u2003the cat\u00a7",
		"a _b c_d  \u00a7",
		NULL,
	};

	test_case(t, "what stands between spaces, normalized once, makes the words of lines that are normalized whole");
	struct word_counts whole = counted_lines(t, lines, false, 0), parts = counted_lines(t, lines, true, 0);
	CHECK_MSG(t, whole.n == parts.n && whole.n > 10, "%zu and %zu words", whole.n, parts.n);
	for (size_t i = 0; i < whole.n && whole.n == parts.n; i++) {
		int n = (int)word_counts_bytes(&whole, i);
		CHECK_MSG(t, n == (int)word_counts_bytes(&parts, i) && whole.count[i] == parts.count[i] &&
		                     !memcmp(whole.text + whole.begin[i], parts.text + parts.begin[i], (size_t)n),
		          "%.*s", n, whole.text + whole.begin[i]);
	}
	word_counts_release(&whole);
	word_counts_release(&parts);
}

/* Each modulo 2^32 is another order: 5e9 is less than 4e9 there, and the sum of the first two is small. */
static void test_counts(struct test *t)
{
	static const struct { const char *word; uint64_t count; } words[] = {
		{ "ab", 4000000000u },
		{ "abc", 295000000u },
		{ "cd", 5000000000u },
		{ "ef", (uint64_t)1 << 40 },
		{ "gh", 10 },
	};
	struct token_training how = { .pool = pool_new(1) };
	struct pair_settings s = { .vocab_size = 12, .bytes = true, .prefix = "", .suffix = "" };
	struct err e = ERR_INIT;
	struct word_counter *c = word_counter_new(&how, NULL, NULL, &e);
	struct word_counts w;
	struct pair_merges m;
	uint64_t spilled;

	test_case(t, "counts beyond 2^32");
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		word_counter_add(c, words[i].word, strlen(words[i].word), words[i].count, &e);
	CHECK(t, !word_counter_end(c, &w, &spilled, &e) && w.n == 5);
	CHECK_MSG(t, !pair_merges_train(&m, &w, &s, &how, &e), "%s", e.msg);
	CHECK(t, m.n_merges == 4);
	static const char *const wanted[] = { "ef", "cd", "ab", "abc" };
	for (size_t i = 0; i < 4 && i < m.n_merges; i++)
		CHECK_MSG(t, !strcmp(m.vocab.piece[8 + i].text, wanted[i]), "%s, wanted %s", m.vocab.piece[8 + i].text,
		          wanted[i]);
	pair_merges_release(&m);
	s.vocab_size = 7;
	CHECK(t, pair_merges_train(&m, &w, &s, &how, &e) < 0 && strstr(e.msg, "an alphabet of 8"));
	word_counts_release(&w);
	pool_free(how.pool);
}

/* What SentencePiece 0.2.3 makes of them by nmt_nfkc: marks keep their order, where Unicode's form sorts them. */
static void test_made_charsmap(struct test *t)
{
	static const char *const texts[][2] = {
		{ "e\u0301 \uff41\u0302\u0323", "\u00e9 \u00e2\u0323" },
		{ "a\u0323\u0302", "\u1ead" },
		{ "\uff76\uff9e\uff5e", "\u30ac\uff5e" },
		{ "x\u200c\a\u061c\u2581", "x   " },
		{ "\u1100\u1161\u11a8", "\uac01" },
		{ "\u3131\u314f\u3131", "\uac00\u1100" },
		{ "\u2460\u00bd", "11\u20442" },
		{ "\U0001ccd6\ua7f1", "AS" },
		{ "\U0001611e\U0001611e\U0001611f", "\U00016126" },
		{ "\u0344\u1e9b\u0323", "\u0308\u0301\u1e61\u0323" },
	};
	struct buf map = BUF_INIT, base = BUF_INIT;
	struct err e = ERR_INIT;
	struct normalizer z;

	test_case(t, "the map nmt_nfkc as it is made here");
	charsmap_make(&map, true);
	base64_write(&base, (const uint8_t *)map.data, map.len);
	json_t *j = json_pack("{s:s,s:s,s:b}", "type", "Precompiled", "precompiled_charsmap", buf_str(&base), "longest",
	                      1);
	CHECK_MSG(t, normalizer_parse(&z, j, &e) == 0, "%s", e.msg);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct slice in = { .text = texts[i][0], .n = strlen(texts[i][0]), .begins = true }, out;
		struct altered a = { 0 };
		CHECK(t, normalizer_run(&z, &in, &out, &a, &e) == 0);
		CHECK_MSG(t, out.n == strlen(texts[i][1]) && !memcmp(out.text, texts[i][1], out.n), "%s: %.*s",
		          texts[i][0], (int)out.n, out.text);
		altered_release(&a);
	}
	normalizer_release(&z);
	json_decref(j);
	buf_release(&map);
	buf_release(&base);
}

void test_token_train(struct test *t)
{
	test_made_charsmap(t);
	goldens(t, "bpe");
	goldens(t, "wordpiece");
	goldens(t, "sentencepiece-bpe");
	goldens(t, "unigram");
	goldens(t, "unigram-blank");
	test_parts(t);
	test_spaces(t);
	test_counts(t);
}
