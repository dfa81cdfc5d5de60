/* learner_fit: what is fitted, after cross-validation has said how.
 *
 * Of features first every layer is looked at, in FIRST_FOLDS parts of at most LEARNER_STAGE_ROWS rows and with one C
 * (of neighbours: all of a layer's k), then the best LEARNER_BEST_LAYERS with every C in all parts. There dense
 * products are in float; the fit that stays begins where such a one ends and goes on in double. */
#include "learn/learner.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "learn/folds.h"
#include "learn/knn.h"
#include "learn/learner_parts.h"
#include "learn/temperature.h"

enum { FIRST_FOLDS = 3, FIRST_STEPS = 30, STEPS = 200, CHOICES = 8 };
#define FIRST_C 1e-2
#define ROUGH 1e-4                  /* as scikit-learn's tol */
#define EXACT 1e-6
#define LEAST_DEVIATION 1e-12

static const double word_C[] = { 1, 10, 100 }, feature_C[] = { 1e-4, 1e-3, 1e-2, 1e-1, 1 };
static const int neighbours[] = { 1, 3, 5, 10, 20, LEARNER_NEIGHBOURS };

struct fitting {
	struct learner *l;
	const struct examples *x;
	const struct learner_options *o;
	const struct workshop *on;
	int32_t *fold;                  /* [n] */
	int folds;
	double *z;                      /* [n][labels] of the candidate at hand, from rows it was not fitted on */
	double best_loss;
	bool any;                       /* a candidate is held already */
};

static bool of_numbers(const struct fitting *f) { return f->l->labels.problem == PROBLEM_REGRESSION; }

static size_t width_of(const struct fitting *f) { return (size_t)f->l->labels.n; }

/* --- how good outputs are --- */

struct score { double score, loss; };

static int largest(const double *z, size_t k)
{
	size_t best = 0;

	for (size_t j = 1; j < k; j++)
		best = z[j] > z[best] ? j : best;
	return (int)best;
}

static struct score score_numbers(const double *z, const double *y, size_t n)
{
	double mean = 0, square = 0, variance = 0;

	for (size_t i = 0; i < n; i++)
		mean += y[i] / (double)n;
	for (size_t i = 0; i < n; i++) {
		square += (y[i] - z[i]) * (y[i] - z[i]);
		variance += (y[i] - mean) * (y[i] - mean);
	}
	return (struct score){ variance > 0 ? 1 - square / variance : 0, square / (double)n };
}

/* As if each label had come once more in n rows. */
static double smooth_of(size_t n, size_t k) { return 1 / (double)(n + k); }

/* Of n rows, whose outputs are z; y, or number, are theirs. */
static struct score score_of(const struct fitting *f, const double *z, const int32_t *y, const double *number, size_t n)
{
	size_t k = width_of(f), hits = 0;

	if (number)
		return score_numbers(z, number, n);
	for (size_t i = 0; i < n; i++)
		hits += largest(z + i * k, k) == y[i];
	double t = temperature_fit(z, y, n, k, smooth_of(n, k));
	return (struct score){ (double)hits / (double)n, temperature_loss(z, y, n, k, t) };
}

static bool is_better(struct score a, struct score b)
{
	return a.score > b.score || (a.score >= b.score && a.loss < b.loss);
}

/* The candidate's z are kept where they are the best yet. */
static bool hold(struct fitting *f)
{
	struct learner *l = f->l;
	struct score s = score_of(f, f->z, f->x->y, f->x->number, f->x->n);

	if (f->any && !is_better(s, (struct score){ l->held_score, l->held_loss }))
		return false;
	double *old = l->held;
	l->held = f->z;
	f->z = old;
	l->held_score = s.score;
	l->held_loss = s.loss;
	f->any = true;
	return true;
}

/* --- rows of some --- */

/* What the rows of a pick are, in mem. */
static const int32_t *picked_y(const struct fitting *f, struct arena *mem, const int32_t *pick, size_t n)
{
	int32_t *y = arena_array(mem, n + 1, sizeof(*y));

	for (size_t i = 0; f->x->y && i < n; i++)
		y[i] = f->x->y[pick[i]];
	return f->x->y ? y : NULL;
}

static const double *picked_number(const struct fitting *f, struct arena *mem, const int32_t *pick, size_t n)
{
	double *y = arena_array(mem, n + 1, sizeof(*y));

	for (size_t i = 0; f->x->number && i < n; i++)
		y[i] = f->x->number[pick[i]];
	return f->x->number ? y : NULL;
}

