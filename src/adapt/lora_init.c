/* lora_init: how A [r,in] and B [out,r] of a new LoRA begin (init_lora_weights), as PEFT has it:
 *
 *     true               A uniform in ±1/√in, B zero
 *     gaussian           A normal of deviation 1/r, B zero
 *     orthogonal         A and B from the odd and the even rows of one orthogonal matrix, so that B·A is zero
 *     loftq              A = √S·Vᵀ, B = U·√S of the r largest singular values of W − Q(W), what was lost in
 *                        4-bit floats (model/four_bit.h; Li et al. 2023, LoftQ, of one iteration)
 *     pissa              A = √(S/s)·Vᵀ, B = U·√(S/s) of the r largest singular values (Meng et al. 2024)
 *     pissa_niter_N      the same by N rounds of subspace iteration from a random start (Halko et al. 2011, 4.4)
 *     olora              A = the first r rows of R, B = the first r columns of Q, W = Q·R (Büyükakyüz 2024)
 *     eva                A as the rows that come in vary, B zero: lora_eva.c
 *
 * LoftQ's A and B are PEFT's (replace_lora_weights_loftq), whatever s is: B·A alone is what was lost. Further
 * iterations make another base than Q(W), which no adapter's file could name; they are not made.
 *
 * pissa, pissa_niter_N and olora take s·B·A out of the weight, so that the model is at first what it was. Here it
 * stays: what they began as, A₀ and B₀, are numbers that nobody trains, and −s·B₀·A₀ is added beside. So a
 * quantized base needs no residual, and checkpoints have A and B alone: A₀ and B₀ are made again of the weights
 * and the seed, to the same bits. A file has both as one LoRA of rank 2r, [A; A₀] and [B, −B₀], which is PEFT's
 * own conversion (path_initial_model_for_weight_conversion) and wants nothing of who reads it.
 *
 * Rows are those of Hugging Face's order, so q of a GGUF begins as that of the model's folder. An embedding begins as
 * it always does. Householder's reflections have LAPACK's signs; signs of singular vectors are free. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "adapt/lora.h"
#include "adapt/peft_config.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/stop.h"
#include "model/weights.h"
#include "quant/nf4.h"
#include "tensor/svd.h"

static const char NITER[] = "pissa_niter_";
enum { NITER_MAX = 1000 };
#define SAID 2.0                       /* seconds after which it is told how far it is */

/* --- which --- */

static const struct { const char *name; enum lora_start start; } kinds[] = {
	{ "true", LORA_PLAIN },   { "gaussian", LORA_GAUSSIAN }, { "orthogonal", LORA_ORTHOGONAL },
	{ "pissa", LORA_PISSA },  { "olora", LORA_OLORA },       { "loftq", LORA_LOFTQ },
	{ "eva", LORA_EVA },
};

int lora_init_read(const char *text, struct lora_init *out, struct err *e)
{
	const char *digits = text + strlen(NITER);

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (!strcmp(text, kinds[i].name)) {
			*out = (struct lora_init){ kinds[i].start, 0 };
			return 0;
		}
	if (!strncmp(text, NITER, strlen(NITER)) && strlen(digits) < 5 && *digits &&
	    strspn(digits, "0123456789") == strlen(digits) && strtol(digits, NULL, 10) > 0 &&
	    strtol(digits, NULL, 10) <= NITER_MAX) {
		*out = (struct lora_init){ LORA_PISSA_NITER, (int)strtol(digits, NULL, 10) };
		return 0;
	}
	return err_set(e, "init_lora_weights: a new LoRA does not begin by '%.40s' here, but by true, gaussian, "
	                  "orthogonal, pissa, pissa_niter_N (N from 1 to %d), olora, loftq or eva", text, NITER_MAX);
}

/* A LoRA that began as LoftQ is one like any other over the quantized base. */
json_t *lora_init_json(const char *text)
{
	return strcmp(text, "true") && strcmp(text, "loftq") ? json_string(text) : json_true();
}

bool lora_init_of_weight(const struct lora_init *init) { return init->start >= LORA_LOFTQ; }

bool lora_init_subtracts(const struct lora_init *init) { return init->start >= LORA_PISSA; }

static int check_site(const struct lora *o, const struct lora_site *s, const struct weight *w, const char *module,
                      struct err *e)
{
	size_t least = MIN(s->in, s->out);

