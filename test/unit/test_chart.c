/* test_chart: ticks are round and rise, hostile texts cannot leave their element or speak to a terminal, gaps stay
 * gaps, and no number, however extreme, makes a picture that a reader refuses. */
#include "../test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/markup.h"
#include "base/mem.h"
#include "base/term.h"
#include "base/utf8.h"
#include "chart/axis.h"
#include "chart/chart.h"

/* --- a reader of XML that knows just enough to refuse what is not well-formed --- */

static const char *skip_entity(const char *s)
{
	static const char *const known[] = { "&lt;", "&gt;", "&amp;", "&quot;", "&#39;" };
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strncmp(s, known[i], strlen(known[i])) == 0)
			return s + strlen(known[i]);
	return NULL;
}

/* ' name="value"'…, up to > or />; NULL when it is something else. */
static const char *skip_attributes(const char *s)
{
	while (*s == ' ') {
		s += 1 + strcspn(s + 1, "= >");
		if (strncmp(s, "=\"", 2) != 0)
			return NULL;
		for (s += 2; s && *s != '"';) {
			if (!*s || *s == '<')
				return NULL;
			s = *s == '&' ? skip_entity(s) : s + 1;
		}
		if (!s)
			return NULL;
		s++;
	}
	return s;
}

static bool well_formed(const char *s)
{
	char open[32][16];
	size_t depth = 0;
	if (!utf8_valid(s, strlen(s), NULL))
		return false;
	while (s && *s) {
		if (*s == '&') {
			s = skip_entity(s);
		} else if (*s != '<') {
			if ((unsigned char)*s < 0x20 && !strchr("\n\r\t", *s))
				return false;
			s++;
		} else if (s[1] == '/') {
			size_t n = strcspn(s + 2, ">");
			if (depth-- == 0 || strlen(open[depth]) != n || strncmp(open[depth], s + 2, n) != 0)
				return false;
			s += n + 3;
		} else {
			size_t n = strcspn(s + 1, " />");
			if (n == 0 || n > 15 || depth == 32)
				return false;
			memcpy(open[depth], s + 1, n);
			open[depth++][n] = 0;
			s = skip_attributes(s + 1 + n);
			if (s && *s == '/') {
				depth--;
				s++;
			}
			if (!s || *s++ != '>')
				return false;
		}
	}
	return s && depth == 0;
}

static size_t count(const char *text, const char *what)
{
	size_t n = 0;
	for (const char *at = text; (at = strstr(at, what)); at += strlen(what))
		n++;
	return n;
}

/* Both drawings of a chart, checked for what holds of every chart; *svg is the caller's. */
static void draw(struct test *t, const struct chart *c, struct buf *svg)
{
	struct buf text = BUF_INIT;
	buf_clear(svg);
	chart_svg(svg, c, 1);
	CHECK_MSG(t, well_formed(buf_str(svg)), "not well-formed: %.300s", buf_str(svg));
	CHECK(t, !strstr(svg->data, "nan") && !strstr(svg->data, "inf\"") && !strstr(svg->data, "inf "));
	CHECK(t, count(svg->data, "http") == 1 && !strstr(svg->data, "url("));
	for (int columns = 1; columns <= 100; columns += 33) {
		buf_clear(&text);
		chart_braille(&text, c, columns, 12, columns > 50);
		CHECK(t, utf8_valid(buf_str(&text), text.len, NULL));
		CHECK(t, columns > 50 || !strchr(text.data, '\033'));
		for (const char *line = text.data; *line && columns <= 50; line += strcspn(line, "\n") + 1)
			CHECK_MSG(t, term_columns(line, strcspn(line, "\n")) <= (size_t)MAX(columns, 20),
			          "a line too long for %d: %.120s", columns, line);
	}
	buf_release(&text);
}

/* --- axes --- */

