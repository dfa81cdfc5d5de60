/* test_page: the pages of feedback and of serve as texts. What would break: a second script or style, whose hash the
 * server would not name; a handler, a style or markup made of text, which its policy refuses; something from elsewhere;
 * a key that is shown and does nothing; a name of an element that is not there; a colour that cannot be read on what
 * lies below it. What the pages do is tried in a browser by tools/browser-feedback and tools/browser-serve. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "base/mem.h"

extern const char page_feedback[], page_serve[];

/* The parts, each a text of its own. */
struct page {
	const char *whole;
	char *markup, *style, *script;
};

static size_t count(const char *text, const char *word)
{
	size_t n = 0;

	for (const char *at = text; (at = strstr(at, word)); at += strlen(word))
		n++;
	return n;
}

/* Cuts what lies between two words out of the text. */
static char *cut(struct test *t, char *text, const char *open, const char *close)
{
	char *from = strstr(text, open), *to = from ? strstr(from, close) : NULL, *inside;

	CHECK_MSG(t, from && to && count(text, open) == 1 && count(text, close) == 1, "one %s", open);
	if (!from || !to)
		return mem_strdup("");
	from += strlen(open);
	inside = mem_strndup(from, (size_t)(to - from));
	memmove(from, to, strlen(to) + 1);
	return inside;
}

static void test_whole(struct test *t, const struct page *p)
{
	static const char *const never[] = {
		"style=", "http:", "https:", "src=", "@import", "url(", "<base", "<iframe",
	};
	static const char *const markup_of_text[] = {
		"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", ".style",
		"setHTML", "createContextualFragment", "DOMParser", "srcdoc", "import(",
	};

	test_case(t, "nothing from elsewhere, no style in an attribute");
	for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++)
		CHECK_MSG(t, !strstr(p->whole, never[i]), "%s", never[i]);
	CHECK(t, count(p->markup, "href=") == 1 && strstr(p->markup, "<link rel=\"icon\" href=\"data:,\">"));
	test_case(t, "no handler in an attribute");
	for (const char *at = p->markup; (at = strstr(at, " on")); at += 3) {
		const char *end = at + 3;

		while (isalpha((unsigned char)*end))
			end++;
		CHECK_MSG(t, *end != '=', "%.20s", at);
	}
	test_case(t, "text never becomes markup");
	for (size_t i = 0; i < sizeof(markup_of_text) / sizeof(*markup_of_text); i++)
		CHECK_MSG(t, !strstr(p->script, markup_of_text[i]), "%s", markup_of_text[i]);
}

/* What stands after each `before` up to the quote or the like in `ends` is handed to `check`. */
static size_t each(struct test *t, const struct page *p, const char *text, const char *before, const char *ends,
                   void (*check)(struct test *t, const struct page *p, const char *word))
{
	size_t n = 0;

	for (const char *at = text; (at = strstr(at, before)); n++) {
		char *word;

		at += strlen(before);
		word = mem_strndup(at, strcspn(at, ends));
		check(t, p, word);
		mem_free(word);
	}
	return n;
}

static void check_element(struct test *t, const struct page *p, const char *id)
{
	char wanted[128];

	snprintf(wanted, sizeof(wanted), " id=\"%s\"", id);
	CHECK_MSG(t, count(p->markup, wanted) == 1, "no element %s, or two", id);
}

static void check_act(struct test *t, const struct page *p, const char *name)
{
	char wanted[128];

	snprintf(wanted, sizeof(wanted), "function %s(", name);
	CHECK_MSG(t, count(p->script, wanted) == 1, "no function %s", name);
}