/* A linear fit of rows, from where m is. */
static int fit_linear(const struct fitting *f, struct linear_model *m, const struct design *d, const int32_t *y,
                      const double *number, const struct fit_options *o, struct err *e)
{
	return number ? ridge_fit(m, d, number, o, f->on, e) : logistic_fit(m, d, y, o, f->on, e);
}

/* Outputs of the rows in pick into their places of z. */
static void put_outputs(const struct fitting *f, const struct linear_model *m, const struct design *d,
                        const int32_t *pick, double *z)
{
	size_t k = width_of(f);
	double *out = mem_array(d->rows * (size_t)m->outputs + 1, sizeof(*out)),
	       *spread = mem_array(d->rows * k + 1, sizeof(*spread));
	struct learner like = { .labels = f->l->labels, .linear = { .outputs = m->outputs } };

	linear_outputs(m, d, f->on, out);
	learner_spread(&like, out, d->rows, spread);
	for (size_t i = 0; i < d->rows; i++)
		memcpy(z + (size_t)pick[i] * k, spread + i * k, k * sizeof(*z));
	mem_free(out);
	mem_free(spread);
}

/* One part is left out, each C in turn is fitted on the rest, each from where the one before ended; z[c] are outputs of
 * all rows by C number c. */
struct part {
	struct design rest, own;
	const int32_t *own_pick, *y;
	const double *number;
};

static int fit_part(const struct fitting *f, const struct part *p, const double *C, size_t n_C,
                    struct fit_options o, double *const *z, struct err *e)
{
	struct linear_model m;
	int status = 0;

	linear_begin(&m, p->rest.cols, of_numbers(f) ? 0 : f->l->labels.n);
	for (size_t c = 0; c < n_C && status == 0; c++) {
		o.C = C[c];
		status = fit_linear(f, &m, &p->rest, p->y, p->number, &o, e);
		if (status == 0)
			put_outputs(f, &m, &p->own, p->own_pick, z[c]);
	}
	linear_release(&m);
	return status;
}

/* The C that are tried: the one that is given, or all. */
static size_t choices_of_C(const struct fitting *f, const double *table, size_t n, double *out)
{
	if (f->o->C > 0) {
		out[0] = f->o->C;
		return 1;
	}
	memcpy(out, table, n * sizeof(*out));
	return n;
}

static void begin_z(const struct fitting *f, double **z, size_t n)
{
	for (size_t c = 0; c < n; c++)
		z[c] = mem_array(f->x->n * width_of(f) + 1, sizeof(**z));
}

/* Each candidate in turn is held where it is the best; returns which, −1: none was. */
static int hold_best(struct fitting *f, double **z, size_t n)
{
	int best = -1;

	for (size_t c = 0; c < n; c++) {
		mem_free(f->z);
		f->z = z[c];
		best = hold(f) ? (int)c : best;
	}
	return best;
}

/* --- majority --- */

static void prior_of(const struct fitting *f, const int32_t *pick, size_t n, double *out)
{
	size_t k = width_of(f);

	memset(out, 0, k * sizeof(*out));
	for (size_t i = 0; i < n; i++) {
		size_t row = pick ? (size_t)pick[i] : i;
		if (f->x->number)
			out[0] += f->x->number[row] / (double)n;
		else
			out[f->x->y[row]]++;
	}
	for (size_t c = 0; !f->x->number && c < k; c++)
		out[c] = log((out[c] + 1 / (double)k) / ((double)n + 1));
}

static int fit_majority(struct fitting *f, struct err *e)
{
	size_t n = f->x->n, k = width_of(f);
	int32_t *pick = mem_array(n, sizeof(*pick));
	double *prior = mem_array(k, sizeof(*prior));
	(void)e;

	for (int part = 0; part < f->folds; part++) {
		prior_of(f, pick, folds_pick(f->fold, n, part, true, pick), prior);
		size_t own = folds_pick(f->fold, n, part, false, pick);
		for (size_t i = 0; i < own; i++)
			memcpy(f->z + (size_t)pick[i] * k, prior, k * sizeof(*prior));
	}
	hold(f);
	f->l->prior = arena_array(&f->l->mem, k, sizeof(*f->l->prior));
	prior_of(f, NULL, n, f->l->prior);
	mem_free(pick);
	mem_free(prior);
	return 0;
}

