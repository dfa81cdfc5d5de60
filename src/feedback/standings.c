/* standings: comparisons are counted into tables of models, which one likelihood reads: Bradley–Terry is Davidson's
 * without ties. See standings.h. */
#include "feedback/standings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "feedback/newton.h"

static const double initial = 1000, scale = 400;
/* What holds a draw of the bootstrap in which somebody won all: far out, as the interval's end should be. */
static const double hold = 1e-4;

struct game { size_t a, b, item; double won; };         /* models; by a */

struct table {
	size_t n;
	double *won, *tied;             /* [n][n] of the row's model, against the column's; tied is symmetric */
	int *group;                     /* [n] */
	int groups;
	bool davidson;
	double hold;
};

/* --- the likelihood --- */

struct chances { double win, lose, tie; };

static struct chances chances_of(double a, double b, double tie)
{
	double most = fmax(fmax(a, b), (a + b) / 2 + tie);
	double win = exp(a - most), lose = exp(b - most), even = exp((a + b) / 2 + tie - most);
	double sum = win + lose + even;

	return (struct chances){ win / sum, lose / sum, even / sum };
}

/* Second derivatives of one pair: N times the covariance of what a has (1, or ½ of a tie), of b's, and of the tie. */
static void curve_of(const struct table *t, size_t a, size_t b, double games, const struct chances *p, double *h)
{
	size_t dim = t->n + t->davidson, at[3] = { a, b, t->n };
	double mean[3] = { p->win + p->tie / 2, p->lose + p->tie / 2, p->tie };
	double both[3][3] = { { p->win + p->tie / 4, p->tie / 4, p->tie / 2 },
		              { p->tie / 4, p->lose + p->tie / 4, p->tie / 2 },
		              { p->tie / 2, p->tie / 2, p->tie } };

	for (int i = 0; i < 2 + t->davidson; i++)
		for (int k = 0; k < 2 + t->davidson; k++)
			h[at[i] * dim + at[k]] += games * (both[i][k] - mean[i] * mean[k]);
}

static double pair_value(const struct table *t, size_t a, size_t b, const double *x, double *g, double *h)
{
	double won = t->won[a * t->n + b], lost = t->won[b * t->n + a], tied = t->tied[a * t->n + b];
	double games = won + lost + tied;

	if (t->group[a] != t->group[b] || games <= 0)
		return 0;
	struct chances p = chances_of(x[a], x[b], t->davidson ? x[t->n] : -INFINITY);
	if (g) {
		double off = won + tied / 2 - games * (p.win + p.tie / 2);
		g[a] += off;
		g[b] -= off;
		if (t->davidson)
			g[t->n] += tied - games * p.tie;
		curve_of(t, a, b, games, &p, h);
	}
	if (!t->davidson)
		return (won + tied / 2) * log(p.win) + (lost + tied / 2) * log(p.lose);
	return (won > 0 ? won * log(p.win) : 0) + (lost > 0 ? lost * log(p.lose) : 0) +
	       (tied > 0 ? tied * log(p.tie) : 0);
}

/* A group's ratings have mean 0: its sum is held there, which takes nothing from the likelihood. */
static double held(const struct table *t, const double *x, double *g, double *h)
{
	size_t dim = t->n + t->davidson;
	double value = 0;

	for (size_t a = 0; a < t->n; a++)
		for (size_t b = 0; b < t->n; b++) {
			if (t->group[a] != t->group[b])
				continue;
			value -= x[a] * x[b] / 2;
			if (g) {
				g[a] -= x[b];
				h[a * dim + b] += 1;
			}
		}
	for (size_t i = 0; i < dim; i++) {
		value -= t->hold * x[i] * x[i] / 2;
		if (g) {
			g[i] -= t->hold * x[i];
			h[i * dim + i] += t->hold;
		}
	}
	return value;
}

static double likelihood(const void *ctx, const double *x, double *g, double *h)
{
	const struct table *t = ctx;
	double value = held(t, x, g, h);

	for (size_t a = 0; a < t->n; a++)
		for (size_t b = a + 1; b < t->n; b++)
			value += pair_value(t, a, b, x, g, h);
	return value;
}

/* --- games --- */

