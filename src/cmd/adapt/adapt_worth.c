/* adapt_worth: what the next rows to learn from would be worth, measured: the error of a way on the choose rows where
 * it learnt from a half, a quarter, an eighth of the rows, twice each on rows that have none in common, and from all of
 * them. Through these goes the power law of gas/curve.h, as kungfu gas marginal DIR draws it, whose gain of the next
 * NEXT rows is the worth.
 *
 * Of ways that are fitted in moments all of that is measured, once they were made. Of a way that is trained it is one
 * training on half of the rows, which is made where --measure-worth asks for it, or --max-gas has so much room that it
 * is a tenth of what is left; then the law has no floor, since two points tell none. Else the curve is that of the best
 * fitted way, in proportion to the two errors; and where there is none the priors'.
 *
 * All sizes are judged on the same rows, so what is hard in a row is not what tells the sizes apart: the standard error
 * of a point is of the rows' deviations from their own mean over the sizes, beside the spread between the two draws. */
#include "cmd/adapt/adapt_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "base/rng.h"
#include "base/sentence.h"

enum { NEXT = 100, SIZES = 3, DRAWS = 2, PARTS = SIZES * DRAWS, LEAST = 8, CURVE_SEED = 42 };
static const double free_seconds = 5, free_share = 0.25, room = 0.1, least_gain = 0.001;
#define HALF "half" /* the rows that a training learns from, and what its folder's name ends in */

/* --- rows --- */

/* Those to learn from in an order that has nothing to do with the file's; mem_free. */
static size_t *shuffled(const struct adapt *a, size_t *n)
{
	size_t *side = task_side(&a->task, SIDE_TRAIN, n), *out = mem_array(MAX(*n, 1), sizeof(*out));
	struct rng_key key = { (uint64_t)a->o.seed, RNG_SHUFFLE };

	for (size_t i = 0; i < *n; i++)
		out[i] = side[rng_permute(key, SIDE_NONE, *n, i)];
	mem_free(side);
	return out;
}

/* One half of the rows each time, and parts of it; their number. */
static size_t make_parts(const struct adapt *a, const size_t *rows, size_t n, struct rung_part parts[PARTS])
{
	size_t least = MAX((size_t)LEAST, (size_t)a->task.n_classes), count = 0;

	for (size_t size = n / 2; count < PARTS && size >= least; size /= 2)
		for (size_t d = 0; d < DRAWS; d++)
			parts[count++] = (struct rung_part){ rows + d * (n / 2), size };
	return count;
}

/* --- points --- */

static double error_of(const struct adapt *a, const struct outcome *out, size_t n)
{
	struct estimate x = task_score(&a->task, a->first->what, a->choose, out, n);

	return !x.n ? NAN : a->first->what == MEASURE_PERPLEXITY ? log(x.mean) : 1 - x.mean;
}

/* Outcomes of some sizes, each of `draws` of them. */
struct sized {
	double size;
	const struct outcome *out; /* [draws][n], those that could be measured first */
	size_t draws;
};

/* The mean error of a row over the draws of a size. */
static double row_error(const struct adapt *a, const struct sized *s, size_t n, size_t row)
{
	double sum = 0;

	for (size_t d = 0; d < s->draws; d++)
		sum += 1 - task_value(&a->task, a->first->what, &s->out[d * n + row]);
	return sum / (double)s->draws;
}

/* Standard error of what tells each size from the others; of measures that are no mean of rows the score's own. */
static void row_spread(const struct adapt *a, const struct sized *s, size_t n_sizes, size_t n, double *se)
{
	double *square = mem_array(n_sizes, sizeof(*square)), *sum = mem_array(n_sizes, sizeof(*sum));
	double many = (double)n, unbias = (double)n_sizes / ((double)n_sizes - 1);

	for (size_t i = 0; i < n; i++) {
		double mean = 0;
		for (size_t k = 0; k < n_sizes; k++)
			mean += row_error(a, &s[k], n, i) / (double)n_sizes;
		for (size_t k = 0; k < n_sizes; k++) {
			double off = row_error(a, &s[k], n, i) - mean;
			sum[k] += off;
			square[k] += off * off;
		}
	}
	for (size_t k = 0; k < n_sizes; k++) {
		struct estimate own = task_score(&a->task, a->first->what, a->choose, s[k].out, n);
		se[k] = sqrt(unbias * fmax(square[k] - sum[k] * sum[k] / many, 0) / many / fmax(many - 1, 1));
		if (isnan(se[k]))
			se[k] = a->first->what == MEASURE_PERPLEXITY ? own.stderr_ / own.mean : own.stderr_;
		se[k] = fmax(se[k], 0.5 / many); /* rows that all agree say no more than that */
	}
	mem_free(square);
	mem_free(sum);
}