/* --- words --- */

static int words_part(const struct fitting *f, int part, const double *C, size_t n_C, double *const *z, struct err *e)
{
	struct arena mem = ARENA_INIT;
	size_t n = f->x->n;
	int32_t *rest = arena_array(&mem, n, sizeof(*rest)), *own = arena_array(&mem, n, sizeof(*own));
	size_t n_rest = folds_pick(f->fold, n, part, true, rest), n_own = folds_pick(f->fold, n, part, false, own);
	struct part p = { .own_pick = own, .y = picked_y(f, &mem, rest, n_rest),
		          .number = picked_number(f, &mem, rest, n_rest) };
	struct fit_options o = { .tolerance = ROUGH, .most = STEPS };
	struct tfidf words;

	tfidf_fit(&words, &mem, f->x->text, rest, n_rest);
	tfidf_rows(&words, &mem, f->x->text, rest, n_rest, true, &p.rest);
	tfidf_rows(&words, &mem, f->x->text, own, n_own, false, &p.own);
	int status = fit_part(f, &p, C, n_C, o, z, e);
	arena_release(&mem);
	return status;
}

static int fit_words(struct fitting *f, struct err *e)
{
	struct learner *l = f->l;
	double C[CHOICES], *z[CHOICES];
	size_t n_C = choices_of_C(f, word_C, ARRAY_LEN(word_C), C);
	struct fit_options o = { .tolerance = EXACT, .most = 5 * STEPS };
	struct arena mem = ARENA_INIT;
	struct design rows;
	int status = 0;

	tfidf_fit(&l->words, &l->mem, f->x->text, NULL, f->x->n);
	if (!l->words.n)
		return err_set(e, "the texts have no word of two letters or more");
	begin_z(f, z, n_C);
	for (int part = 0; part < f->folds && status == 0; part++)
		status = words_part(f, part, C, n_C, z, e);
	int best = hold_best(f, z, n_C);
	l->C = o.C = C[MAX(best, 0)];
	tfidf_rows(&l->words, &mem, f->x->text, NULL, f->x->n, true, &rows);
	linear_begin(&l->linear, rows.cols, of_numbers(f) ? 0 : l->labels.n);
	if (status == 0)
		status = fit_linear(f, &l->linear, &rows, f->x->y, f->x->number, &o, e);
	arena_release(&mem);
	return status;
}

/* --- features --- */

/* Mean and deviation of a layer's numbers, which become the learner's. */
static void measure(const struct fitting *f, size_t place, const int32_t *pick, size_t n)
{
	const struct examples *x = f->x;
	double *sum = mem_array(2 * x->width, sizeof(*sum)), *square = sum + x->width;

	for (size_t i = 0; i < n; i++) {
		const float *row = x->feature + ((pick ? (size_t)pick[i] : i) * x->n_layers + place) * x->width;
		for (size_t c = 0; c < x->width; c++)
			sum[c] += (double)row[c];
	}
	for (size_t i = 0; i < n; i++) {
		const float *row = x->feature + ((pick ? (size_t)pick[i] : i) * x->n_layers + place) * x->width;
		for (size_t c = 0; c < x->width; c++)
			square[c] += ((double)row[c] - sum[c] / (double)n) * ((double)row[c] - sum[c] / (double)n);
	}
	for (size_t c = 0; c < x->width; c++) {
		double deviation = sqrt(square[c] / (double)n);
		f->l->center[c] = (float)(sum[c] / (double)n);
		f->l->scale[c] = deviation > LEAST_DEVIATION ? (float)(1 / deviation) : 0;
	}
	mem_free(sum);
}

/* Some rows of a layer in parts, which are fitted one after the other. */
struct layer_rows {
	float *all;                     /* [n][width] */
	const int32_t *fold;            /* [n] */
	size_t n, place;
	const int32_t *y;
	const double *number;
	int parts;
};

static void some_rows(float *out, const struct layer_rows *r, const int32_t *pick, size_t n, size_t width)
{
	for (size_t i = 0; i < n; i++)
		memcpy(out + i * width, r->all + (size_t)pick[i] * width, width * sizeof(*out));
}

