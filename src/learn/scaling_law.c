/* scaling_law: the fit of a loss by size and length. See scaling_law.h.
 *
 * Fitted are (a, α, b, β, e) of  log L = log(exp(a − α·x) + exp(b − β·y) + exp(e)),  x and y the
 * logarithms of N and D less their means, so that no number moves the others much. For each α and β of a
 * grid the three others begin where least squares of what the runs lost has them (not below a small part of
 * it); the best go on to L-BFGS. */
#include "learn/scaling_law.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "learn/minimize.h"

enum { A, ALPHA, B, BETA, E, NUMBERS, GOES_ON = 6, STEPS = 400 };

static const double delta = 1e-3, least_exponent = 0.02, most_exponent = 2, steep = 1e8;
static const double grid[] = { 0.1, 0.2, 0.3, 0.4, 0.55, 0.75, 1.0 };
enum { GRID = 7 };

struct data {
	size_t n;
	double *x, *y, *log_loss, *weight;  /* weight: how often a run was drawn */
	double x_mean, y_mean;
};

/* --- the value --- */

static double predicted(const double *p, double x, double y, double part[3])
{
	double term[3] = { p[A] - p[ALPHA] * x, p[B] - p[BETA] * y, p[E] }, sum = 0;
	double most = fmax(term[0], fmax(term[1], term[2]));

	for (int i = 0; i < 3; i++)
		sum += part[i] = exp(term[i] - most);
	for (int i = 0; i < 3; i++)
		part[i] /= sum;
	return most + log(sum);
}

/* Grows from where an exponent leaves what any has been found in. */
static double hold(double exponent, double *g)
{
	double over = exponent - fmax(least_exponent, fmin(most_exponent, exponent));

	*g += 2 * steep * over;
	return steep * over * over;
}

/* Huber's function over δ², which has the same minimum and numbers of a size that L-BFGS likes. */
static double value(void *ctx, const double *p, double *g)
{
	const struct data *d = ctx;
	double sum = 0;

	memset(g, 0, NUMBERS * sizeof(*g));
	for (size_t i = 0; i < d->n; i++) {
		double part[3], r = (predicted(p, d->x[i], d->y[i], part) - d->log_loss[i]) / delta;
		double slope = d->weight[i] * fmax(-1, fmin(1, r)) / delta;
		sum += d->weight[i] * (fabs(r) <= 1 ? r * r / 2 : fabs(r) - 0.5);
		g[A] += slope * part[0];
		g[ALPHA] -= slope * part[0] * d->x[i];
		g[B] += slope * part[1];
		g[BETA] -= slope * part[1] * d->y[i];
		g[E] += slope * part[2];
	}
	return sum + hold(p[ALPHA], &g[ALPHA]) + hold(p[BETA], &g[BETA]);
}

/* --- beginnings --- */

/* The 3×3 system m·v = r by elimination with pivots; false where it has none. */
static bool solve(double m[3][4], double v[3])
{
	for (int c = 0; c < 3; c++) {
		int best = c;
		for (int r = c + 1; r < 3; r++)
			best = fabs(m[r][c]) > fabs(m[best][c]) ? r : best;
		for (int k = 0; k < 4; k++) {
			double swap = m[c][k];
			m[c][k] = m[best][k];
			m[best][k] = swap;
		}
		if (fabs(m[c][c]) < 1e-14)
			return false;
		for (int r = 0; r < 3; r++)
			for (int k = 3; r != c && k >= c; k--)
				m[r][k] -= m[r][c] / m[c][c] * m[c][k];
	}
	for (int c = 0; c < 3; c++)
		v[c] = m[c][3] / m[c][c];
	return true;
}

static void begin_at(const struct data *d, double alpha, double beta, double p[NUMBERS])
{
	double m[3][4] = { { 0 } }, v[3], least = INFINITY;

	for (size_t i = 0; i < d->n; i++) {
		double row[4] = { exp(-alpha * d->x[i] - d->log_loss[i]), exp(-beta * d->y[i] - d->log_loss[i]),
			          exp(-d->log_loss[i]), 1 };
		least = fmin(least, exp(d->log_loss[i]));
		for (int r = 0; r < 3; r++)
			for (int k = 0; k < 4; k++)
				m[r][k] += d->weight[i] * row[r] * row[k];
	}
	if (!solve(m, v))
		v[0] = v[1] = v[2] = least / 3;
	for (int i = 0; i < 3; i++)
		v[i] = log(fmax(v[i], least / 100));
	p[A] = v[0];
	p[ALPHA] = alpha;
	p[B] = v[1];
	p[BETA] = beta;
	p[E] = v[2];
}

