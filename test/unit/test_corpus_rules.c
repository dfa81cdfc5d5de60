/* Rules of C4, Gopher and FineWeb on texts whose numbers are counted by hand; cleaning; languages. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "corpus/clean.h"
#include "corpus/language.h"
#include "corpus/rules.h"

/* --- counting --- */

static void counts(struct test *t)
{
	struct facts f = { 0 };

	test_case(t, "words, lines, characters");
	facts_make(&f, "Über  alles\r\nein Ende\n\nx", strlen("Über  alles\r\nein Ende\n\nx"));
	CHECK(t, f.chars == 24 && f.words.n == 5 && f.words.items[0].chars == 4 && f.words.items[0].n == 5);
	CHECK(t, f.lines.n == 4 && f.lines.items[0].n == 12 && f.lines.items[2].n == 0 && f.lines.items[3].n == 1);
	test_case(t, "n-grams: a b a b a b: 'a b' three times, of 3 characters each");
	facts_make(&f, "a b a b a b", 11);
	CHECK(t, rule_top_ngram(&f.words, 2) == 9 && rule_top_ngram(&f.words, 7) == 0);
	/* at 0 'a b' and at 1 'b a' are new, at 2 'a b' came before and is passed over, at 4 again */
	CHECK(t, rule_duplicate_ngrams(&f.words, 2) == 4);
	CHECK(t, rule_duplicates(&f.words, false) == 4 && rule_duplicates(&f.words, true) == 4);
	test_case(t, "of n-grams that come as often the first is the commonest");
	facts_make(&f, "long words short", 16);
	CHECK(t, rule_top_ngram(&f.words, 2) == 10);
	facts_release(&f);
}

/* --- single rules --- */

static double value_of(const char *name, const char *text)
{
	struct facts f = { 0 };
	double value = NAN;

	facts_make(&f, text, strlen(text));
	for (size_t i = 0; i < rules_count(); i++)
		if (!strcmp(rules_table[i].name, name))
			value = rules_table[i].value(&f, &rules_table[i]);
	facts_release(&f);
	return value;
}