	if (o->init.start == LORA_ORTHOGONAL && s->r % 2 && !s->embedding)
		return err_set(e, "init_lora_weights orthogonal wants an even rank, '%s' has %zu", module, s->r);
	if (!lora_init_of_weight(&o->init))
		return 0;
	if (s->embedding || w->expert >= 0)
		return err_set(e,
		               "init_lora_weights: target_modules means '%s', %s, which pissa, olora and loftq do not "
		               "begin", module, s->embedding ? "an embedding" : "an expert's matrix");
	if (s->r > least)
		return err_set(e, "init_lora_weights: the rank of '%s' is %zu, and the matrix has %zu at most", module,
		               s->r, least);
	if (o->init.start == LORA_LOFTQ && !nf4_is(w->dtype))
		return err_set(e, "init_lora_weights loftq: '%s' is %s; it begins as what --load-in-4bit loses of a "
		                  "matrix", module, dtypes[w->dtype].name);
	return s->scale > 0 ? 0 :
	                      err_set(e, "init_lora_weights: alpha of '%s' is 0, above 0 was wanted", module);
}

/* Steps until singular values stand still: as of models that were looked at; all of them at most. */
static double typical_steps(const struct lora_site *s)
{
	return MIN((double)MIN(s->in, s->out), 12 * (double)s->r + 64);
}

/* Doubles of a factorization while it is made. */
static double work_numbers(const struct lora *o, const struct lora_site *s)
{
	double least = (double)MIN(s->in, s->out), both = (double)(s->in + s->out), r = (double)s->r;

	return o->init.start <= LORA_PISSA ? least * both + 3 * least * least : 4 * r * both;
}

static double work_flops(const struct lora *o, const struct lora_site *s)
{
	double steps = typical_steps(s), both = (double)(s->in + s->out), r = (double)s->r;
	double product = 2 * (double)s->in * (double)s->out;

	if (o->init.start <= LORA_PISSA)
		return steps * 2 * product + 4 * steps * steps * both + 40 * steps * steps * steps;
	return (2 * o->init.rounds + 4) * r * product;
}

int lora_init_site(struct adapter *a, struct lora_site *s, const struct weight *w, const char *module, struct err *e)
{
	const struct lora *o = a->own;
	struct adapter_start *start = &a->start;

	if (check_site(o, s, w, module, e) < 0)
		return -1;
	if (o->init.start == LORA_EVA)
		return lora_eva_site(a, s, w, module, e);
	if (!lora_init_of_weight(&o->init))
		return 0;
	size_t bytes = s->in * s->out * sizeof(float) + (size_t)(work_numbers(o, s) * sizeof(double));
	bytes += o->init.start == LORA_LOFTQ ? s->in * s->out * sizeof(float) : 0;
	start->bytes = MAX(start->bytes, bytes);
	start->flops += work_flops(o, s);
	if (!lora_init_subtracts(&o->init))
		return 0;
	s->a0 = params_add(&a->overlay.fixed, peft_name(a, module, "lora_A0"), 2, (size_t[]){ s->r, s->in }, -1);
	s->b0 = params_add(&a->overlay.fixed, peft_name(a, module, "lora_B0"), 2, (size_t[]){ s->out, s->r }, -1);
	start->numbers += s->r * (s->in + s->out);
	return 0;
}

/* --- Householder --- */

static double dot(const double *a, const double *b, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += a[i] * b[i];
	return sum;
}

/* x −= tau·v·(vᵀ·x) */
static void reflect(double *x, const double *v, double tau, size_t n)
{
	double by = tau * dot(x, v, n);

	for (size_t i = 0; i < n; i++)
		x[i] -= by * v[i];
}

/* q: k columns of n ≥ k numbers, each a row of memory; becomes the columns of Q of their QR. */
static void orthogonalize(double *q, size_t k, size_t n)
{
	double *v = mem_array(k * n, sizeof(*v)), *tau = mem_array(k, sizeof(*tau));

	for (size_t j = 0; j < k; j++) {
		double *x = q + j * n + j, *to = v + j * n + j, rest = dot(x + 1, x + 1, n - j - 1);
		double beta = x[0] > 0 ? -sqrt(x[0] * x[0] + rest) : sqrt(x[0] * x[0] + rest);
		to[0] = 1;
		if (rest > 0) {
			tau[j] = (beta - x[0]) / beta;
			for (size_t i = 1; i < n - j; i++)
				to[i] = x[i] / (x[0] - beta);
		}
		for (size_t i = j + 1; i < k && tau[j] != 0; i++)
			reflect(q + i * n + j, to, tau[j], n - j);
	}
	memset(q, 0, k * n * sizeof(*q));
	for (size_t j = 0; j < k; j++) {
		q[j * n + j] = 1;
		for (size_t i = j + 1; i-- > 0;)
			reflect(q + j * n + i, v + i * n + i, tau[i], n - i);
	}
	mem_free(v);
	mem_free(tau);
}

