/* test_keys: who may ask and how much. What would break: a file with a mistake lets somebody in or out, a plain line is
 * no key any more, many requests at once overdraw a budget, what was used before is forgotten, a budget of one kind is
 * none of another, a row of the ledger is lost or counted twice; the time that an answer takes alone is not the sum of
 * its steps. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../test.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "gas/ledger.h"
#include "serve/alone.h"
#include "serve/keys.h"

struct bench {
	struct test *t;
	struct keys *k;
	char file[500];
	size_t rows, calls;
	int64_t tokens;
};

static bool keep(void *ctx, const struct served *rows, size_t n)
{
	struct bench *b = ctx;

	b->calls++;
	b->rows = n;
	for (size_t i = 0; i < n; i++)
		b->tokens += rows[i].tokens_in + rows[i].tokens_out;
	return true;
}

static int convert(double amount, const char *currency, double *out, struct err *e)
{
	*out = amount;
	return strcmp(currency, "EUR") ? err_set(e, "%s is not known", currency) : 0;
}

static void write_text(struct bench *b, const char *name, const char *text)
{
	struct err e = ERR_INIT;

	snprintf(b->file, sizeof(b->file), "%s/%s", test_tmp(), name);
	CHECK_MSG(b->t, io_write(b->file, text, strlen(text), &e) == 0, "%s", e.msg);
}

static int open_keys(struct bench *b, const char *name, const char *text, struct err *e)
{
	static const char *const given[] = { "given" };

	write_text(b, name, text);
	struct keys_options how = { .given = given, .n_given = 1, .file = b->file, .convert = convert, .keep = keep,
		                    .ctx = b };
	return keys_new(&b->k, &how, e);
}

static void test_lines(struct bench *b)
{
	struct err e = ERR_INIT;
	struct holder *h;

	test_case(b->t, "a line is a key, named by a hash; none is anybody's, and without any all may ask");
	CHECK_MSG(b->t, open_keys(b, "keys", "alice: x\r\n\nsecond\n", &e) == 0, "%s", e.msg);
	CHECK(b->t, keys_count(b->k) == 3);
	h = keys_holder(b->k, "alice: x");
	CHECK(b->t, h && !strncmp(holder_name(h), "key-", 4) && strlen(holder_name(h)) == 12);
	CHECK(b->t, h && keys_named(b->k, holder_name(h)) == h && keys_holder(b->k, "second") != h);
	CHECK(b->t, keys_holder(b->k, "given") && !keys_holder(b->k, "alice") && !keys_holder(b->k, "") &&
	                    !keys_holder(b->k, NULL));
	keys_free(b->k);
	CHECK(b->t, keys_new(&b->k, &(struct keys_options){ 0 }, &e) == 0);
	h = keys_holder(b->k, NULL);
	CHECK(b->t, h && h == keys_holder(b->k, "whatever") && !*holder_name(h));
	keys_free(b->k);
}

static const char yaml[] = "bob: sk-1\n"
			   "alice:\n"
			   "  key: [sk-2, sk-3]\n"
			   "  budget: {day: '1k tokens, 2 kJ', total: '1500 tokens, 3 EUR'}\n"
			   "  top_logprobs: none\n"
			   "  forced_logprobs: false\n";

static void test_names(struct bench *b)
{
	struct err e = ERR_INIT;

	test_case(b->t, "names, their keys and limits; a bad file changes nothing");
	CHECK_MSG(b->t, open_keys(b, "keys.yaml", yaml, &e) == 0, "%s", e.msg);
	struct holder *alice = keys_named(b->k, "alice"), *bob = keys_named(b->k, "bob");
	CHECK(b->t, alice && keys_holder(b->k, "sk-2") == alice && keys_holder(b->k, "sk-3") == alice);
	CHECK(b->t, holder_top_logprobs(b->k, alice) == -1 && !holder_forced_logprobs(b->k, alice));
	CHECK(b->t, holder_budgets(b->k, alice) == (BUDGET_TOKENS | BUDGET_JOULES | BUDGET_MONEY));
	CHECK(b->t, bob == keys_holder(b->k, "sk-1") && !holder_budgets(b->k, bob));
	CHECK(b->t, holder_forced_logprobs(b->k, bob));
	write_text(b, "keys.yaml", "bob: sk-4\nalice: {key: sk-2, budgt: {}}\n");
	CHECK(b->t, keys_read(b->k, &e) < 0 && strstr(e.msg, "alice: budgt is not known here"));
	CHECK(b->t, keys_holder(b->k, "sk-1") == bob && !keys_holder(b->k, "sk-4"));
	write_text(b, "keys.yaml", "bob: sk-4\n");
	CHECK(b->t, keys_read(b->k, &e) == 0 && keys_holder(b->k, "sk-4") == bob && !keys_holder(b->k, "sk-2"));
	CHECK(b->t, !holder_budgets(b->k, alice));
	keys_free(b->k);
}

static void test_refused(struct bench *b)
{
	static const char *const cases[][2] = {
		{ "a: {budget: {day: 10 tokens}}", "its key was wanted" },
		{ "a: 5", "a number stands in quotes" },
		{ "a: {key: x, budget: {week: 10 tokens}}", "week is none of day, month and total" },
		{ "a: {key: x, budget: {day: 10 apples}}", "apples" },
		{ "a: {key: x, budget: {day: '10 tokens, 20 tokens'}}", "no budget of tokens" },
		{ "a: {key: x, budget: {day: 10m}}", "no budget of time" },
		{ "a: {key: x, budget: {day: 3 USD}}", "USD is not known" },
		{ "a: {key: x, top_logprobs: 21}", "none or a number from 0 to 20" },
		{ "a: {key: x, forced_logprobs: 0}", "true or false" },
		{ "a: x\nb: x", "a and b have the same key" },
		{ "{}", "has no key" },
		{ "# nobody yet\n", "has no key" },
	};

	test_case(b->t, "mistakes are sentences");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = ERR_INIT;
		CHECK(b->t, open_keys(b, "wrong.yaml", cases[i][0], &e) < 0);
		CHECK_MSG(b->t, strstr(e.msg, cases[i][1]), "%s: %s", cases[i][0], e.msg);
	}
}

static bool hold(struct bench *b, double tokens, double joules, struct key_refusal *why)
{
	return keys_hold(b->k, keys_named(b->k, "alice"), &(struct key_cost){ tokens, joules, NAN }, why);
}

static void charge(struct bench *b, double held, int64_t tokens, double joules)
{
	struct served s = { .model = "m", .adapter = "", .requests = 1, .tokens_in = tokens, .joules = joules };

	keys_charge(b->k, keys_named(b->k, "alice"), &(struct key_cost){ held, NAN, NAN }, &s);
}

static void test_budgets(struct bench *b)
{
	struct err e = ERR_INIT;
	struct key_refusal why = { 0 };
	char today[11];

	test_case(b->t, "what is held and used counts, of each kind and period, also from before");
	CHECK_MSG(b->t, open_keys(b, "keys.yaml", yaml, &e) == 0, "%s", e.msg);
	served_day(clock_wall_seconds(), today);
	struct served past = { .day = "1999-12-31", .key = "alice", .model = "m", .adapter = "", .tokens_in = 300 };
	keys_past(b->k, &past);
	past = (struct served){ .day = today, .key = "alice", .model = "m", .adapter = "", .tokens_out = 100 };
	keys_past(b->k, &past);
	CHECK(b->t, hold(b, 500, 0, &why));
	CHECK(b->t, !hold(b, 401, 0, &why) && why.renews && why.seconds == 1); /* others hold it */
	CHECK(b->t, hold(b, 400, 0, &why));
	charge(b, 500, 100, 0);
	charge(b, 400, 100, 0); /* today 300, in all 600 */
	CHECK(b->t, !hold(b, 701, 0, &why) && why.renews && why.seconds > 1 && why.seconds <= 86400);
	CHECK(b->t, !hold(b, 901, 0, &why) && !why.renews);                    /* in total */
	CHECK(b->t, !hold(b, 1e6, 0, &why) && !why.renews);                    /* never */
	CHECK(b->t, !hold(b, 1, 2001, &why) && strstr(why.text, "kJ") && hold(b, 1, 2000, &why));
	CHECK(b->t, keys_hold(b->k, keys_named(b->k, "bob"), &(struct key_cost){ 1e12, 1e12, 1e12 }, &why));
	test_case(b->t, "rows are kept once a second, what changed");
	b->tokens = 0;
	keys_tick(b->k, 100);
	CHECK(b->t, b->rows == 1 && b->tokens == 200 && b->calls == 1);
	charge(b, 0, 7, 0);
	keys_tick(b->k, 100.5);
	CHECK(b->t, b->calls == 1);
	keys_tick(b->k, INFINITY);
	CHECK(b->t, b->calls == 2 && b->tokens == 200 + 207); /* sums, not differences */
	keys_free(b->k);
}

