/* label_scores: counts first, then scores of them, then each row's share of their errors. See label_scores.h. */
#include "eval/label_scores.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const double z = 1.96;

/* From Σ (∂T/∂row)². */
static struct estimate smooth(double value, double squares, double least, size_t n)
{
	double error = n > 1 ? sqrt((double)n / (double)(n - 1) * squares) : NAN;

	return (struct estimate){ .mean = value, .stderr_ = error, .n = n,
		                  .low = isnan(error) ? NAN : fmax(least, value - z * error),
		                  .high = isnan(error) ? NAN : fmin(1, value + z * error) };
}

static double ratio(double a, double b) { return b > 0 ? a / b : 0; }

static double f1_of(const struct label_score *c)
{
	return ratio(2 * (double)c->hits, (double)(c->rows + c->said));
}

/* What one row more that has the label, of which it was said, or both, adds to its F1. */
static double f1_moves(const struct label_score *c, bool has, bool said)
{
	double sum = (double)(c->rows + c->said);

	return sum > 0 ? (2 * (has && said) - f1_of(c) * (has + said)) / sum : 0;
}

static struct estimate share(size_t hits, size_t n)
{
	struct estimate x = estimate_share(hits, n);

	x.mean = n ? x.mean : 0;
	return x;
}

static void score_shares(struct label_scores *s)
{
	for (int k = 0; k < s->n; k++) {
		struct label_score *c = &s->each[k];
		c->precision = share(c->hits, c->said);
		c->recall = share(c->hits, c->rows);
	}
}

/* --- one label a row --- */

static void count_single(struct label_scores *s, const int32_t *has, const int32_t *said)
{
	size_t n = (size_t)s->n;

	s->each = mem_array(n, sizeof(*s->each));
	s->confusion = s->n <= CONFUSION_LABELS ? mem_array(n * n, sizeof(*s->confusion)) : NULL;
	for (size_t i = 0; i < s->rows; i++) {
		s->each[has[i]].rows++;
		s->each[said[i]].said++;
		s->each[has[i]].hits += has[i] == said[i];
		if (s->confusion)
			s->confusion[(size_t)has[i] * n + (size_t)said[i]]++;
	}
}

/* Of label k alone: rows are of three kinds but for those that it has no part in. */
static struct estimate f1_estimate(const struct label_score *c, size_t rows)
{
	double both = f1_moves(c, true, true), one = f1_moves(c, true, false);
	double squares = (double)c->hits * both * both + (double)(c->rows + c->said - 2 * c->hits) * one * one;

	return smooth(f1_of(c), squares, 0, rows);
}

static void score_f1(struct label_scores *s, const int32_t *has, const int32_t *said)
{
	double sum = 0, squares = 0;
	int there = 0;

	for (int k = 0; k < s->n; k++) {
		struct label_score *c = &s->each[k];
		c->f1 = f1_estimate(c, s->rows);
		there += c->rows + c->said > 0;
		sum += f1_of(c);
	}
	for (size_t i = 0; i < s->rows; i++) {
		bool same = has[i] == said[i];
		double move = f1_moves(&s->each[has[i]], true, same) +
		              (same ? 0 : f1_moves(&s->each[said[i]], false, true));
		squares += move * move / ((double)there * there);
	}
	s->macro_f1 = smooth(sum / there, squares, 0, s->rows);
}

/* N/√(A·B) of N = c·n − Σ t·q, A = n² − Σ q², B = n² − Σ t²; c: hits, t: rows, q: said. */
static void score_mcc(struct label_scores *s, const int32_t *has, const int32_t *said)
{
	double n = (double)s->rows, hits = 0, tq = 0, tt = 0, qq = 0, squares = 0;

	for (int k = 0; k < s->n; k++) {
		double t = (double)s->each[k].rows, q = (double)s->each[k].said;
		hits += (double)s->each[k].hits;
		tq += t * q;
		tt += t * t;
		qq += q * q;
	}
	double N = hits * n - tq, A = n * n - qq, B = n * n - tt, root = sqrt(A * B);
	for (size_t i = 0; i < s->rows && A > 0 && B > 0; i++) {
		double t = (double)s->each[said[i]].rows, q = (double)s->each[has[i]].said;
		double dN = (has[i] == said[i] ? n : 0) + hits - q - t;
		double dA = 2 * n - 2 * (double)s->each[said[i]].said, dB = 2 * n - 2 * (double)s->each[has[i]].rows;
		double move = dN / root - N / root * (dA / A + dB / B) / 2;
		squares += move * move;
	}
	s->mcc = A > 0 && B > 0 ? smooth(N / root, squares, -1, s->rows) :
	                          (struct estimate){ .stderr_ = NAN, .low = NAN, .high = NAN, .n = s->rows };
}

void label_scores_single(struct label_scores *s, int n, const int32_t *has, const int32_t *said, size_t rows)
{
	size_t hits = 0;

	*s = (struct label_scores){ .n = n, .rows = rows };
	count_single(s, has, said);
	for (int k = 0; k < n; k++)
		hits += s->each[k].hits;
	s->accuracy = estimate_share(hits, rows);
	score_shares(s);
	score_f1(s, has, said);
	score_mcc(s, has, said);
}

/* --- several labels a row --- */