/* --- the weight's own --- */

struct starting {
	struct adapter *a;
	const struct model *m;
	size_t first;          /* of the sites that are at work now */
};

/* Of one site: B as k columns of out numbers, A as k rows of in. */
struct found { double *b, *a; };

static struct found found_new(const struct lora_site *s)
{
	return (struct found){ mem_array(s->r * s->out, sizeof(double)), mem_array(s->r * s->in, sizeof(double)) };
}

/* √(S/s) goes to both; LoftQ's s is 1. */
static void share(struct found *f, const struct lora_site *s, float scale, const double *values, const double *u,
                  const double *v)
{
	for (size_t k = 0; k < s->r; k++) {
		double c = sqrt(values[k] / (double)scale);
		for (size_t i = 0; i < s->out; i++)
			f->b[k * s->out + i] = c * u[k * s->out + i];
		for (size_t i = 0; i < s->in; i++)
			f->a[k * s->in + i] = c * v[k * s->in + i];
	}
}

static void times(const struct svd_matrix *w, const double *x, double *y, size_t n, bool transposed)
{
	for (size_t k = 0; k < n; k++)
		if (transposed)
			w->apply_transposed(w->ctx, x + k * w->rows, y + k * w->cols);
		else
			w->apply(w->ctx, x + k * w->cols, y + k * w->rows);
}

static void olora(struct found *f, const struct lora_site *s, const float *w, const struct svd_matrix *x)
{
	for (size_t k = 0; k < s->r; k++)
		for (size_t i = 0; i < s->out; i++)
			f->b[k * s->out + i] = w[i * s->in + k];
	orthogonalize(f->b, s->r, s->out);
	times(x, f->b, f->a, s->r, true);
}

/* Qᵀ·W [r,in], kept row by row. */
struct thin { const double *at; size_t rows, cols; };

static void thin_apply(const void *ctx, const double *x, double *y)
{
	const struct thin *t = ctx;

	for (size_t i = 0; i < t->rows; i++)
		y[i] = dot(t->at + i * t->cols, x, t->cols);
}

static void thin_apply_transposed(const void *ctx, const double *x, double *y)
{
	const struct thin *t = ctx;

	memset(y, 0, t->cols * sizeof(*y));
	for (size_t i = 0; i < t->rows; i++)
		for (size_t j = 0; j < t->cols; j++)
			y[j] += x[i] * t->at[i * t->cols + j];
}

static bool iterated(struct found *f, const struct lora *o, const struct lora_site *s, const struct svd_matrix *w)
{
	struct rng_key key = { o->seed, RNG_INIT };
	struct thin t = { f->a, s->r, s->in };
	struct svd_matrix small = { s->r, s->in, thin_apply, thin_apply_transposed, &t };
	struct svd svd;

	for (size_t i = 0; i < s->r * s->in; i++)
		f->a[i] = rng_normal(key, i, (uint32_t)s->weight, 1);
	times(w, f->a, f->b, s->r, false);
	orthogonalize(f->b, s->r, s->out);
	for (int round = 0; round < o->init.rounds && !stop_asked(); round++) {
		times(w, f->b, f->a, s->r, true);
		orthogonalize(f->a, s->r, s->in);
		times(w, f->a, f->b, s->r, false);
		orthogonalize(f->b, s->r, s->out);
	}
	times(w, f->b, f->a, s->r, true);
	if (!svd_largest(&svd, &small, s->r, stop_asked)) {
		svd_release(&svd);
		return false;
	}
	double *u = mem_array(s->r * s->out, sizeof(*u));
	for (size_t k = 0; k < s->r; k++)
		for (size_t j = 0; j < s->r; j++)
			for (size_t i = 0; i < s->out; i++)
				u[k * s->out + i] += svd.u[k * s->r + j] * f->b[j * s->out + i];
	share(f, s, s->scale, svd.s, u, svd.v);
	mem_free(u);
	svd_release(&svd);
	return true;
}