static void values(struct test *t)
{
	static const struct {
		const char *name, *text;
		double value;
	} cases[] = {
		{ "gopher-duplicate-paragraphs", "one\n\ntwo\n\none\n\n\none", 2.0 / 4 },
		{ "gopher-duplicate-paragraph-characters", "one\n\ntwo\n\none", 3.0 / 13 },
		{ "gopher-duplicate-lines", "one\ntwo\none\n", 1.0 / 4 }, /* the last line is empty, as by re.split */
		{ "gopher-duplicate-line-characters", "one\ntwo\none", 3.0 / 11 },
		{ "gopher-top-2-gram", "a b a b a b", 9.0 / 11 },
		{ "gopher-duplicate-5-grams", "a b c d e a b c d e", 5.0 / 19 },
		{ "gopher-words", "two words -- and 3", 4 },
		{ "gopher-mean-word-length", "ab -- cdef", 3 },
		{ "gopher-hashes", "# a # b", 2.0 / 4 },
		{ "gopher-ellipses", "a... b… c d", 2.0 / 4 },
		{ "gopher-bullet-lines", "- a\n  • b\nc", 2.0 / 3 },
		{ "gopher-ellipsis-lines", "a...\nb… \nc", 2.0 / 3 },
		{ "gopher-alphabetic-words", "a 1 b2 --", 2.0 / 4 },
		{ "gopher-stop-words", "the the and The that", 3 },
		{ "fineweb-line-punctuation", "a.\n\nb\nc。\nd", 2.0 / 4 },
		{ "fineweb-short-lines", "a line of thirty characters xx\na line of thirty-one characters\n", 1.0 / 2 },
		{ "fineweb-duplicate-line-characters", "abc\n\nde\nabc", 3.0 / 8 },
		{ "fineweb-newlines", "a b\nc\n", 2.0 / 3 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		double v = value_of(cases[i].name, cases[i].text);
		test_case(t, "%s", cases[i].name);
		CHECK_MSG(t, fabs(v - cases[i].value) < 1e-12, "%.6f, %.6f was wanted", v, cases[i].value);
	}
}

/* --- C4: lines --- */

struct told {
	int n[RULES_MOST];
};

static void tell(void *ctx, size_t rule, struct text_span line)
{
	((struct told *)ctx)->n[rule]++;
	(void)line;
}

static const char *judge(const char *list, const char *text, struct buf *out, struct told *told)
{
	struct facts f = { 0 };
	struct rules_on on;
	struct err e = ERR_INIT;
	double value;

	*told = (struct told){ { 0 } };
	rules_parse(list, &on, &e);
	buf_clear(out);
	buf_adds(out, text);
	int by = rules_judge(&on, out, &f, &value, tell, told);
	facts_release(&f);
	return by < 0 ? "" : rules_table[by].name;
}

static int told_of(const struct told *x, const char *name)
{
	for (size_t i = 0; i < rules_count(); i++)
		if (!strcmp(rules_table[i].name, name))
			return x->n[i];
	return -1;
}

static void c4(struct test *t)
{
	static const char text[] =
		"  A good line stays here.[12] \nNo end here at all\nShort.\nWe use Cookies: use cookies.\n"
		"Enable JavaScript in this browser.\nIt goes on...\nHe said \"so be it.\" Then he left!\n"
		"\nOne. Two. Three.";
	struct buf out = BUF_INIT;
	struct told told;

	test_case(t, "C4's lines");
	CHECK(t, !strcmp(judge("c4", text, &out, &told), ""));
	CHECK_MSG(t,
	          !strcmp(buf_str(&out),
	                  "A good line stays here.\nHe said \"so be it.\" Then he left!\nOne. Two. Three."),
	          "%s", buf_str(&out));
	CHECK(t, told_of(&told, "c4-citations") == 1 && told_of(&told, "c4-terminal-punctuation") == 3);
	CHECK(t, told_of(&told, "c4-short-lines") == 1 && told_of(&told, "c4-policy") == 1);
	CHECK(t, told_of(&told, "c4-javascript") == 1);
	test_case(t, "C4's documents");
	CHECK(t, !strcmp(judge("c4", "One. Two. Three words here.", &out, &told), "c4-few-sentences"));
	CHECK(t, !strcmp(judge("c4", "Here is Lorem Ipsum dolor.", &out, &told), "c4-lorem-ipsum"));
	CHECK(t, !strcmp(judge("c4", "int main(void) { return 0; }.", &out, &told), "c4-curly-bracket"));
	CHECK(t, !strcmp(judge("c4,-c4-curly-bracket,-c4-few-sentences", "int main(void) { return 0; }.", &out, &told),
	                 ""));
	CHECK(t, !strcmp(judge("c4-short-lines", "a b\nc", &out, &told), "c4-few-sentences")); /* nothing is left */
	buf_release(&out);
}

static void lists(struct test *t)
{
	struct rules_on on;
	struct err e = ERR_INIT;
	size_t n = 0;

	test_case(t, "names of rules and groups");
	CHECK(t, rules_count() <= RULES_MOST);
	CHECK(t, rules_parse(NULL, &on, &e) == 0 && !on.any);
	CHECK(t, rules_parse("gopher,-gopher-words", &on, &e) == 0 && on.any);
	for (size_t i = 0; i < rules_count(); i++)
		n += on.on[i];
	CHECK_MSG(t, n == 20, "%zu rules of Gopher's 21 but one", n);
	CHECK(t, rules_parse("gofer", &on, &e) < 0 && strstr(e.msg, "'gofer' is no filter"));
}

/* --- cleaning --- */

static void cleaning(struct test *t)
{
	static const struct {
		const char *in;
		size_t n;
		enum clean_verdict verdict;
		const char *out;
		int bad, controls, lines;
	} cases[] = {
		{ "a\r\nb\rc", 6, CLEAN_TEXT, "a\nb\nc", 0, 0, 2 },
		{ "a\xff\xfe z\xe4", 6, CLEAN_TEXT, "a\xef\xbf\xbd z\xef\xbf\xbd", 3, 0, 0 },
		{ "a\0b\x1b[0m\tc\xc2\x85", 11, CLEAN_TEXT, "ab[0m\tc", 0, 3, 0 },
		{ " \n\t\xc2\xa0", 5, CLEAN_EMPTY, NULL, 0, 0, 0 },
		{ "\xef\xbb\xbfx", 4, CLEAN_TEXT, "x", 0, 1, 0 },
	};
	struct clean_options o = { .text_column = "text" };
	struct buf out = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct clean_counts c = { 0 };
		test_case(t, "cleaned: case %zu", i);
		CHECK(t, clean_text(&o, cases[i].in, cases[i].n, false, &out, &c) == cases[i].verdict);
		CHECK_MSG(t, !cases[i].out || !strcmp(buf_str(&out), cases[i].out), "'%s'", buf_str(&out));
		CHECK(t, (int)c.bad_bytes == cases[i].bad && (int)c.controls == cases[i].controls);
		CHECK(t, (int)c.newlines == cases[i].lines && c.bad_texts == (cases[i].bad > 0));
	}
	buf_release(&out);
}