/* A key that a button shows is in the table of keys; Esc is the dialog's own. */
static void check_key(struct test *t, const struct page *p, const char *shown)
{
	const char *table = strstr(p->script, "const KEYS = [");
	char wanted[32];

	if (!strcmp(shown, "Esc"))
		return;
	snprintf(wanted, sizeof(wanted), "keys: [\"%s\"]", !strcmp(shown, "Space") ? " " : shown);
	for (char *c = wanted; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	CHECK_MSG(t, table && strstr(table, wanted), "%s does nothing", shown);
}

static void test_names(struct test *t, const struct page *p, size_t least)
{
	test_case(t, "elements that the script names are there, once");
	CHECK(t, each(t, p, p->script, "$(\"", "\"", check_element) > least);
	each(t, p, p->markup, " for=\"", "\"", check_element);
	each(t, p, p->markup, " aria-labelledby=\"", "\"", check_element);
	each(t, p, p->markup, " aria-controls=\"", "\"", check_element);
}

static void test_keys(struct test *t, const struct page *p)
{
	test_case(t, "keys that are shown act");
	CHECK(t, each(t, p, p->markup, "<kbd>", "<", check_key) > 8);
	CHECK(t, each(t, p, p->script, "act: ", " ", check_act) > 8);
}

/* Relative luminance of `--name: #rrggbb` (WCAG 2.2), NAN where it is not there. */
static double luminance(const char *theme, const char *name)
{
	static const double share[] = { 0.2126, 0.7152, 0.0722 };
	char wanted[32];
	const char *at;
	double sum = 0;
	unsigned rgb;

	snprintf(wanted, sizeof(wanted), "--%s: #", name);
	at = strstr(theme, wanted);
	if (!at)
		return NAN;
	rgb = (unsigned)strtoul(at + strlen(wanted), NULL, 16);
	for (int i = 0; i < 3; i++) {
		double c = (rgb >> (16 - 8 * i) & 255) / 255.0;

		sum += share[i] * (c <= 0.04045 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4));
	}
	return sum;
}

static void test_contrast(struct test *t, const struct page *p)
{
	static const struct { const char *on, *below; double least; } pairs[] = {
		{ "ink", "paper", 7 }, { "ink", "sheet", 7 }, { "soft", "paper", 4.5 }, { "soft", "sheet", 4.5 },
		{ "accent", "sheet", 4.5 }, { "accent", "paper", 4.5 }, { "accent", "wash", 4.5 },
		{ "on-accent", "accent", 4.5 }, { "alarm", "paper", 4.5 }, { "alarm", "sheet", 4.5 },
		{ "edge", "sheet", 3 }, { "edge", "paper", 3 },
	};
	const char *theme[] = { p->style, strstr(p->style, "prefers-color-scheme: dark") };

	for (int i = 0; i < 2; i++) {
		test_case(t, "contrast, %s", i ? "dark" : "light");
		for (size_t k = 0; k < sizeof(pairs) / sizeof(*pairs); k++) {
			double a = luminance(theme[i], pairs[k].on), b = luminance(theme[i], pairs[k].below);
			double ratio = (fmax(a, b) + 0.05) / (fmin(a, b) + 0.05);

			CHECK_MSG(t, ratio >= pairs[k].least, "%s on %s: %.2f", pairs[k].on, pairs[k].below, ratio);
		}
	}
}

/* names: how many elements the script names at least. */
static void test_one(struct test *t, const char *whole, size_t names, bool keys)
{
	struct page p = { whole, mem_strdup(whole) };

	test_case(t, "one style, one script");
	p.style = cut(t, p.markup, "<style>", "</style>");
	p.script = cut(t, p.markup, "<script>", "</script>");
	CHECK(t, count(whole, "<script") == 1 && count(whole, "<style") == 1);
	test_whole(t, &p);
	test_names(t, &p, names);
	if (keys)
		test_keys(t, &p);
	test_contrast(t, &p);
	mem_free(p.markup);
	mem_free(p.style);
	mem_free(p.script);
}

void test_page(struct test *t)
{
	test_one(t, page_feedback, 50, true);
	test_one(t, page_serve, 50, false);
}