static void put_points(struct adapt *a, const struct sized *s, size_t n_sizes, size_t n)
{
	struct worth *w = &a->worth;
	double se[SIZES + 1], between = 0, pairs = 0;

	row_spread(a, s, n_sizes, n, se);
	for (size_t k = 0; k < n_sizes; k++) {
		double mean = 0;
		for (size_t d = 0; d < s[k].draws; d++)
			mean += error_of(a, s[k].out + d * n, n) / (double)s[k].draws;
		for (size_t d = 0; d < s[k].draws && s[k].draws > 1; d++)
			between += pow(error_of(a, s[k].out + d * n, n) - mean, 2);
		pairs += s[k].draws > 1;
		w->points[k] = (struct curve_point){ s[k].size, mean, 0 };
	}
	for (size_t k = 0; k < n_sizes; k++)
		w->points[k].se = hypot(se[k], pairs > 0 ? sqrt(between / pairs / (double)s[k].draws) : 0);
	w->n = n_sizes;
	w->no_floor = n_sizes < 3;
}

/* --- measuring --- */

/* Parts that could be learnt from, by their sizes; then all rows, the smallest first. */
static size_t gather(const struct adapt *a, size_t by, const struct rung_part *parts, size_t n_parts,
                     struct outcome *out, struct sized s[SIZES + 1])
{
	size_t n = a->ways[by].n, sizes = 0;

	for (size_t p = n_parts; p > 0; p -= DRAWS) {
		struct outcome *own = out + (p - DRAWS) * n;
		bool first = !isnan(error_of(a, own, n)), second = !isnan(error_of(a, own + n, n));
		if (!first && second)
			memcpy(own, own + n, n * sizeof(*own));
		if (first || second)
			s[sizes++] = (struct sized){ (double)parts[p - 1].n, own, (size_t)first + second };
	}
	s[sizes++] = (struct sized){ (double)a->task.side_n[SIDE_TRAIN], a->ways[by].out, 1 };
	return sizes;
}

static int measure_fitted(struct adapt *a, size_t by, struct err *e)
{
	const struct way *w = &a->ways[by];
	struct rung_part parts[PARTS];
	struct sized sizes[SIZES + 1];
	size_t n, *rows = shuffled(a, &n), n_parts = make_parts(a, rows, n, parts);
	struct outcome *out = mem_array(n_parts * w->n + 1, sizeof(*out));
	char *dir = adapt_way_dir(a, w->name);
	const struct log_sink *lent = log_lend(&adapt_log);

	adapt_stand_on(a, by);
	int status = n_parts ? w->rung->fewer(&a->ladder, dir, parts, n_parts, a->choose, w->n, out, e) : 0;
	log_lend(lent);
	if (status == 0) {
		size_t count = gather(a, by, parts, n_parts, out, sizes);
		if (count > 1)
			put_points(a, sizes, count, w->n);
	}
	mem_free(dir);
	mem_free(out);
	mem_free(rows);
	return status;
}

static int train_half(struct adapt *a, const struct rung_part *half, const char *dir, struct err *e)
{
	struct way *w = &a->ways[a->winner];
	double seconds = w->make_seconds, joules = w->make_joules;

	if (ladder_write_part(&a->ladder, HALF, half, e) < 0)
		return -1;
	a->ladder.part = HALF;
	a->ladder.part_n = half->n;
	int status = w->rung->make(&a->ladder, dir, e);
	a->ladder.part = NULL;
	w->make_seconds = seconds; /* it is no part of what is left */
	w->make_joules = joules;
	return status;
}

static int measure_trained(struct adapt *a, struct err *e)
{
	const struct way *w = &a->ways[a->winner];
	size_t n, *rows = shuffled(a, &n);
	struct rung_part half = { rows, n / 2 };
	struct outcome *out = mem_array(w->n, sizeof(*out));
	char *name = mem_printf("%s-" HALF, w->name), *dir = adapt_way_dir(a, name);

	adapt_stand_on(a, a->winner);
	int status = train_half(a, &half, dir, e);
	if (status == 0)
		status = w->rung->answer(&a->ladder, dir, a->choose, w->n, out, e);
	if (status == 0)
		put_points(a, (struct sized[]){ { (double)half.n, out, 1 }, { (double)n, w->out, 1 } }, 2, w->n);
	mem_free(dir);
	mem_free(name);
	mem_free(out);
	mem_free(rows);
	return status;
}

/* --- whose curve --- */

static bool may_train_half(const struct adapt *a)
{
	const struct way *w = &a->ways[a->winner];
	double left = adapt_left(a), price = w->make_seconds + w->look_seconds;

	if (!w->rung->trains || a->task.side_n[SIDE_TRAIN] < 2 * LEAST)
		return false;
	return a->o.measure_worth ? price <= left : isfinite(left) && price <= room * left;
}