static void check_ticks(struct test *t, double low, double high, bool is_log, const char *wanted)
{
	struct chart_series s = { .x = (double[]){ low, high }, .y = (double[]){ low, high }, .n = 2 };
	struct chart c = { .series = &s, .n_series = 1, .x_log = is_log };
	struct axis x, y;
	struct axis_ticks ticks;
	struct buf got = BUF_INIT;
	axis_fit(&c, &x, &y);
	axis_ticks(&x, 5, &ticks);
	for (size_t i = 0; i < ticks.n; i++) {
		CHECK(t, i == 0 || ticks.at[i] > ticks.at[i - 1]);
		buf_addf(&got, "%s%s", i > 0 ? " " : "", ticks.text[i]);
	}
	CHECK_MSG(t, strcmp(buf_str(&got), wanted) == 0, "from %g to %g: \"%s\", \"%s\" was wanted", low, high,
	          buf_str(&got), wanted);
	buf_release(&got);
}

static void test_axes(struct test *t)
{
	test_case(t, "ticks are round numbers in the fewest digits");
	check_ticks(t, 0, 1, false, "0 0.2 0.4 0.6 0.8 1.0");
	check_ticks(t, 0, 100, false, "0 20 40 60 80 100");
	check_ticks(t, 1.31, 3.62, false, "1.5 2.0 2.5 3.0 3.5");
	check_ticks(t, -3, 7, false, "-2 0 2 4 6");
	check_ticks(t, 0, 2e-4, false, "0 5e-5 1e-4 1.5e-4 2e-4");
	check_ticks(t, 0, 45000, false, "0 10k 20k 30k 40k");
	check_ticks(t, 0, 2.5e9, false, "0 0.5G 1G 1.5G 2G 2.5G");
	check_ticks(t, 1e20, 5e20, false, "1e20 2e20 3e20 4e20 5e20");

	test_case(t, "logarithmic ticks: powers of ten, parts of them where there are few, round numbers where there "
	             "is none");
	check_ticks(t, 1e-3, 1e3, true, "0.001 0.1 10 1000");
	check_ticks(t, 1, 80, true, "1 2 5 10 20 50");
	check_ticks(t, 2.1, 3.9, true, "2.5 3.0 3.5");

	test_case(t, "a range of one number gets surroundings");
	check_ticks(t, 4, 4, false, "2 3 4 5 6");
	check_ticks(t, 0, 0, false, "-0.4 -0.2 0 0.2 0.4");
	check_ticks(t, 3, NAN, true, "1 2 5");
}

/* --- drawings --- */

static void test_texts(struct test *t)
{
	struct buf b = BUF_INIT;
	test_case(t, "markup: escapes, and replaces what XML cannot hold");
	markup_text(&b, "a<b>&\"'\t\x01\xff\xef\xbf\xbe", 13);
	CHECK(t, strcmp(buf_str(&b), "a&lt;b&gt;&amp;&quot;&#39;\t\uFFFD\uFFFD\uFFFD") == 0);

	test_case(t, "terminal: escapes do not get through, widths count columns");
	buf_clear(&b);
	term_text(&b, "\033[31mred\x7f\xc2\x9b", 11);
	CHECK(t, strcmp(buf_str(&b), "\uFFFD[31mred\uFFFD\uFFFD") == 0);
	CHECK(t, term_columns("aé漢", 6) == 4 && term_fit("aé漢", 6, 3) == 3);
	CHECK(t, term_columns("e\u0301", 3) == 1);

	test_case(t, "hostile names stay texts");
	struct chart_series s[2] = { { .name = "</text><script>alert(1)</script>\"'&\033[2J\xff",
		                       .x = (double[]){ 1 },
		                       .y = (double[]){ 1 },
		                       .n = 1 },
		                     { .name = NULL, .x = (double[]){ 2 }, .y = (double[]){ 2 }, .n = 1 } };
	struct chart_mark marks[] = {
		{ 1, 1, "<mark>\033]0;x\007" }, { NAN, 2, "漢字" }, { 1, NAN, NULL }, { NAN, NAN, "nowhere" }
	};
	struct chart c = { .title = "<title>\xc0",
		           .x_label = "<x>\033",
		           .y_label = "<y>\r",
		           .series = s,
		           .n_series = 2,
		           .marks = marks,
		           .n_marks = 4 };
	draw(t, &c, &b);
	CHECK(t, !strstr(b.data, "<script") && strstr(b.data, "&lt;script&gt;"));
	buf_release(&b);
}