static void rows_and_forms(struct test *t)
{
	struct clean_options o = { .text_column = "text" };
	struct clean_counts c = { 0 };
	struct buf out = BUF_INIT;
	static const char row[] = "{\"text\": \"a\\u0000\xff b\"}";

	test_case(t, "rows: bad bytes are mended before they are read");
	CHECK(t, clean_text(&o, row, strlen(row), true, &out, &c) == CLEAN_TEXT);
	CHECK(t, !strcmp(buf_str(&out), "a\xef\xbf\xbd b") && c.bad_bytes == 1 && c.controls == 1);
	CHECK(t, clean_text(&o, "{\"t\": 1}", 8, true, &out, &c) == CLEAN_NO_COLUMN);
	CHECK(t, clean_text(&o, "{\"text\": ", 9, true, &out, &c) == CLEAN_BROKEN_ROW);
	CHECK(t, clean_text(&o, "[1]", 3, true, &out, &c) == CLEAN_BROKEN_ROW);
	o.bad = CLEAN_BAD_DROP;
	CHECK(t, clean_text(&o, row, strlen(row), true, &out, &c) == CLEAN_BAD_BYTES);
	o.bad = CLEAN_BAD_REMOVE;
	CHECK(t, clean_text(&o, row, strlen(row), true, &out, &c) == CLEAN_TEXT && !strcmp(buf_str(&out), "a b"));
	test_case(t, "normal forms: e and its accent, a ligature");
	o.form = CLEAN_NFC;
	CHECK(t, clean_text(&o, "e\xcc\x81\xef\xac\x81", 6, false, &out, &c) == CLEAN_TEXT);
	CHECK(t, !strcmp(buf_str(&out), "\xc3\xa9\xef\xac\x81") && c.normalized == 1);
	o.form = CLEAN_NFKC;
	clean_text(&o, "e\xcc\x81\xef\xac\x81", 6, false, &out, &c);
	CHECK(t, !strcmp(buf_str(&out), "\xc3\xa9"
	                                "fi"));
	buf_release(&out);
}

static void languages(struct test *t)
{
	static const struct {
		const char *text, *code;
	} cases[] = {
		{ "The cat sat on the mat and it was happy with that.", "en" },
		{ "Der Hund ist auf dem Feld und die Katze nicht.", "de" },
		{ "Le chat est dans la maison et il ne sort pas.", "fr" },
		{ "El perro no está en la casa, pero lo vio con los gatos.", "es" },
		{ "Он не знал, что это было так, и всё же она ушла.", "ru" },
		{ "吾輩は猫である。名前はまだ無い。", "ja" },
		{ "我是一只猫。我没有名字。", "zh" },
		{ "나는 고양이다. 이름은 아직 없다.", "ko" },
		{ "کل موسم بہت ٹھنڈا تھا لیکن آج گرمی ہے اور ہم بچوں کے ساتھ دریا پر جا سکتے ہیں۔", "ur" },
		{ "دیروز هوا خیلی سرد بود اما امروز گرم است و ما با بچه ها به کنار رودخانه برویم.", "fa" },
		{ "काल खूप थंडी होती पण आज उबदार आहे आणि आपण मुलांसोबत नदीवर जाऊ शकतो.", "mr" },
		{ "ਕੱਲ੍ਹ ਬਹੁਤ ਠੰਢ ਸੀ", "pa" },
		{ "12345 --- 678", "und" },
		{ "int main return void", "und" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct facts f = { 0 };
		test_case(t, "language: %s", cases[i].code);
		facts_make(&f, cases[i].text, strlen(cases[i].text));
		CHECK_MSG(t, !strcmp(language_guess(&f), cases[i].code), "%s", language_guess(&f));
		CHECK(t, language_is_known(cases[i].code, strlen(cases[i].code)));
		facts_release(&f);
	}
}

void test_corpus_rules(struct test *t)
{
	counts(t);
	values(t);
	c4(t);
	lists(t);
	cleaning(t);
	rows_and_forms(t);
	languages(t);
}
