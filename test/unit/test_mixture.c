/* Mixtures of sources: shares, order, spreading, as corpus/mixture.h promises them. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "corpus/mixture.h"

enum { MOST_SOURCES = 12, MOST_WINDOWS = 4000 };

static struct mixture_source source(uint64_t windows, double weight, double epochs)
{
	return (struct mixture_source){ "some", windows, weight, epochs };
}

/* Every window once, in an order that is the seed's. */
static void plain(struct test *t)
{
	struct mixture_source s[] = { source(7, NAN, NAN), source(1, NAN, NAN), source(40, NAN, NAN) };
	struct mixture m, other;
	struct err e = ERR_INIT;
	int seen[3][40] = { 0 }, same = 0;

	test_case(t, "without weights each window comes once");
	CHECK(t, mixture_make(&m, s, 3, 5, &e) == 0 && mixture_make(&other, s, 3, 6, &e) == 0);
	CHECK(t, m.n_positions == 48);
	for (uint64_t p = 0; p < 48; p++) {
		struct mixture_pick a = mixture_at(&m, p), b = mixture_at(&other, p);
		seen[a.source][a.window]++;
		CHECK(t, a.epoch == 0 && a.source == b.source);
		same += a.window == b.window;
	}
	for (size_t i = 0; i < 3; i++)
		for (uint64_t w = 0; w < s[i].windows; w++)
			CHECK(t, seen[i][w] == 1);
	CHECK_MSG(t, same < 20, "%d of 48 windows are where another seed has them", same);
	CHECK(t, mixture_at(&m, 48).epoch == 1 && mixture_at(&m, 47 + 48 * 9).epoch == 9);
	mixture_release(&m);
	mixture_release(&other);
}

static void lengths(struct test *t)
{
	struct mixture m;
	struct err e = ERR_INIT;

	test_case(t, "how long a pass is");
	/* 0.7 of a pass is 100 windows once or more, 0.3 is 300 once or more: 1000, of which 700 are the first's */
	struct mixture_source s[] = { source(100, 7, NAN), source(300, 3, NAN) };
	CHECK(t, mixture_make(&m, s, 2, 1, &e) == 0 && m.n_positions == 1000 && m.share[0] == 700);
	mixture_release(&m);
	s[0].epochs = 4; /* ends at 400 windows of the first, then 171 of the second */
	CHECK(t, mixture_make(&m, s, 2, 1, &e) == 0 && m.n_positions == 571 && m.share[0] == 400);
	mixture_release(&m);
	struct mixture_source own[] = { source(100, NAN, 2.5), source(300, NAN, NAN) };
	CHECK(t, mixture_make(&m, own, 2, 1, &e) == 0 && m.n_positions == 550 && m.share[0] == 250);
	mixture_release(&m);
}

/* A mixture drawn at random; without weights one time in four. */
static size_t draw(struct rng_stream *r, struct mixture_source *s)
{
	size_t n = 1 + rng_below(r, MOST_SOURCES);
	bool weights = rng_below(r, 4) > 0;

	for (size_t i = 0; i < n; i++) {
		s[i] = source(1 + rng_below(r, 60), NAN, NAN);
		if (weights)
			s[i].weight = exp(3 * rng_next_float(r));
		if (rng_below(r, 4) == 0)
			s[i].epochs = 0.5 + rng_below(r, 5);
	}
	return n;
}

/* How far a source has come from its part at most. */
static double worst(const struct mixture *m, uint64_t passes, struct test *t)
{
	uint64_t count[MOST_SOURCES] = { 0 };
	static uint64_t seen[MOST_SOURCES][64];
	double far = 0;

	memset(seen, 0, sizeof(seen));
	for (uint64_t p = 0; p < m->n_positions * passes; p++) {
		struct mixture_pick k = mixture_at(m, p);
		CHECK(t, k.source < m->n_sources && k.window < m->windows[k.source]);
		CHECK(t, k.epoch == count[k.source] / m->windows[k.source]);
		CHECK(t, seen[k.source][k.window]++ == k.epoch); /* none again before all came */
		count[k.source]++;
		for (size_t i = 0; i < m->n_sources; i++)
			far = fmax(far, fabs((double)count[i] - (double)(p + 1) * (double)m->share[i] /
			                                                (double)m->n_positions));
	}
	for (size_t i = 0; i < m->n_sources; i++)
		CHECK(t, count[i] == passes * m->share[i]);
	return far;
}

static void properties(struct test *t)
{
	struct rng_stream r = { 77 };
	struct mixture_source s[MOST_SOURCES];
	struct err e = ERR_INIT;

	for (int k = 0; k < 60; k++) {
		struct mixture m;
		size_t n = draw(&r, s);
		test_case(t, "mixture %d of %zu sources", k, n);
		CHECK(t, mixture_make(&m, s, n, (uint64_t)k, &e) == 0);
		if (m.n_positions < MOST_WINDOWS) {
			double far = worst(&m, 2, t), most = n < 3 ? 0.5001 : n < 4 ? 1 : 1.7;
			CHECK_MSG(t, far <= most, "a source is %.3f windows from its part", far);
		}
		mixture_release(&m);
	}
}

static void large(struct test *t)
{
	struct mixture m;
	struct err e = ERR_INIT;
	struct mixture_source s[] = { source((uint64_t)1 << 40, NAN, NAN), source(3, NAN, NAN) };

	test_case(t, "positions beyond 32 bits");
	CHECK(t, mixture_make(&m, s, 2, 1, &e) == 0 && m.n_positions == ((uint64_t)1 << 40) + 3);
	struct mixture_pick p = mixture_at(&m, ((uint64_t)1 << 40) + 2);
	CHECK(t, p.window < s[p.source].windows && p.epoch == 0);
	p = mixture_at(&m, (uint64_t)1 << 60);
	CHECK(t, p.window < s[p.source].windows && p.epoch >= ((uint64_t)1 << 20) - 4);
	mixture_release(&m);
}

static void refused(struct test *t)
{
	static const struct { struct mixture_source s[2]; size_t n; const char *part; } cases[] = {
		{ { { "a", 1, NAN, NAN } }, 0, "a mixture of 0 sources" },
		{ { { "a", 0, NAN, NAN } }, 1, "'a' has fewer tokens than one window" },
		{ { { "a", 1, 1, NAN }, { "b", 1, NAN, NAN } }, 2, "'b' has no weight and 'a' has one" },
		{ { { "a", 1, NAN, NAN }, { "b", 1, 2, NAN } }, 2, "'b' has a weight and 'a' has none" },
		{ { { "a", 1, 0, NAN } }, 1, "the weight 0" },
		{ { { "a", 1, -1, NAN } }, 1, "the weight -1" },
		{ { { "a", 1, INFINITY, NAN } }, 1, "the weight inf" },
		{ { { "a", 1, 1, 0 } }, 1, "comes 0 times at most" },
		{ { { "a", 1000, 1e-17, NAN }, { "b", 1, 1, NAN } }, 2, "a weight is too small" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct mixture m;
		struct err e = ERR_INIT;
		test_case(t, "refused: %s", cases[i].part);
		CHECK(t, mixture_make(&m, cases[i].s, cases[i].n, 1, &e) < 0);
		CHECK_MSG(t, strstr(e.msg, cases[i].part) != NULL, "%s", e.msg);
	}
}

void test_mixture(struct test *t)
{
	plain(t);
	lengths(t);
	properties(t);
	large(t);
	refused(t);
}
