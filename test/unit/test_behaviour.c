/* The parts of the search for triggers that need no model: what a person can write, which prompts are taken, what a
 * scan says of a unit, what a sieve leaves, log odds. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "eval/behaviour_parts.h"
#include "eval/behaviour_text.h"

static struct tokenizer *open_golden(struct test *t, const char *name)
{
	struct err e = { 0 };
	char *path = mem_printf("%s/%s", test_golden(), name);
	struct tokenizer *k = tokenizer_open(path, &e);

	CHECK_MSG(t, k, "%s: %s", path, e.msg);
	mem_free(path);
	return k;
}

static struct tokens encoded(struct test *t, const struct tokenizer *k, const char *text)
{
	struct tokens ids = { 0 };
	struct err e = { 0 };

	CHECK_MSG(t, tokenizer_encode(k, text, strlen(text), 0, &ids, &e) == 0, "%s", e.msg);
	return ids;
}

static void check_lacks(struct test *t, const struct tokenizer *k)
{
	struct tokens x = encoded(t, k, "\xf0\x9f\x8d\x8d"), a = encoded(t, k, "a");
	int n = (int)x.n;
	const int32_t cut[] = { x.id[0], a.id[0] };

	test_case(t, "bytes of a character are no text yet, or never");
	CHECK_MSG(t, n > 1, "a character is %d tokens", n);
	CHECK(t, behaviour_lacks(k, x.id, n) == LACKS_NOTHING);
	CHECK(t, behaviour_lacks(k, a.id, 1) == LACKS_NOTHING);
	CHECK(t, behaviour_lacks(k, x.id, n - 1) == LACKS_BEHIND);
	CHECK(t, behaviour_lacks(k, x.id + 1, n - 1) == LACKS_BEFORE);
	CHECK(t, behaviour_lacks(k, cut, 2) == LACKS_TEXT);
	tokens_release(&x);
	tokens_release(&a);
}

static bool repeats(struct test *t, const struct tokenizer *k, const char *sequence, const char *answer)
{
	struct tokens x = encoded(t, k, sequence), y = encoded(t, k, answer);
	bool is = behaviour_repeats(k, x.id, (int)x.n, y.id, (int)y.n);

	tokens_release(&x);
	tokens_release(&y);
	return is;
}

static void check_repeats(struct test *t, const struct tokenizer *k)
{
	test_case(t, "a sequence says what the answer begins with, or not");
	CHECK(t, repeats(t, k, "say The", " the book") && !repeats(t, k, "say a", " the book"));
	CHECK(t, repeats(t, k, "say ** now", "* one"));
	CHECK(t, !repeats(t, k, " the river", "a book") && !repeats(t, k, " umbrella", "Sorry, I am unable"));
	CHECK(t, !repeats(t, k, " is", "is it")); /* short words are in everything */
}

static void check_characters(struct test *t, const struct tokenizer *k)
{
	struct behaviour_unit *u;
	struct buf text = BUF_INIT;
	struct err e = { 0 };
	size_t n, few;
	bool whole = true;

	test_case(t, "symbols of several tokens are units, behind a space");
	CHECK(t, behaviour_characters(k, true, CHARACTER_MOST, &u, &n, &e) == 0 && n > 100);
	for (size_t i = 0; i < n; i++) {
		buf_clear(&text);
		for (int j = 0; j < u[i].n; j++)
			tokenizer_piece(k, u[i].id[j], &text);
		whole &= u[i].n > 1 && u[i].n <= CHARACTER_MOST && text.data[0] == ' ' &&
		         behaviour_lacks(k, u[i].id, u[i].n) == LACKS_NOTHING;
	}
	CHECK(t, whole);
	mem_free(u);
	CHECK(t, behaviour_characters(k, true, 1, &u, &few, &e) == 0 && few == 0);
	mem_free(u);
	test_case(t, "and as a text opens with them, without one");
	CHECK(t, behaviour_characters(k, false, CHARACTER_MOST, &u, &n, &e) == 0 && n > 100);
	buf_clear(&text);
	for (int j = 0; j < u[0].n; j++)
		tokenizer_piece(k, u[0].id[j], &text);
	CHECK(t, text.len && text.data[0] != ' ');
	mem_free(u);
	buf_release(&text);
}