static void count_multi(struct label_scores *s, const uint8_t *has, const uint8_t *said, struct label_score *all)
{
	size_t n = (size_t)s->n;

	s->each = mem_array(n, sizeof(*s->each));
	for (size_t i = 0; i < s->rows; i++)
		for (size_t k = 0; k < n; k++) {
			bool a = has[i * n + k], b = said[i * n + k];
			s->each[k].rows += a;
			s->each[k].said += b;
			s->each[k].hits += a && b;
		}
	for (size_t k = 0; k < n; k++) {
		all->rows += s->each[k].rows;
		all->said += s->each[k].said;
		all->hits += s->each[k].hits;
	}
}

void label_scores_multi(struct label_scores *s, int n, const uint8_t *has, const uint8_t *said, size_t rows)
{
	struct label_score all = { 0 };
	double macro = 0, macro_squares = 0, micro_squares = 0;
	size_t whole = 0;

	*s = (struct label_scores){ .n = n, .rows = rows };
	count_multi(s, has, said, &all);
	score_shares(s);
	for (int k = 0; k < n; k++) {
		s->each[k].f1 = f1_estimate(&s->each[k], rows);
		macro += f1_of(&s->each[k]) / n;
	}
	for (size_t i = 0; i < rows; i++) {
		double one = 0, together = 0;
		for (int k = 0; k < n; k++) {
			bool a = has[i * (size_t)n + (size_t)k], b = said[i * (size_t)n + (size_t)k];
			one += f1_moves(&s->each[k], a, b) / n;
			together += f1_moves(&all, a, b);
		}
		macro_squares += one * one;
		micro_squares += together * together;
		whole += !memcmp(has + i * (size_t)n, said + i * (size_t)n, (size_t)n);
	}
	s->accuracy = estimate_share(whole, rows);
	s->macro_f1 = smooth(macro, macro_squares, 0, rows);
	s->micro_f1 = smooth(f1_of(&all), micro_squares, 0, rows);
}

/* --- numbers --- */

static bool is_constant(const double *x, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (x[i] != x[0])
			return false;
	return true;
}

static double pearson(const double *x, const double *y, size_t n)
{
	double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;

	if (is_constant(x, n) || is_constant(y, n))
		return NAN;
	for (size_t i = 0; i < n; i++) {
		mx += x[i] / (double)n;
		my += y[i] / (double)n;
	}
	for (size_t i = 0; i < n; i++) {
		xx += (x[i] - mx) * (x[i] - mx);
		yy += (y[i] - my) * (y[i] - my);
		xy += (x[i] - mx) * (y[i] - my);
	}
	return fmax(-1, fmin(1, xy / (sqrt(xx) * sqrt(yy))));
}

struct ranked { double x; size_t at; };

static int compare(const void *a, const void *b)
{
	double x = ((const struct ranked *)a)->x, y = ((const struct ranked *)b)->x;

	return (x > y) - (x < y);
}

/* From 1; equal numbers share the mean of their places. */
static double *ranks(const double *x, size_t n)
{
	struct ranked *r = mem_array(n, sizeof(*r));
	double *rank = mem_array(n, sizeof(*rank));

	for (size_t i = 0; i < n; i++)
		r[i] = (struct ranked){ x[i], i };
	qsort(r, n, sizeof(*r), compare);
	for (size_t first = 0, end; first < n; first = end) {
		for (end = first + 1; end < n && r[end].x == r[first].x;)
			end++;
		for (size_t i = first; i < end; i++)
			rank[r[i].at] = ((double)(first + end) + 1) / 2;
	}
	mem_free(r);
	return rank;
}

static struct estimate correlation(double r, double c, size_t n)
{
	bool known = !isnan(r) && n > 3;
	double error = known ? sqrt(c / (double)(n - 3)) : NAN;
	bool whole = known && fabs(r) >= 1;

	return (struct estimate){ .mean = r, .stderr_ = (1 - r * r) * error, .n = n,
		                  .low = whole ? r : tanh(atanh(r) - z * error),
		                  .high = whole ? r : tanh(atanh(r) + z * error) };
}

void label_scores_numbers(struct label_scores *s, const double *has, const double *said, size_t rows)
{
	double *square = mem_array(rows, sizeof(*square)), *off = mem_array(rows, sizeof(*off));
	double *a = ranks(has, rows), *b = ranks(said, rows), rho = pearson(a, b, rows);

	*s = (struct label_scores){ .n = 1, .rows = rows };
	for (size_t i = 0; i < rows; i++) {
		off[i] = fabs(said[i] - has[i]);
		square[i] = off[i] * off[i];
	}
	s->mse = estimate_mean(square, rows);
	s->mae = estimate_mean(off, rows);
	double root = sqrt(s->mse.mean);
	s->rmse = (struct estimate){ .mean = root, .n = rows, .high = sqrt(s->mse.high) };
	s->rmse.stderr_ = root > 0 ? s->mse.stderr_ / (2 * root) : s->mse.stderr_;
	s->rmse.low = isnan(s->mse.low) ? NAN : sqrt(fmax(0, s->mse.low));
	s->pearson = correlation(pearson(has, said, rows), 1, rows);
	s->spearman = correlation(rho, 1 + rho * rho / 2, rows);
	mem_free(square);
	mem_free(off);
	mem_free(a);
	mem_free(b);
}

void label_scores_release(struct label_scores *s)
{
	mem_free(s->each);
	mem_free(s->confusion);
	*s = (struct label_scores){ 0 };
}