static void sum_tokens(void *ctx, const struct served *s)
{
	struct bench *b = ctx;

	b->rows++;
	b->tokens += s->tokens_in;
}

static void test_ledger(struct bench *b)
{
	struct arena mem = ARENA_INIT;
	struct err e = ERR_INIT;
	struct ledger *l;
	struct entries all;
	struct entry x, y;
	struct served rows[] = {
		{ .day = "2026-01-31", .key = "alice", .model = "m", .adapter = "a", .requests = 2, .tokens_in = 10,
		  .joules = 1.5, .money = 0.25, .currency = "EUR" },
		{ .day = "2026-02-01", .key = "", .model = "m", .adapter = "", .tokens_in = 5 },
	};
	char *path = mem_printf("%s/served.db", test_tmp());

	test_case(b->t, "rows of a run come back with it, and are summed over runs");
	CHECK_MSG(b->t, ledger_open(&l, path, LEDGER_WRITE, &e) == 0, "%s", e.msg);
	for (int i = 0; i < 2; i++) {
		entry_init(&x);
		entry_identify(&x, &mem);
		x.command = "serve";
		CHECK_MSG(b->t, ledger_put(l, &x, &e) == 0, "%s", e.msg);
		for (int again = 0; again < 2; again++) /* written twice, counted once */
			CHECK_MSG(b->t, ledger_put_served(l, x.id, rows, 2, &e) == 0, "%s", e.msg);
		CHECK(b->t, ledger_put(l, &x, &e) == 0);
	}
	CHECK(b->t, ledger_runs(l, NULL, &all, &e) == 0 && all.n == 2 && all.items[1].n_served == 2);
	json_t *j = entry_json(&all.items[1], true);
	CHECK_MSG(b->t, entry_from_json(&y, j, &mem, "here", &e) == 0, "%s", e.msg);
	json_t *back = entry_json(&y, true);
	CHECK(b->t, json_equal(j, back) && y.served[0].money == 0.25 && !strcmp(y.served[0].currency, "EUR"));
	json_decref(j);
	json_decref(back);
	b->rows = 0;
	b->tokens = 0;
	CHECK(b->t, ledger_each_served(l, "", sum_tokens, b, &e) == 0 && b->rows == 2 && b->tokens == 30);
	b->tokens = 0;
	CHECK(b->t, ledger_each_served(l, "2026-02-01", sum_tokens, b, &e) == 0 && b->tokens == 10);
	entries_release(&all);
	ledger_close(l);
	arena_release(&mem);
	mem_free(path);
}