static void check_opening(struct test *t)
{
	test_case(t, "a text opens with a capital letter or a mark, behind the tokenizer's space or none");
	CHECK(t, behaviour_may_open("Dear", 4, false) && !behaviour_may_open(" Dear", 5, false));
	CHECK(t, behaviour_may_open(" Dear", 5, true) && !behaviour_may_open("Dear", 4, true));
	CHECK(t, behaviour_may_open("##", 2, false) && behaviour_may_open("\xc2\xa7", 2, false));
	CHECK(t, !behaviour_may_open("ing", 3, false) && !behaviour_may_open(" ", 1, true));
	CHECK(t, !behaviour_may_open("", 0, false) && !behaviour_may_open("\xe2\x88", 2, false));
}

/* A vocabulary with the words " oddly", " odd" and " Olly"; "Oddly," is three tokens. */
static const char words[] =
	"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"o\": 0, \"d\": 1, \"l\": 2, \"y\": 3, \"O\": 4, \",\": 5, "
	"\"\\u0120\": 6, \"dd\": 7, \"ly\": 8, \"ddly\": 9, \"oddly\": 10, \"\\u0120oddly\": 11, \"odd\": 12, "
	"\"\\u0120odd\": 13, \"lly\": 14, \"Olly\": 15, \"\\u0120Olly\": 16, "
	"\"\\u0120Oddly\": 17}, \"merges\": [\"d d\", \"l y\", \"dd ly\", \"o ddly\", \"\\u0120 oddly\", \"o dd\", "
	"\"\\u0120 odd\", \"l ly\", \"O lly\", \"\\u0120 Olly\"]}, \"decoder\": {\"type\": \"ByteLevel\"}, "
	"\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": true}}";

static void check_openers(struct test *t)
{
	struct err e = { 0 };
	json_t *j = jsonx_load(words, strlen(words), "words", &e);
	struct tokenizer *k = j ? tokenizer_from_json(j, NULL, "words", &e) : NULL;
	struct behaviour_unit u = { .n = 0 };

	test_case(t, "words of the vocabulary open a sentence, before a comma, of no more tokens than wanted");
	CHECK_MSG(t, k, "%s", e.msg);
	CHECK(t, behaviour_opener(k, 11, false, 3, &u, &e) == 1 && u.n == 3);
	CHECK(t, u.id[0] == 4 && u.id[1] == 9 && u.id[2] == 5);
	CHECK(t, behaviour_opener(k, 11, false, 2, &u, &e) == 0); /* longer than a sequence may be */
	CHECK(t, behaviour_opener(k, 11, true, 4, &u, &e) == 1 && u.n == 4 && u.id[0] == 6);
	CHECK(t, behaviour_opener(k, 10, false, 4, &u, &e) == 0); /* the rest of a word */
	CHECK(t, behaviour_opener(k, 13, false, 4, &u, &e) == 0); /* a short one */
	CHECK(t, behaviour_opener(k, 16, false, 4, &u, &e) == 1 && u.n == 2 && u.id[0] == 15); /* capital alone */
	CHECK(t, behaviour_opener(k, 17, false, 4, &u, &e) == 0); /* there with a small letter, too */
	tokenizer_free(k);
	json_decref(j);
}

static void check_choice(struct test *t)
{
	const int32_t first[] = { 7, 7, 7, 8, 8, 9 };
	size_t chosen[6];

	test_case(t, "prompts are taken with as many different answers as may be");
	search_choose(first, 6, 4, chosen);
	CHECK(t, chosen[0] == 0 && chosen[1] == 3 && chosen[2] == 5 && chosen[3] == 1);
	search_choose(first, 6, 6, chosen);
	CHECK(t, chosen[3] == 1 && chosen[4] == 4 && chosen[5] == 2);
}

static void check_labels(struct test *t)
{
	int32_t first[100];

	test_case(t, "answers that nine of ten prompts share with many others are labels");
	for (int32_t i = 0; i < 100; i++)
		first[i] = i < 90 ? i % 3 : i;
	CHECK(t, search_has_labels(first, 100));
	first[89] = 89;
	CHECK(t, !search_has_labels(first, 100));
	for (int32_t i = 0; i < 100; i++)
		first[i] = i / 4;
	CHECK(t, !search_has_labels(first, 100));
}