static void count_games(struct table *t, const struct game *games, size_t n, const uint32_t *times)
{
	memset(t->won, 0, 2 * t->n * t->n * sizeof(*t->won));
	for (size_t i = 0; i < n; i++) {
		const struct game *g = &games[i];
		double k = times ? (double)times[g->item] : 1;
		if (islessgreater(g->won, 0.5)) {
			t->won[g->won > 0.5 ? g->a * t->n + g->b : g->b * t->n + g->a] += k;
		} else {
			t->tied[g->a * t->n + g->b] += k;
			t->tied[g->b * t->n + g->a] += k;
		}
	}
}

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static size_t find_models(const struct said *s, const struct comparison *c, size_t n, const char **names)
{
	size_t all = 0, kept = 0;

	for (size_t i = 0; i < n; i++) {
		const struct feedback_item *it = &s->items[c[i].item];
		const char *a = it->models[c[i].a], *b = it->models[c[i].b];
		if (a && b && strcmp(a, b) != 0) {
			names[all++] = a;
			names[all++] = b;
		}
	}
	qsort(names, all, sizeof(*names), by_name);
	for (size_t i = 0; i < all; i++)
		if (kept == 0 || strcmp(names[kept - 1], names[i]) != 0)
			names[kept++] = names[i];
	return kept;
}

static size_t find(const char *const *names, size_t n, const char *name)
{
	const char *const *found = bsearch(&name, names, n, sizeof(*names), by_name);

	return (size_t)(found - names);
}

/* Items are numbered anew, those alone that have games; their number in *items. */
static size_t find_games(const struct said *s, const struct comparison *c, size_t n, const char *const *names,
                         size_t n_names, struct game *games, size_t *items)
{
	size_t kept = 0;

	*items = 0;
	size_t *number = mem_array(s->n_items, sizeof(*number));
	for (size_t i = 0; i < n; i++) {
		const struct feedback_item *it = &s->items[c[i].item];
		const char *a = it->models[c[i].a], *b = it->models[c[i].b];
		if (!a || !b || strcmp(a, b) == 0)
			continue;
		if (number[c[i].item] == 0)
			number[c[i].item] = ++*items;
		games[kept++] = (struct game){ find(names, n_names, a), find(names, n_names, b),
			                       number[c[i].item] - 1, c[i].won };
	}
	mem_free(number);
	return kept;
}

/* --- groups --- */

/* Marks all that is reached from a along wins and ties, or (met) along games whatever their end. */
static void reach(const struct table *t, size_t a, bool met, bool *seen, size_t *queue)
{
	size_t n = 0, next = 0;

	seen[a] = true;
	queue[n++] = a;
	while (next < n) {
		size_t i = queue[next++];
		for (size_t k = 0; k < t->n; k++) {
			double games = t->won[i * t->n + k] + t->tied[i * t->n + k];
			games += met ? t->won[k * t->n + i] : 0;
			if (games > 0 && !seen[k]) {
				seen[k] = true;
				queue[n++] = k;
			}
		}
	}
}

static int first_like(const bool *mine, const bool *theirs, size_t n, size_t a)
{
	for (size_t b = 0; b < a; b++)
		if (mine[b] && theirs[b * n + a])
			return (int)b;
	return (int)a;
}

/* Each group is called by its first model; *above: how many models each reaches. */
static void find_groups(struct table *t, int *island, size_t *above)
{
	size_t n = t->n, *queue = mem_array(n, sizeof(*queue));
	bool *won = mem_array(n * n, sizeof(*won)), *met = mem_array(n * n, sizeof(*met));

	for (size_t a = 0; a < n; a++) {
		reach(t, a, false, won + a * n, queue);
		reach(t, a, true, met + a * n, queue);
		for (size_t b = 0; b < n; b++)
			above[a] += won[a * n + b];
		t->group[a] = first_like(won + a * n, won, n, a);
		island[a] = first_like(met + a * n, met, n, a);
	}
	mem_free(met);
	mem_free(won);
	mem_free(queue);
}

/* --- the whole --- */

static bool fit(struct table *t, double *x)
{
	const struct newton f = { t->n + t->davidson, likelihood, t };

	return newton_climb(&f, x, NULL);
}

static double rated(double x) { return initial + scale * x / log(10); }

static size_t group_size(const struct table *t, size_t a)
{
	size_t n = 0;

	for (size_t b = 0; b < t->n; b++)
		n += t->group[a] == t->group[b];
	return n;
}

static double games_of(const struct table *t, size_t a, double *won, double *tied)
{
	double lost = 0;

	*won = *tied = 0;
	for (size_t b = 0; b < t->n; b++) {
		*won += t->won[a * t->n + b];
		*tied += t->tied[a * t->n + b];
		lost += t->won[b * t->n + a];
	}
	return *won + *tied + lost;
}