struct beginning { double value, p[NUMBERS]; };

static int by_value(const void *a, const void *b)
{
	double x = ((const struct beginning *)a)->value, y = ((const struct beginning *)b)->value;

	return (x > y) - (x < y);
}

/* --- the fit --- */

static int descend(const struct data *d, struct beginning *b, struct err *e)
{
	struct minimize m = { .n = NUMBERS, .value = value, .ctx = (void *)(uintptr_t)d, .tolerance = 1e-7,
		              .most = STEPS };

	if (minimize(&m, b->p, e) < 0)
		return -1;
	b->value = m.last;
	return 0;
}

/* near: where the whole data's fit ended, for a draw of them; NULL: nowhere. */
static int fit(const struct data *d, const double *near, double p[NUMBERS], struct err *e)
{
	struct beginning all[GRID * GRID];
	double g[NUMBERS];
	int goes_on = near ? 1 : GOES_ON, best = 0;

	for (size_t i = 0; i < GRID * GRID; i++) {
		begin_at(d, grid[i / GRID], grid[i % GRID], all[i].p);
		all[i].value = value((void *)(uintptr_t)d, all[i].p, g);
	}
	qsort(all, GRID * GRID, sizeof(*all), by_value);
	if (near) {
		memcpy(all[1].p, near, sizeof(all[1].p));
		goes_on = 2;
	}
	for (int i = 0; i < goes_on; i++) {
		if (descend(d, &all[i], e) < 0)
			return -1;
		best = all[i].value < all[best].value ? i : best;
	}
	memcpy(p, all[best].p, sizeof(all[best].p));
	return 0;
}

static struct scaling_law law_of(const struct data *d, const double *p)
{
	return (struct scaling_law){ .e = exp(p[E]), .a = exp(p[A] + p[ALPHA] * d->x_mean), .alpha = p[ALPHA],
		                     .b = exp(p[B] + p[BETA] * d->y_mean), .beta = p[BETA] };
}

/* --- draws --- */

/* Runs as often as they are drawn; sizes and lengths of at least two kinds, and as many runs as numbers. */
static bool draw(struct data *d, struct rng_key key, uint32_t number, uint32_t try)
{
	size_t kinds = 0;
	double x_low = INFINITY, x_high = -INFINITY, y_low = INFINITY, y_high = -INFINITY;

	memset(d->weight, 0, d->n * sizeof(*d->weight));
	for (size_t i = 0; i < d->n; i++)
		d->weight[(size_t)(rng_uniform(key, i, number, try) * (float)d->n)]++;
	for (size_t i = 0; i < d->n; i++)
		if (d->weight[i] > 0) {
			kinds++;
			x_low = fmin(x_low, d->x[i]);
			x_high = fmax(x_high, d->x[i]);
			y_low = fmin(y_low, d->y[i]);
			y_high = fmax(y_high, d->y[i]);
		}
	return kinds >= NUMBERS && x_high > x_low && y_high > y_low;
}

static int draw_all(struct scaling_fit *out, struct data *d, const double *whole, uint64_t seed, struct err *e)
{
	struct rng_key key = { seed, RNG_SAMPLE };
	double p[NUMBERS];

	for (int i = 0; i < SCALING_DRAWS; i++) {
		uint32_t try = 0;
		while (!draw(d, key, (uint32_t)i, try) && try < 100)
			try++;
		if (try == 100)
			continue;
		if (fit(d, whole, p, e) < 0)
			return -1;
		out->draw[out->n_draws++] = law_of(d, p);
	}
	return 0;
}