static int layer_part(const struct fitting *f, const struct layer_rows *r, int part, const double *C, size_t n_C,
                      int steps, double *const *z, struct err *e)
{
	struct arena mem = ARENA_INIT;
	size_t width = f->x->width;
	int32_t *rest = arena_array(&mem, r->n, sizeof(*rest)), *own = arena_array(&mem, r->n, sizeof(*own));
	size_t n_rest = folds_pick(r->fold, r->n, part, true, rest),
	       n_own = folds_pick(r->fold, r->n, part, false, own);
	float *rows = arena_array(&mem, r->n * width + 1, sizeof(*rows));
	int32_t *y = arena_array(&mem, n_rest + 1, sizeof(*y));
	double *number = arena_array(&mem, n_rest + 1, sizeof(*number));
	struct part p = { .rest = { .rows = n_rest, .cols = width, .dense = rows },
		          .own = { .rows = n_own, .cols = width, .dense = rows + n_rest * width },
		          .own_pick = own, .y = r->y ? y : NULL, .number = r->number ? number : NULL };

	some_rows(rows, r, rest, n_rest, width);
	some_rows(rows + n_rest * width, r, own, n_own, width);
	for (size_t i = 0; i < n_rest; i++) {
		y[i] = r->y ? r->y[rest[i]] : 0;
		number[i] = r->number ? r->number[rest[i]] : 0;
	}
	int status = fit_part(f, &p, C, n_C, (struct fit_options){ .tolerance = ROUGH, .most = steps, .rough = true },
	                      z, e);
	arena_release(&mem);
	return status;
}

/* How well a layer does: of neighbours with the best k, of a probe with FIRST_C. */
static int try_layer(const struct fitting *f, const struct layer_rows *r, struct score *best, struct err *e)
{
	size_t k = width_of(f);
	double *z = mem_array(r->n * k + 1, sizeof(*z)), C = f->o->C > 0 ? f->o->C : FIRST_C;
	int status = 0;

	if (f->l->kind == LEARNER_PROBE) {
		for (int part = 0; part < r->parts && status == 0; part++)
			status = layer_part(f, r, part, &C, 1, FIRST_STEPS, &z, e);
		*best = score_of(f, z, r->y, r->number, r->n);
	} else {
		int32_t *nearest = mem_array(r->n * LEARNER_NEIGHBOURS, sizeof(*nearest));
		*best = (struct score){ -INFINITY, INFINITY };
		knn_unit(r->all, r->n, f->x->width);
		knn_find(r->all, r->n, r->all, r->n, f->x->width, LEARNER_NEIGHBOURS, r->fold, f->on, nearest);
		for (size_t j = 0; j < ARRAY_LEN(neighbours); j++) {
			learner_vote(f->l, r->y, r->number, nearest, r->n, LEARNER_NEIGHBOURS,
			             f->o->k ? f->o->k : neighbours[j], z);
			struct score s = score_of(f, z, r->y, r->number, r->n);
			*best = is_better(s, *best) ? s : *best;
		}
		mem_free(nearest);
	}
	mem_free(z);
	return status;
}

/* Rows of the first look: all, or so many by the seed's order. */
static int32_t *first_rows(const struct fitting *f, struct arena *mem, size_t *n)
{
	struct rng_key key = { f->o->seed, RNG_SAMPLE };
	int32_t *pick;

	*n = MIN(f->x->n, (size_t)LEARNER_STAGE_ROWS);
	pick = arena_array(mem, *n, sizeof(*pick));
	for (size_t i = 0; i < *n; i++)
		pick[i] = (int32_t)(*n == f->x->n ? i : rng_permute(key, 0, f->x->n, i));
	return pick;
}

/* The places of the best layers, best first; returns how many. −1: a stop was asked for. */
static int rank_layers(struct fitting *f, size_t *best, struct err *e)
{
	struct arena mem = ARENA_INIT;
	size_t n, n_best = 0;
	const int32_t *pick = first_rows(f, &mem, &n);
	int32_t *fold = arena_array(&mem, n, sizeof(*fold));
	struct layer_rows r = { .all = arena_array(&mem, n * f->x->width + 1, sizeof(float)), .fold = fold, .n = n,
		                .y = picked_y(f, &mem, pick, n), .number = picked_number(f, &mem, pick, n),
		                .parts = MIN(FIRST_FOLDS, f->folds) };
	struct score *score = arena_array(&mem, f->x->n_layers, sizeof(*score));
	int status = 0;

	folds_make(fold, r.y, r.number, n, r.parts, f->o->seed + 1);
	for (r.place = 0; r.place < f->x->n_layers && status == 0; r.place++) {
		measure(f, r.place, pick, n);
		learner_features(f->l, f->x, r.place, pick, n, r.all);
		status = try_layer(f, &r, &score[r.place], e);
		size_t at = n_best < LEARNER_BEST_LAYERS ? n_best++ : LEARNER_BEST_LAYERS;
		for (; at > 0 && is_better(score[r.place], score[best[at - 1]]); at--)
			if (at < LEARNER_BEST_LAYERS)
				best[at] = best[at - 1];
		if (at < LEARNER_BEST_LAYERS)
			best[at] = r.place;
	}
	arena_release(&mem);
	return status < 0 ? -1 : (int)n_best;
}