static void test_alone(struct bench *b)
{
	/* a step of one row takes 1 s and 1 more at 10 tokens, one of 5 rows 3 s at any length */
	struct alone a = { .rows = 5, .length = 10, .one = { 1, 2 }, .full = { 3, 3 } };

	test_case(b->t, "an answer alone is the sum of its steps");
	CHECK(b->t, isnan(alone_seconds(&(struct alone){ 0 }, 0, 5, 5).mid));
	CHECK(b->t, fabs(alone_seconds(&a, 0, 5, 1).mid - 3) < 1e-9);
	/* then tokens at lengths 5 and 6, on average 5.5 … 6: 1 + 6/10 each */
	CHECK(b->t, fabs(alone_seconds(&a, 0, 5, 3).mid - (3 + 2 * 1.6)) < 1e-9);
	/* a second answer reads the prompt's last token again */
	CHECK(b->t, fabs(alone_seconds(&a, 4, 5, 3).mid - (1.4 + 2 * 1.6)) < 1e-9);
	struct span s = alone_seconds(&a, 0, 20, 10);
	CHECK(b->t, s.low < s.mid && s.mid < s.high);
}

void test_keys(struct test *t)
{
	struct bench b = { .t = t };

	test_lines(&b);
	test_names(&b);
	test_refused(&b);
	test_budgets(&b);
	test_ledger(&b);
	test_alone(&b);
}