static int upward(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* What `number` makes of the fit, and of each draw: the middle 95 %. */
static struct scaling_range range_of(const struct scaling_fit *f,
                                     double (*number)(const struct scaling_law *l, const double *at), const double *at)
{
	double x[SCALING_DRAWS];
	struct scaling_range r = { number(&f->law, at), NAN, NAN };

	for (int i = 0; i < f->n_draws; i++)
		x[i] = number(&f->draw[i], at);
	qsort(x, (size_t)f->n_draws, sizeof(*x), upward);
	if (f->n_draws > 1) {
		r.low = x[(int)(0.025 * f->n_draws)];
		r.high = x[(int)(0.975 * (f->n_draws - 1) + 0.5)];
	}
	return r;
}

static double get_e(const struct scaling_law *l, const double *at) { (void)at; return l->e; }
static double get_a(const struct scaling_law *l, const double *at) { (void)at; return l->a; }
static double get_alpha(const struct scaling_law *l, const double *at) { (void)at; return l->alpha; }
static double get_b(const struct scaling_law *l, const double *at) { (void)at; return l->b; }
static double get_beta(const struct scaling_law *l, const double *at) { (void)at; return l->beta; }

/* --- what callers see --- */

static int check(const struct scaling_point *p, size_t n, struct err *e)
{
	bool sizes = false, lengths = false;

	if (n < SCALING_LEAST)
		return err_set(e, "a scaling law has 5 numbers: at least %d runs were wanted, there are %zu",
		               SCALING_LEAST, n);
	for (size_t i = 0; i < n; i++) {
		if (!(p[i].n > 0) || !(p[i].tokens > 0) || !(p[i].loss > 0) || isinf(p[i].loss))
			return err_set(e, "run %zu: %g parameters, %g tokens, loss %g: numbers above 0 were wanted",
			               i + 1, p[i].n, p[i].tokens, p[i].loss);
		sizes |= p[i].n != p[0].n;
		lengths |= p[i].tokens != p[0].tokens;
	}
	if (sizes && lengths)
		return 0;
	return err_set(e, "a scaling law wants runs of several %s", sizes ? "lengths" : "sizes");
}

static void take(struct data *d, const struct scaling_point *p, size_t n)
{
	*d = (struct data){ .n = n, .x = mem_array(4 * n, sizeof(double)) };
	d->y = d->x + n;
	d->log_loss = d->y + n;
	d->weight = d->log_loss + n;
	for (size_t i = 0; i < n; i++) {
		d->x_mean += log(p[i].n) / (double)n;
		d->y_mean += log(p[i].tokens) / (double)n;
	}
	for (size_t i = 0; i < n; i++) {
		d->x[i] = log(p[i].n) - d->x_mean;
		d->y[i] = log(p[i].tokens) - d->y_mean;
		d->log_loss[i] = log(p[i].loss);
		d->weight[i] = 1;
	}
}

int scaling_fit(struct scaling_fit *out, const struct scaling_point *points, size_t n, uint64_t seed, struct err *e)
{
	struct data d;
	double p[NUMBERS], squares = 0;

	*out = (struct scaling_fit){ 0 };
	if (check(points, n, e) < 0)
		return -1;
	take(&d, points, n);
	int status = fit(&d, NULL, p, e);
	out->law = law_of(&d, p);
	for (size_t i = 0; i < n; i++) {
		squares += pow(log(scaling_loss(&out->law, points[i].n, points[i].tokens)) - d.log_loss[i], 2);
		out->flops = fmax(out->flops, 6 * points[i].n * points[i].tokens);
	}
	out->error = sqrt(squares / (double)n);
	if (status == 0)
		status = draw_all(out, &d, p, seed, e);
	mem_free(d.x);
	out->e = range_of(out, get_e, NULL);
	out->a = range_of(out, get_a, NULL);
	out->alpha = range_of(out, get_alpha, NULL);
	out->b = range_of(out, get_b, NULL);
	out->beta = range_of(out, get_beta, NULL);
	return status;
}

double scaling_loss(const struct scaling_law *l, double n, double tokens)
{
	return l->e + l->a * pow(n, -l->alpha) + l->b * pow(tokens, -l->beta);
}

void scaling_optimal(const struct scaling_law *l, double flops, double *n, double *tokens)
{
	double sum = l->alpha + l->beta, g = pow(l->alpha * l->a / (l->beta * l->b), 1 / sum);

	*n = g * pow(flops / 6, l->beta / sum);
	*tokens = flops / 6 / *n;
}

static double loss_at(const struct scaling_law *l, const double *at) { return scaling_loss(l, at[0], at[1]); }

static double size_at(const struct scaling_law *l, const double *flops)
{
	double n, tokens;

	scaling_optimal(l, *flops, &n, &tokens);
	return n;
}

static double tokens_at(const struct scaling_law *l, const double *flops)
{
	double n, tokens;

	scaling_optimal(l, *flops, &n, &tokens);
	return tokens;
}

struct scaling_range scaling_expect(const struct scaling_fit *f, double n, double tokens)
{
	return range_of(f, loss_at, (const double[]){ n, tokens });
}

struct scaling_advice scaling_advise(const struct scaling_fit *f, double flops)
{
	struct scaling_advice a = { .n = range_of(f, size_at, &flops), .tokens = range_of(f, tokens_at, &flops) };

	a.loss = scaling_expect(f, a.n.value, a.tokens.value);
	return a;
}

double scaling_reach(const struct scaling_fit *f, double n, double tokens) { return 6 * n * tokens / f->flops; }