static void test_gaps(struct test *t)
{
	struct buf b = BUF_INIT;
	double x[] = { 0, 1, 2, 3, 4, 5 }, y[] = { 1, 2, NAN, 4, INFINITY, 6 }, low[] = { 0, 1, 1, NAN, 3, 3 },
	       high[] = { 2, 3, 3, 5, 6, 7 };
	struct chart_series s = { .x = x, .y = y, .low = low, .high = high, .n = 6 };
	struct chart c = { .title = "gaps", .series = &s, .n_series = 1 };

	test_case(t, "a gap ends a line, a point alone is a dot, a band has the gaps of its edges");
	draw(t, &c, &b);
	const char *line = strstr(b.data, "\" class=\"kc-line"), *path = line;
	while (path > b.data && path[-1] != '"')
		path--;
	char *copy = mem_strndup(path, (size_t)(line - path));
	CHECK_MSG(t, count(copy, "M") == 3 && count(copy, "L") == 1 && count(copy, "h0") == 2, "%s", copy);
	CHECK(t, count(b.data, "Z") == 2);
	CHECK(t, strstr(b.data, "6 points between 1 and ") != NULL);
	mem_free(copy);

	test_case(t, "no series, no points, only gaps: no data");
	struct chart_series none[] = { { .n = 0 },
		                       { .x = x, .y = (double[]){ NAN, NAN }, .n = 2 },
		                       { .x = x, .y = (double[]){ 0, -1 }, .n = 2 } };
	for (size_t i = 0; i < 4; i++) {
		c = (struct chart){ .series = &none[i % 3], .n_series = i < 3, .y_log = true };
		draw(t, &c, &b);
		CHECK(t, strstr(b.data, "no data") != NULL);
	}
	buf_release(&b);
}

static void test_extremes(struct test *t)
{
	static const double values[] = { 0,    -0.0,     1,   -1,          1e-308, 5e-324,   -1e308,    1.7e308,
		                         1e15, 1e15 + 1, 0.1, 0.1 + 1e-16, NAN,    INFINITY, -INFINITY, 123456789 };
	struct buf b = BUF_INIT;
	test_case(t, "any two numbers make a picture, on any axes");
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		for (size_t j = 0; j < ARRAY_LEN(values); j++)
			for (int kind = 0; kind < 4; kind++) {
				double v[] = { values[i], values[j] }, w[] = { values[j], values[i] };
				struct chart_series s[] = {
					{ .name = "a", .x = v, .y = w, .low = v, .high = w, .n = 2, .dashed = true },
					{ .name = "b", .x = v, .y = v, .n = 2, .points = true }
				};
				struct chart c = { .series = s, .n_series = 2, .x_log = kind & 1, .y_log = kind >> 1 };
				draw(t, &c, &b);
			}
	CHECK(t, strlen(buf_str(&b)) > 100);
	buf_release(&b);
}

static void test_many(struct test *t)
{
	enum { N = 200000 };
	struct buf b = BUF_INIT;
	double *x = mem_array(N, sizeof(*x)), *y = mem_array(N, sizeof(*y));
	for (size_t i = 0; i < N; i++) {
		x[i] = (double)i;
		y[i] = i == 77777 ? 50 : sin((double)i / 9000);
	}
	struct chart_series s = { .x = x, .y = y, .low = y, .high = y, .n = N };
	struct chart c = { .series = &s, .n_series = 1 };

	test_case(t, "many points: a few a pixel, and the one that stands out is drawn");
	draw(t, &c, &b);
	CHECK_MSG(t, b.len < 120000, "%zu bytes", b.len);
	size_t low = 1000;
	for (const char *at = strstr(b.data, "kc-band"); (at = strstr(at, "L")); at++) {
		const char *blank = strchr(at, ' ');
		low = MIN(low, (size_t)atoi(blank));
	}
	CHECK_MSG(t, low < 30, "the peak is at %zu", low);
	mem_free(x);
	mem_free(y);
	buf_release(&b);
}