/* The layers that are to be looked at closely. */
static int choose_layers(struct fitting *f, size_t *best, struct err *e)
{
	const struct examples *x = f->x;

	for (size_t i = 0; f->o->layer >= 0 && i < x->n_layers; i++)
		if (x->layer[i] == f->o->layer) {
			best[0] = i;
			return 1;
		}
	if (f->o->layer >= 0)
		return err_set(e, "layer %d was wanted; there are features of layers %d to %d", f->o->layer,
		               x->layer[0], x->layer[x->n_layers - 1]);
	if (x->n_layers == 1 || f->folds < 2) {
		best[0] = x->n_layers / 2;
		return 1;
	}
	return rank_layers(f, best, e);
}

static int probe_layer(struct fitting *f, const struct layer_rows *r, struct err *e)
{
	double C[CHOICES], *z[CHOICES];
	size_t n_C = choices_of_C(f, feature_C, ARRAY_LEN(feature_C), C);
	int status = 0;

	begin_z(f, z, n_C);
	for (int part = 0; part < r->parts && status == 0; part++)
		status = layer_part(f, r, part, C, n_C, STEPS, z, e);
	int best = hold_best(f, z, n_C);
	if (best >= 0) {
		f->l->C = C[best];
		f->l->layer = f->x->layer[r->place];
	}
	return status;
}

static int knn_layer(struct fitting *f, const struct layer_rows *r)
{
	int32_t *nearest = mem_array(r->n * LEARNER_NEIGHBOURS, sizeof(*nearest));
	size_t n_k = f->o->k ? 1 : ARRAY_LEN(neighbours);
	double *z[ARRAY_LEN(neighbours)];

	knn_unit(r->all, r->n, f->x->width);
	knn_find(r->all, r->n, r->all, r->n, f->x->width, LEARNER_NEIGHBOURS, r->fold, f->on, nearest);
	begin_z(f, z, n_k);
	for (size_t j = 0; j < n_k; j++)
		learner_vote(f->l, r->y, r->number, nearest, r->n, LEARNER_NEIGHBOURS,
		             f->o->k ? f->o->k : neighbours[j], z[j]);
	int best = hold_best(f, z, n_k);
	if (best >= 0) {
		f->l->k = f->o->k ? f->o->k : neighbours[best];
		f->l->layer = f->x->layer[r->place];
	}
	mem_free(nearest);
	return 0;
}

/* The fit on all rows, whose features are `all`. */
static int finish_features(struct fitting *f, float *all, struct err *e)
{
	struct learner *l = f->l;
	size_t n = f->x->n;
	struct design d = { .rows = n, .cols = l->width, .dense = all };
	struct fit_options o = { .C = l->C, .tolerance = ROUGH, .most = STEPS, .rough = true };

	if (l->kind == LEARNER_PROBE) {
		linear_begin(&l->linear, l->width, of_numbers(f) ? 0 : l->labels.n);
		if (fit_linear(f, &l->linear, &d, f->x->y, f->x->number, &o, e) < 0)
			return -1;
		o.rough = false;
		o.tolerance = EXACT;
		return fit_linear(f, &l->linear, &d, f->x->y, f->x->number, &o, e);
	}
	l->n_kept = n;
	l->kept = arena_array(&l->mem, n * l->width, sizeof(*l->kept));
	memcpy(l->kept, all, n * l->width * sizeof(*all));
	knn_unit(l->kept, n, l->width);
	if (f->x->y) {
		l->kept_y = arena_array(&l->mem, n, sizeof(*l->kept_y));
		memcpy(l->kept_y, f->x->y, n * sizeof(*l->kept_y));
	} else {
		l->kept_number = arena_array(&l->mem, n, sizeof(*l->kept_number));
		memcpy(l->kept_number, f->x->number, n * sizeof(*l->kept_number));
	}
	return 0;
}