/* drawn[n][draws]: ratings of each draw. */
static void draw(struct table *t, const struct game *games, size_t n, size_t items, const double *x,
                 const struct resample *r, double *drawn)
{
	uint32_t *times = mem_array(items, sizeof(*times));
	double *y = mem_array(t->n + 1, sizeof(*y)), won, tied;

	t->hold = hold;
	for (int d = 0; d < r->draws; d++) {
		resample_times(times, items, r->seed, d);
		count_games(t, games, n, times);
		memcpy(y, x, (t->n + 1) * sizeof(*y));
		bool found = fit(t, y);
		for (size_t a = 0; a < t->n; a++)
			drawn[a * (size_t)r->draws + (size_t)d] =
				found && games_of(t, a, &won, &tied) > 0 ? rated(y[a]) : NAN;
	}
	mem_free(y);
	mem_free(times);
}

static int by_place(const void *a, const void *b)
{
	const struct standing *x = a, *y = b;
	double off = isnan(x->rating.value) || isnan(y->rating.value) ? 0 : y->rating.value - x->rating.value;

	if (x->group != y->group)
		return x->group - y->group;
	return islessgreater(off, 0) ? (off > 0) - (off < 0) : strcmp(x->model, y->model);
}

/* Groups get their numbers in the order of how many models they reach, which no group that lost to another exceeds. */
static void number_groups(struct standings *out, const struct table *t, const int *island, const size_t *above)
{
	for (size_t a = 0; a < t->n; a++) {
		out->islands += island[a] == (int)a;
		out->groups += t->group[a] == (int)a;
		for (size_t b = 0, mine = (size_t)t->group[a]; b < t->n; b++) {
			bool before = above[b] > above[mine] || (above[b] == above[mine] && b < mine);
			out->at[a].group += t->group[b] == (int)b && before;
			out->at[a].island += island[b] == (int)b && (int)b < island[a];
		}
	}
}

static void conclude(struct standings *out, struct table *t, const struct game *games, size_t n, size_t items,
                     const struct resample *r)
{
	double *x = mem_array(t->n + 1, sizeof(*x));
	double *drawn = mem_array(t->n * (size_t)MAX(r->draws, 1), sizeof(*drawn));
	bool found = fit(t, x);

	if (!found && t->davidson) {                    /* nothing but ties */
		t->davidson = false;
		memset(x, 0, (t->n + 1) * sizeof(*x));
		found = fit(t, x);
	}
	for (size_t a = 0; a < t->n; a++)
		out->at[a].games = games_of(t, a, &out->at[a].won, &out->at[a].tied);
	out->tie = t->davidson && found ? exp(x[t->n]) : NAN;
	if (found)
		draw(t, games, n, items, x, r, drawn);
	for (size_t a = 0; a < t->n; a++) {
		bool known = found && group_size(t, a) > 1;
		out->at[a].rating = resample_bounds(known ? rated(x[a]) : NAN, drawn + a * (size_t)r->draws,
		                                    known ? (size_t)r->draws : 0);
	}
	mem_free(drawn);
	mem_free(x);
}

void standings_of(struct standings *out, const struct said *s, const struct comparison *c, size_t n, bool davidson,
                  const struct resample *r, struct arena *mem)
{
	const char **names = mem_array(2 * n, sizeof(*names));
	struct game *games = mem_array(n, sizeof(*games));
	size_t n_names = find_models(s, c, n, names), items, n_games;
	struct table t = { .n = n_names };

	*out = (struct standings){ .n = n_names, .tie = NAN };
	n_games = find_games(s, c, n, names, n_names, games, &items);
	out->at = arena_array(mem, n_names, sizeof(*out->at));
	t.won = mem_array(2 * t.n * t.n, sizeof(*t.won));
	t.tied = t.won + t.n * t.n;
	t.group = mem_array(2 * t.n, sizeof(*t.group));
	int *island = t.group + t.n;
	size_t *above = mem_array(t.n, sizeof(*above));
	count_games(&t, games, n_games, NULL);
	find_groups(&t, island, above);
	for (size_t i = 0; davidson && i < n_games; i++)
		t.davidson |= !islessgreater(games[i].won, 0.5);
	for (size_t a = 0; a < t.n; a++)
		out->at[a].model = names[a];
	number_groups(out, &t, island, above);
	conclude(out, &t, games, n_games, items, r);
	qsort(out->at, out->n, sizeof(*out->at), by_place);
	mem_free(above);
	mem_free(t.group);
	mem_free(t.won);
	mem_free(games);
	mem_free(names);
}