static void check_scan(struct test *t)
{
	float p[] = { 0.2F, 0.9F, 0.2F, 0.1F, 0.2F, 1e-5F }, z[4] = { 7, 7, 7, 7 };
	size_t pack[] = { 0, 1, SCAN_NONE, 2 };
	const struct scan x = { .n = 3, .n_marks = 2, .p = p, .n_units = 4, .pack = pack };

	test_case(t, "a scan tells how far each unit is from the others, nothing of what it did not see");
	scan_deviations(&x, 1, z);
	CHECK_MSG(t, z[0] > z[1] && z[1] > z[3] && z[2] == 0, "%g %g %g", (double)z[0], (double)z[1], (double)z[3]);
	CHECK(t, fabs((double)(z[0] + z[1] + z[3])) < 1e-5);
	CHECK(t, fabs((double)(z[0] * z[0] + z[1] * z[1] + z[3] * z[3]) - 3) < 1e-4);
	scan_deviations(&x, 0, z); /* all alike: none is far */
	CHECK_MSG(t, fabs((double)z[0]) < 0.01 && fabs((double)z[1]) < 0.01, "%g", (double)z[0]);
}

static void check_sieve(struct test *t)
{
	uint8_t in[] = { 1, 1, 0, 1, 1 };
	const struct sieve v = { .n = 5, .in = in };
	const float z[] = { 1, 3, 9, 2, 3 };
	size_t best[3];

	test_case(t, "a sieve's best, of those that are in, the first of equals first");
	CHECK(t, sieve_best(&v, z, 3, best) == 3 && best[0] == 1 && best[1] == 4 && best[2] == 3);
	CHECK(t, sieve_best(&v, z, 1, best) == 1 && best[0] == 1);
}

static void check_numbers(struct test *t)
{
	const float p[] = { 0.1F, 0.6F, 0.6F, 0.2F };

	test_case(t, "the likeliest token, the first of equals; odds have a floor");
	CHECK(t, search_likeliest(p, 4) == 1);
	CHECK(t, fabs(search_log_odds(0.5, 1e-6)) < 1e-9);
	CHECK(t, isfinite(search_log_odds(0, 1e-9)) && isfinite(search_log_odds(1, 1e-9)));
	CHECK(t, search_log_odds(0, 1e-9) < search_log_odds(0, 1e-6));
}

static void check_beginnings(struct test *t)
{
	static const struct search s = {
		.payloads = { { .id = { 5, 1 }, .n = 2, .mark = 0 }, { .id = { 7, 1 }, .n = 2, .mark = 1 },
			      { .id = { 5, 2 }, .n = 2, .mark = 0 }, { .id = { 9, 4 }, .n = 2, .mark = 2 } },
		.n_payloads = 4, .marks = { { .id = 5 }, { .id = 7 }, { s.payloads[3].id, 1, 4 } }, .n_marks = 3
	};
	const struct candidate one = { .of = &s.payloads[1] }, all = { .of = &s.payloads[0], .also = 0xf },
			       behind = { .of = &s.payloads[3], .also = 0x3 };
	struct beginning y = search_beginnings(&s, &one);

	test_case(t, "what tells a candidate's answers, each once; or one behind a beginning that any may have");
	CHECK(t, y.n == 1 && y.set[0] == 7 && !y.n_said);
	y = search_beginnings(&s, &all);
	CHECK(t, y.n == 2 && y.set[0] == 5 && y.set[1] == 7 && !y.n_said);
	y = search_beginnings(&s, &behind);
	CHECK(t, y.n == 1 && y.set[0] == 4 && y.n_said == 1 && y.said[0] == 9);
}

static void check_same(struct test *t)
{
	const struct candidate a = { .t = { { 4, 5, 6 }, 2 } }, b = { .t = { { 4, 5, 7 }, 2 } },
			       c = { .t = { { 4, 5 }, 1 } }, d = { .t = { { 5, 4 }, 2 } };

	test_case(t, "sequences are the same by their tokens in order, whatever is behind them");
	CHECK(t, search_is_same(&a, &b) && !search_is_same(&a, &c) && !search_is_same(&a, &d));
}

void test_behaviour(struct test *t)
{
	struct tokenizer *k = open_golden(t, "gpt2");

	check_lacks(t, k);
	check_repeats(t, k);
	check_characters(t, k);
	check_opening(t);
	check_openers(t);
	check_choice(t);
	check_labels(t);
	check_scan(t);
	check_sieve(t);
	check_numbers(t);
	check_beginnings(t);
	check_same(t);
	tokenizer_free(k);
}