static int fit_features(struct fitting *f, struct err *e)
{
	const struct examples *x = f->x;
	struct learner *l = f->l;
	size_t best[LEARNER_BEST_LAYERS + 1], place = 0;
	int status = 0;

	if (!x->feature)
		BUG("a %s without features", learner_names[l->kind]);
	l->width = x->width;
	l->center = arena_array(&l->mem, x->width, sizeof(float));
	l->scale = arena_array(&l->mem, x->width, sizeof(float));
	int n_best = choose_layers(f, best, e);
	if (n_best < 0)
		return -1;
	l->layer = x->layer[best[0]];
	l->C = f->o->C > 0 ? f->o->C : FIRST_C;
	l->k = l->kind != LEARNER_KNN ? 0 : f->o->k ? f->o->k : 1;
	float *all = mem_array(x->n * x->width + 1, sizeof(*all));
	struct layer_rows r = { .all = all, .fold = f->fold, .n = x->n, .y = x->y, .number = x->number,
		                .parts = f->folds };
	for (int i = 0; i < n_best && status == 0 && f->folds > 1; i++) {
		r.place = best[i];
		measure(f, r.place, NULL, x->n);
		learner_features(l, x, r.place, NULL, x->n, all);
		status = l->kind == LEARNER_PROBE ? probe_layer(f, &r, e) : knn_layer(f, &r);
	}
	while (x->layer[place] != l->layer)
		place++;
	measure(f, place, NULL, x->n);
	learner_features(l, x, place, NULL, x->n, all);
	if (status == 0)
		status = finish_features(f, all, e);
	mem_free(all);
	return status;
}

/* --- the whole --- */

/* Rows whose label no other row has cannot say how sure the others may be of it. */
static void calibrate(struct fitting *f)
{
	struct learner *l = f->l;
	size_t n = f->x->n, k = width_of(f);

	if (!f->any || !f->x->y)
		return;
	int32_t *y = mem_array(n, sizeof(*y)), *count = mem_array(k, sizeof(*count));
	for (size_t i = 0; i < n; i++)
		count[f->x->y[i]]++;
	for (size_t i = 0; i < n; i++)
		y[i] = count[f->x->y[i]] > 1 ? f->x->y[i] : -1;
	l->temperature = temperature_fit(l->held, y, n, k, smooth_of(n, k));
	l->held_loss = temperature_loss(l->held, y, n, k, l->temperature);
	for (size_t i = 0; i < n * k; i++)
		l->held[i] /= l->temperature;
	mem_free(y);
	mem_free(count);
}

static void copy_labels(struct learner *l, const struct labels *from)
{
	labels_make(&l->labels, &l->mem, from->n, from->name, from->problem);
}

static int check_rows(const struct examples *x, struct err *e)
{
	if (x->n < 2)
		return err_set(e, "%zu rows: nothing can be learnt from fewer than two", x->n);
	if (x->labels.problem == PROBLEM_SINGLE_LABEL && x->labels.n < 2)
		return err_set(e, "all %zu rows have the answer '%.60s': there is nothing to tell apart", x->n,
		               x->labels.name[0]);
	return 0;
}

int learner_fit(struct learner *l, enum learner_kind kind, const struct examples *x, const struct learner_options *o,
                const struct workshop *on, struct err *e)
{
	static int (*const fits[LEARNERS])(struct fitting *f, struct err *e) = {
		[LEARNER_MAJORITY] = fit_majority, [LEARNER_TFIDF] = fit_words, [LEARNER_KNN] = fit_features,
		[LEARNER_PROBE] = fit_features,
	};

	*l = (struct learner){ .kind = kind, .temperature = 1, .layer = -1, .rows = x->n };
	if (check_rows(x, e) < 0)
		return -1;
	copy_labels(l, &x->labels);
	l->folds = (int)MIN((size_t)MAX(o->folds, 2), x->n);
	struct fitting f = { .l = l, .x = x, .o = o, .on = on, .folds = l->folds,
		             .fold = mem_array(x->n, sizeof(int32_t)),
		             .z = mem_array(x->n * (size_t)x->labels.n + 1, sizeof(double)) };
	folds_make(f.fold, x->y, x->number, x->n, f.folds, o->seed);
	int status = fits[kind](&f, e);
	if (status == 0)
		calibrate(&f);
	l->has_held = f.any;
	mem_free(f.fold);
	mem_free(f.z);
	return status;
}