/* Fits of all parts are less than two of the whole; the choose rows are read once more. */
static bool is_free(const struct adapt *a, size_t i)
{
	const struct way *w = &a->ways[i];
	double read = w->on ? w->on->base.read_seconds : 0; /* the states are there */
	double price = 2 * fmax(w->make_seconds - read, 0) + w->look_seconds;
	struct gas g;

	adapt_round_gas(a, &g);
	return price <= adapt_left(a) && price <= fmax(free_seconds, free_share * g.seconds);
}

/* Of the floor more rows say nothing: it learns which answer is the most frequent. */
static bool has_curve(const struct adapt *a, size_t i)
{
	return a->ways[i].rung->fewer && strcmp(a->ways[i].rung->name, "majority") != 0;
}

/* The winner where it is fitted in moments and is not the floor, else the best of those that are; n: none was
 * measured. */
static size_t fitted_way(const struct adapt *a)
{
	size_t best = a->climb.n;

	if (has_curve(a, a->winner))
		return is_free(a, a->winner) ? a->winner : a->climb.n;
	for (size_t i = 0; i < a->climb.n; i++)
		if (has_curve(a, i) && adapt_is_measured(a, i) && a->ways[i].n == a->n_choose && is_free(a, i) &&
		    (best == a->climb.n || a->climb.ways[i].quality > a->climb.ways[best].quality))
			best = i;
	return best;
}

/* --- what it comes to --- */

static void by_priors(struct adapt *a)
{
	struct worth *w = &a->worth;
	double x = adapt_rows_gain(a, a->winner, NEXT, 1), y = adapt_rows_gain(a, a->winner, NEXT, 1.0 / 3),
	       z = adapt_rows_gain(a, a->winner, NEXT, 3);

	w->gain = (struct span){ x, fmin(x, fmin(y, z)), fmax(x, fmax(y, z)) };
	w->falls = true;
}

static int by_curve(struct adapt *a, struct err *e)
{
	struct worth *w = &a->worth;
	const struct curve_point *few = &w->points[0], *many = &w->points[w->n - 1];
	double mine = error_of(a, a->ways[a->winner].out, a->ways[a->winner].n);
	struct curve c;

	if (curve_fit(&c, w->points, w->n, w->no_floor, CURVE_SEED, e) < 0)
		return -1;
	w->falls = c.a > 0 && many->err < few->err;
	w->gain = curve_gain(&c, many->n, many->n + NEXT);
	if (w->by != a->winner)
		w->gain = span_scale(w->gain, many->err > 0 ? mine / many->err : 1);
	curve_release(&c);
	return 0;
}

static void keep_points(struct adapt *a)
{
	const struct worth *w = &a->worth;
	json_t *list = json_array();

	for (size_t k = 0; k < w->n; k++)
		json_array_append_new(list, json_pack("{s:f, s:f, s:f}", "rows", w->points[k].n, "error",
		                                      w->points[k].err, "stderr", w->points[k].se));
	json_object_set_new(a->state, "worth",
	                    json_pack("{s:s, s:b, s:o}", "way", a->ways[w->by].name, "no_floor", w->no_floor, "points",
	                              list));
}

static size_t read_points(const json_t *kept, struct curve_point *p, size_t most, bool *no_floor)
{
	const json_t *list = json_object_get(kept, "points"), *x;
	size_t i, n = 0;

	*no_floor = json_is_true(json_object_get(kept, "no_floor"));
	json_array_foreach (list, i, x)
		if (n < most)
			p[n++] = (struct curve_point){ json_number_value(json_object_get(x, "rows")),
				                       json_number_value(json_object_get(x, "error")),
				                       json_number_value(json_object_get(x, "stderr")) };
	return n;
}

static bool recall(struct adapt *a)
{
	struct worth *w = &a->worth;
	const json_t *kept = json_object_get(a->state, "worth");
	const char *way = json_string_value(json_object_get(kept, "way"));

	for (w->by = 0; way && w->by < a->climb.n && strcmp(a->ways[w->by].name, way) != 0;)
		w->by++;
	if (way && w->by < a->climb.n)
		w->n = read_points(kept, w->points, ARRAY_LEN(w->points), &w->no_floor);
	return w->n > 0;
}