static bool largest(struct found *f, const struct lora_site *s, float scale, const struct svd_matrix *w)
{
	struct svd svd;
	bool done = svd_largest(&svd, w, s->r, stop_asked);

	if (done)
		share(f, s, scale, svd.s, svd.u, svd.v);
	svd_release(&svd);
	return done;
}

/* Into A and B, and into A₀ and B₀, as which they begin, where those are there. */
static void keep(struct adapter *a, const struct model *m, const struct lora_site *s, const struct found *f)
{
	const struct lora *o = a->own;
	const struct params *fixed = &a->overlay.fixed, *p = &a->overlay.params;
	float *A = p->w + p->items[s->a].offset, *B = p->w + p->items[s->b].offset;

	for (size_t i = 0; i < s->r * s->in; i++)
		A[i] = (float)f->a[i];
	for (size_t i = 0; i < s->out; i++)
		for (size_t k = 0; k < s->r; k++)
			B[i * s->r + k] = (float)f->b[k * s->out + i];
	if (weight_is_permuted(m, s->weight))
		weight_permute_rows(B, s->out, s->r, weight_row_order(m, s->weight), false);
	if (!lora_init_subtracts(&o->init))
		return;
	memcpy(fixed->w + fixed->items[s->a0].offset, A, s->r * s->in * sizeof(*A));
	memcpy(fixed->w + fixed->items[s->b0].offset, B, s->r * s->out * sizeof(*B));
}

/* W − Q(W) of a weight in 4 bits, into w. */
static void take_lost(const struct starting *x, int weight, const struct lora_site *s, float *w)
{
	float *q = mem_array(s->in * s->out, sizeof(*q));

	model_weight_float(x->m, weight, q);
	model_weight_original(x->m, weight, w);
	for (size_t i = 0; i < s->in * s->out; i++)
		w[i] -= q[i];
	mem_free(q);
}

static void start_site(void *ctx, size_t item, int thread)
{
	const struct starting *x = ctx;
	const struct lora *o = x->a->own;
	const struct lora_site *s = &o->sites[x->first + item];
	int weight = s->weight == (int)x->m->n_weights ? model_head(x->m) : s->weight;
	float *w = mem_array(s->in * s->out, sizeof(*w));
	struct svd_floats floats = { w, s->out, s->in };
	struct svd_matrix matrix = svd_of_floats(&floats);
	struct found f = found_new(s);
	bool done = true;
	(void)thread;

	if (o->init.start == LORA_LOFTQ)
		take_lost(x, weight, s, w);
	else
		model_weight_float(x->m, weight, w);
	if (o->init.start == LORA_OLORA)
		olora(&f, s, w, &matrix);
	else
		done = o->init.start == LORA_PISSA_NITER ? iterated(&f, o, s, &matrix) :
		       largest(&f, s, o->init.start == LORA_LOFTQ ? 1 : s->scale, &matrix);
	if (done)
		keep(x->a, x->m, s, &f);
	mem_free(f.a);
	mem_free(f.b);
	mem_free(w);
}

int lora_init_start(struct adapter *a, const struct model *m, struct pool *p, struct err *e)
{
	const struct lora *o = a->own;
	struct starting x = { .a = a, .m = m };
	size_t each = (size_t)pool_threads(p);
	double begin = clock_seconds();
	bool said = false;

	for (; x.first < o->n && lora_init_of_weight(&o->init); x.first += each) {
		pool_run(p, MIN(each, o->n - x.first), start_site, &x);
		if (stop_look(e, "the adapter's start was made of the weights") < 0)
			return -1;
		if (clock_seconds() - begin > SAID) {
			log_live("the adapter's start: %zu of %zu matrices, %.0f s", MIN(x.first + each, o->n), o->n,
			         clock_seconds() - begin);
			said = true;
		}
	}
	if (said)
		log_live_end();
	return 0;
}

/* --- drawn --- */

static float *numbers(const struct adapter *a, int param)
{
	return a->overlay.params.w + a->overlay.params.items[param].offset;
}