static void test_braille(struct test *t)
{
	struct buf b = BUF_INIT;
	double x[] = { 0, 1 }, y[] = { 0, 1 };
	struct chart_series s[] = { { .name = "up", .x = x, .y = y, .n = 2 },
		                    { .name = "down", .x = x, .y = (double[]){ 1, 0 }, .n = 2 } };
	struct chart c = { .title = "cross", .x_label = "x", .series = s, .n_series = 2 };

	test_case(t, "braille: a cross as it should look");
	chart_braille(&b, &c, 24, 10, false);
	static const char wanted[] =
		"cross\n"
		"1.0 ┤⠒⠤⣀             ⣀⠤a\n"
		"    │   ⠉⠒⠤⣀     ⣀⠤⠒⠉\n"
		"0.5 ┤       ⠉⣒⠤⣒⠉\n"
		"    │    ⣀⠤⠒⠉   ⠉⠒⠤⣀\n"
		"  0 ┤⣀⠤⠒⠉           ⠉⠒⠤b\n"
		"    └┴────────┴────────┴\n"
		"     0       0.5       x\n"
		"     a up\n"
		"     b down\n";
	CHECK_MSG(t, strcmp(buf_str(&b), wanted) == 0, "\n%s", buf_str(&b));
	buf_release(&b);
}

/* Where the SVG's text s begins, its anchor its start. */
static bool place_of(const char *svg, const char *s, double *x, double *y)
{
	char *end = mem_printf(">%s</text>", s);
	const char *at = strstr(svg, end);

	mem_free(end);
	while (at && at > svg && strncmp(at, "<text", 5) != 0)
		at--;
	return at && sscanf(at, "<text x=\"%lf\" y=\"%lf\"", x, y) == 2;
}

static void test_names(struct test *t)
{
	static const char *const names[] = { "probe", "knn", "few-shot", "calibrated", "cascade", "lora" };
	enum { N = ARRAY_LEN(names) };
	struct chart_mark marks[N];
	double x[N], y[N], left[N], line[N];
	struct buf b = BUF_INIT, svg = BUF_INIT;

	for (size_t i = 0; i < N; i++) {
		x[i] = 100 + (double)i / 2;
		y[i] = 0.5 + 0.01 * (double)(i % 3);
		marks[i] = (struct chart_mark){ x[i], y[i], names[i] };
	}
	struct chart_series s = { .name = "ways", .x = x, .y = y, .n = N, .points = true };
	double far[] = { 0, 150 }, one[] = { 0, 1 };
	struct chart_series both[] = { s, { .name = "far", .x = far, .y = one, .n = 2, .dashed = true } };
	struct chart c = { .series = both, .n_series = 2, .marks = marks, .n_marks = N };
	chart_braille(&b, &c, 100, 16, false);
	chart_svg(&svg, &c, 1);

	test_case(t, "names of near points: each is whole, and none stands on another");
	for (size_t i = 0; i < N; i++) {
		CHECK_MSG(t, strstr(buf_str(&b), names[i]), "%s is not there whole:\n%s", names[i], buf_str(&b));
		CHECK_MSG(t, place_of(buf_str(&svg), names[i], &left[i], &line[i]), "%s is in no picture", names[i]);
		for (size_t k = 0; k < i; k++)
			CHECK_MSG(t, fabs(line[i] - line[k]) >= 13 ||
			                     left[i] + 6.6 * (double)strlen(names[i]) <= left[k] + 0.11 ||
			                     left[k] + 6.6 * (double)strlen(names[k]) <= left[i] + 0.11,
			          "%s and %s", names[i], names[k]);
	}
	buf_release(&b);
	buf_release(&svg);
}

void test_chart(struct test *t)
{
	test_axes(t);
	test_texts(t);
	test_gaps(t);
	test_extremes(t);
	test_many(t);
	test_braille(t);
	test_names(t);
}