static int measure(struct adapt *a, struct err *e)
{
	struct worth *w = &a->worth;
	size_t fitted = fitted_way(a);
	bool half = may_train_half(a);
	int status = 0;

	a->at_work = w->by = half ? a->winner : fitted;
	a->doing = "measuring what more rows are worth";
	if (half)
		status = measure_trained(a, e);
	else if (fitted < a->climb.n)
		status = measure_fitted(a, fitted, e);
	a->at_work = a->climb.n;
	if (status < 0 && metering_over() && !app_signalled()) { /* then it is not measured */
		w->n = 0;
		return 0;
	}
	if (status == 0 && w->n) {
		keep_points(a);
		status = adapt_state_save(a, "running", e);
	}
	return status;
}

int adapt_worth(struct adapt *a, struct err *e)
{
	if (a->first->what == MEASURE_REWARD) /* of which no floor is known to which errors would fall */
		return 0;
	if (!recall(a) && measure(a, e) < 0)
		return -1;
	if (a->worth.n)
		return by_curve(a, e);
	by_priors(a);
	return 0;
}

/* --- told --- */

static bool learns_nothing(const struct adapt *a) { return a->ways[a->winner].rung->stays && !a->worth.n; }

void adapt_put_worth(const struct adapt *a, json_t *j)
{
	const struct worth *w = &a->worth;
	bool known = w->falls && !learns_nothing(a);

	json_object_set_new(j, "worth_rows", json_integer(NEXT));
	json_object_set_new(j, "worth", jsonx_number(known ? w->gain.mid : NAN));
	json_object_set_new(j, "worth_low", jsonx_number(known ? w->gain.low : NAN));
	json_object_set_new(j, "worth_high", jsonx_number(known ? w->gain.high : NAN));
	json_object_set_new(j, "worth_by", json_string(w->n ? a->ways[w->by].name : "priors"));
	if (w->n)
		json_object_set(j, "worth_points", json_object_get(json_object_get(a->state, "worth"), "points"));
}

static void say_sizes(const struct worth *w, struct buf *out)
{
	for (size_t k = 0; k < w->n; k++)
		buf_addf(out, "%s%.0f", !k ? "" : k + 1 < w->n ? ", " : " and ", w->points[k].n);
}

static void say_source(const struct adapt *a, struct buf *out)
{
	const struct worth *w = &a->worth;

	if (!w->n) {
		buf_adds(out, ", by what is known of such ways");
		return;
	}
	buf_addf(out, ", measured of %s with ", a->ways[w->by].name);
	say_sizes(w, out);
	buf_addf(out, " rows (kungfu gas marginal %s)", a->dir);
	if (w->by != a->winner && a->ways[a->winner].rung->trains)
		buf_addf(out, "; %s itself was not trained on fewer: --measure-worth does", a->ways[a->winner].name);
}

void adapt_say_worth(const struct adapt *a, struct buf *out)
{
	const struct worth *w = &a->worth;
	bool nats = a->first->what == MEASURE_PERPLEXITY;
	double unit = nats ? 1 : 100;

	if (learns_nothing(a)) {
		sentence_add(out, "The next %d rows would change nothing of %s, which %s.\n", NEXT,
		             a->ways[a->winner].name,
		             a->ways[a->winner].rung->earlier ?
		                     "was learnt before they came; what is learnt anew of all rows is another way" :
		                     "does not learn from them");
		return;
	}
	if (a->first->what == MEASURE_REWARD) {
		sentence_add(out, "What the next %d rows would be worth in reward is not measured.\n", NEXT);
		return;
	}
	if (!w->falls) {
		buf_addf(out, "More rows did not make %s better, as far as was measured with ", a->ways[w->by].name);
		say_sizes(w, out);
		buf_addf(out, " of them, so nothing is said of the next %d.\n", NEXT);
		return;
	}
	sentence_add(out, "The next %d rows are worth ", NEXT);
	if (w->gain.high < least_gain)
		buf_adds(out, "next to nothing");
	else
		buf_addf(out,
		         nats ? "%.3f to %.3f nats a token (%.3f expected)" : "%.1f to %.1f points (%.1f expected)",
		         unit * w->gain.low, unit * w->gain.high, unit * w->gain.mid);
	if (w->gain.high >= least_gain && !nats)
		buf_addf(out, " of %s", measure_names[a->first->what]);
	say_source(a, out);
	buf_adds(out, ".\n");
}

int adapt_curve(const char *dir, struct curve_point *p, size_t most, size_t *n, bool *no_floor, struct err *e)
{
	char *file = io_join(dir, ADAPT_FILE);
	json_t *state = jsonx_load_file(file, e);
	const json_t *worth = json_object_get(state, "worth");

	mem_free(file);
	if (!state)
		return -1;
	*n = read_points(worth, p, most, no_floor);
	json_decref(state);
	return *n ? 0 :
	            err_set(e,
	                    "%s: nothing was measured of fewer rows: no way that is fitted in moments was tried, and "
	                    "no training on half of the rows was asked for (--measure-worth)",
	                    dir);
}