/* X = Q·R of a drawn r×r; A = (N·Q[0::2])ᵀ / 10, B = Mᵀ·Q[1::2] / 10, N [in,r/2] and M [r/2,out] drawn too. */
static void orthogonal(struct adapter *a, const struct lora_site *s, uint64_t seed)
{
	struct rng_key key = { seed, RNG_INIT };
	uint32_t site = a->overlay.params.items[s->a].site;
	float *A = numbers(a, s->a), *B = numbers(a, s->b);
	double *q = mem_array(s->r * s->r, sizeof(*q)); /* columns as rows of memory */

	for (size_t i = 0; i < s->r * s->r; i++)
		q[i] = rng_normal(key, i, site, 1);
	orthogonalize(q, s->r, s->r);
	for (size_t k = 0; k < s->r; k++)
		for (size_t h = 0; h < s->r / 2; h++) {
			double odd = q[k * s->r + 2 * h] / 10, even = q[k * s->r + 2 * h + 1] / 10;
			for (size_t i = 0; i < s->in; i++)
				A[k * s->in + i] += (float)(odd * rng_normal(key, h * s->in + i, site, 2));
			for (size_t i = 0; i < s->out; i++)
				B[i * s->r + k] += (float)(even * rng_normal(key, h * s->out + i, site, 3));
		}
	mem_free(q);
}

void lora_init_draw(struct adapter *a)
{
	const struct lora *o = a->own;

	for (size_t i = 0; i < o->n; i++) {
		const struct lora_site *s = &o->sites[i];
		if (s->embedding)
			adapter_init_normal(a, s->b, 1, o->seed);
		else if (o->init.start == LORA_PLAIN)
			adapter_init_linear(a, s->a, o->seed);
		else if (o->init.start == LORA_GAUSSIAN)
			adapter_init_normal(a, s->a, 1 / (double)s->r, o->seed);
		else if (o->init.start == LORA_ORTHOGONAL)
			orthogonal(a, s, o->seed);
	}
}

/* --- as files have it --- */

static void times_all(json_t *config, const char *key, double by)
{
	const char *name;
	json_t *value, *pattern = json_object_get(config, key);

	json_object_foreach(pattern, name, value)
		json_object_set_new(pattern, name, peft_number(by * json_number_value(value)));
}

json_t *lora_init_flat(const json_t *config)
{
	json_t *j = json_deep_copy(config);
	bool root = json_is_true(json_object_get(j, "use_rslora"));
	double alpha = json_number_value(json_object_get(j, "lora_alpha"));

	json_object_set_new(j, "init_lora_weights", json_true());
	json_object_set_new(j, "r", peft_number(2 * json_number_value(json_object_get(j, "r"))));
	json_object_set_new(j, "lora_alpha", peft_number(alpha * (root ? sqrt(2) : 2)));
	times_all(j, PEFT_RANKS, 2);
	times_all(j, PEFT_ALPHAS, 2);
	return j;
}

/* [A; A₀] and [B, −B₀]. */
static void join(struct adapter *flat, const struct lora_site *to, const struct adapter *a, const struct lora_site *s)
{
	const struct params *fixed = &a->overlay.fixed;
	const float *A0 = fixed->w + fixed->items[s->a0].offset, *B0 = fixed->w + fixed->items[s->b0].offset;
	float *A = numbers(flat, to->a), *B = numbers(flat, to->b);

	memcpy(A, numbers(a, s->a), s->r * s->in * sizeof(*A));
	memcpy(A + s->r * s->in, A0, s->r * s->in * sizeof(*A));
	for (size_t i = 0; i < s->out; i++)
		for (size_t k = 0; k < s->r; k++) {
			B[i * to->r + k] = numbers(a, s->b)[i * s->r + k];
			B[i * to->r + s->r + k] = -B0[i * s->r + k];
		}
}

void lora_init_join(struct adapter *flat, const struct adapter *a)
{
	const struct lora *o = a->own, *to = flat->own;
	const struct params *p = &flat->overlay.params;

	for (size_t i = 0; i < p->n_items; i++) {
		int from = params_find(&a->overlay.params, p->items[i].name);
		if (a->overlay.params.items[from].n == p->items[i].n)
			memcpy(numbers(flat, (int)i), numbers(a, from), p->items[i].n * sizeof(float));
	}
	for (size_t i = 0; i < o->n; i++)
		join(flat, &to->sites[i], a, &o->sites[i]);
}
