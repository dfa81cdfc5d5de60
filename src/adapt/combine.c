/* combine: first which modules the result has, then each module's factors, of
 *
 *     OF_FACTORS        A = f(±√|wᵢ·sᵢ|·Aᵢ), B = f(√|wᵢ·sᵢ|·Bᵢ), f as combination.h has it: cheap,
 *                       and only near to the sum of the products
 *     OF_CONCATENATION  A = all wᵢ·sᵢ·Aᵢ below each other, B = all Bᵢ beside each other: exactly the sum
 *     OF_PRODUCT        f(wᵢ·sᵢ·Bᵢ·Aᵢ) ≈ U·S·Vᵀ (tensor/svd.h), B = U·S, A = Vᵀ
 *
 * with sᵢ an adapter's own scale (peft/tuners/lora/model.py). A sum of products is never multiplied out for its
 * singular values; numbers that are taken out of products, and changes that are no pairs, are. */
#include "adapt/combine.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "model/weights.h"
#include "tensor/svd.h"

#define TRY_SECONDS 0.3                /* of making modules before it is said how long all take */

struct origin { const struct change *from; struct adapter_factors *pairs; size_t n_pairs; };

struct work {
	const struct combine *c;
	struct origin *sources;        /* [c->n] */
	bool dense;                    /* changes are multiplied out */
	/* where changes are multiplied out: [largest weight]; deltas: one for each change */
	float *base, **delta;
	uint32_t *order;
	double whole, kept;            /* Σ of squares: of all that was changed, of what is there */
	size_t left_out;
	double began;
};

static const struct adapter_factors *pair_of(const struct origin *s, int weight)
{
	return adapter_pair_of(s->pairs, s->n_pairs, weight);
}

static const float *numbers(const struct origin *s, int param)
{
	const struct params *p = &s->from->adapter->overlay.params;

	return p->w + p->items[param].offset;
}

/* -1 when it was interrupted. */
static int tell(const struct work *w, const char *doing, size_t done, size_t n, struct err *e)
{
	const struct combine *c = w->c;

	if (c->progress)
		c->progress(c->ctx, &(struct combine_progress){ doing, done, n, clock_seconds() - w->began });
	return c->interrupted && c->interrupted() ? err_set(e, "interrupted") : 0;
}

/* Are pairs of low rank all that it is? */
static bool is_pairs(const struct change *x, const struct model *m)
{
	return x->adapter && adapter_more(x->adapter, m) == PAIRS_ALONE;
}

/* --- what was changed, multiplied out --- */

/* weight as x has it, minus the model's own, in Hugging Face's order; base: room for as many. */
static void change_of(const struct change *x, const struct model *m, int weight, float *out, float *base)
{
	int own = weight < (int)m->n_weights ? weight : model_head(m);
	size_t n = weight_numbers(weight_or_head(m, weight));

	model_weight_float(m, own, base);
	if (!x->adapter)
		model_weight_float(x->tuned, own, out);
	else if (weight < (int)m->n_weights)
		adapter_merged(x->adapter, m, weight, out);
	else if (adapter_unties(x->adapter))
		adapter_merged_head(x->adapter, m, out);
	else
		adapter_merged(x->adapter, m, own, out);
	for (size_t i = 0; i < n; i++)
		out[i] -= base[i];
}

static bool all_zero(const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (x[i] != 0)
			return false;
	return true;
}

/* Does any of the changes reach the weight? */
static bool is_changed(struct work *w, int weight)
{
	const struct combine *c = w->c;
	bool changed = false;

	for (size_t i = 0; i < c->n && !changed; i++) {
		if (!w->dense || is_pairs(&c->changes[i], c->model)) {
			changed = pair_of(&w->sources[i], weight);
			continue;
		}
		const struct adapter *a = c->changes[i].adapter;
		if (weight == (int)c->model->n_weights && !(a && adapter_unties(a)))
			continue;
		change_of(&c->changes[i], c->model, weight, w->delta[i], w->base);
		changed = !all_zero(w->delta[i], weight_numbers(weight_or_head(c->model, weight)));
	}
	return changed;
}

/* --- the result's modules and rank --- */

static size_t largest_rank(const struct origin *s)
{
	size_t r = 0;

	for (size_t i = 0; i < s->n_pairs; i++)
		r = MAX(r, s->pairs[i].r);
	return r;
}

/* Of the matrices that change, the largest rank that one may have. */
static size_t rank_possible(struct work *w)
{
	const struct model *m = w->c->model;
	size_t most = 0;

	for (int i = 0; i <= (int)m->n_weights; i++) {
		const struct weight *x = weight_or_head(m, i);
		if ((i == (int)m->n_weights && !m->config.tied) || x->n_dims != 2)
			continue;
		if (MIN(x->dim[0], x->dim[1]) > most && is_changed(w, i))
			most = MIN(x->dim[0], x->dim[1]);
	}
	return most;
}

static int check_rank(struct work *w, size_t rank, struct err *e)
{
	size_t most = rank_possible(w);

	if (rank <= most || !most)
		return 0;
	return err_set(e, "a LoRA of rank %zu: the matrices that were changed have a rank of %zu at most", rank, most);
}

static int choose_rank(struct work *w, size_t *rank, struct err *e)
{
	const struct combine *c = w->c;
	size_t most = 0, sum = 0;

	for (size_t i = 0; i < c->n; i++) {
		size_t r = largest_rank(&w->sources[i]);
		most = MAX(most, r);
		sum += r;
	}
	*rank = c->how.how->of == OF_CONCATENATION ? sum : most;
	if (c->how.how->of == OF_PRODUCT && c->svd_rank)
		*rank = c->svd_rank;
	if (*rank && c->how.how->of == OF_PRODUCT && c->svd_rank)
		return check_rank(w, *rank, e);
	return *rank ? 0 : err_set(e, "none of these adapters has a rank: --svd-rank says which the result has");
}

/* The module names of what is changed, with commas; NULL and a sentence where there is none. */
static char *list_modules(struct work *w, struct err *e)
{
	const struct model *m = w->c->model;
	struct buf names = { 0 };

	for (int i = 0; i <= (int)m->n_weights; i++) {
		const struct weight *x = weight_or_head(m, i);
		const char *name = i < (int)m->n_weights ? x->name : m->config.arch->head;
		size_t n = strlen(name) - strlen(".weight");
		if (tell(w, "looking for what was changed", (size_t)i, m->n_weights, e) < 0) {
			buf_release(&names);
			return NULL;
		}
		if ((i == (int)m->n_weights && !m->config.tied) || !is_changed(w, i))
			continue;
		if (x->n_dims != 2 || !(x->spec->flags & (WEIGHT_LINEAR | WEIGHT_EMBED)))
			w->left_out++;
		else
			buf_addf(&names, "%s%.*s", names.len ? "," : "", (int)n, name);
	}
	if (!names.len) {
		err_set(e, "nothing that a LoRA could hold was changed");
		buf_release(&names);
		return NULL;
	}
	return buf_detach(&names, NULL);
}

/* A new one with these modules, whose numbers are to be filled in. */
static int begin(struct adapter *out, struct work *w, size_t rank, struct err *e)
{
	const struct combine *c = w->c;
	char r[24], *modules = list_modules(w, e);

	if (!modules)
		return -1;
	snprintf(r, sizeof(r), "%zu", rank);
	const char *const options[] = { "lora-r", r, "lora-alpha", r, "target-modules", modules, NULL };
	int status = adapter_new_named(out, "lora", c->model, options, 0, e);
	mem_free(modules);
	if (status < 0)
		return -1;
	const json_t *base = c->changes[0].adapter ?
	                             json_object_get(c->changes[0].adapter->config, "base_model_name_or_path") :
	                             NULL;
	if (json_is_string(base))
		json_object_set(out->config, "base_model_name_or_path", (json_t *)(uintptr_t)base);
	memset(out->overlay.params.w, 0, out->overlay.params.n * sizeof(float));
	return 0;
}

/* --- factors --- */

/* A different stream of random numbers for each tensor of each adapter. */
static uint64_t stream_of(int weight, size_t adapter, int which)
{
	return ((uint64_t)weight * 3 + (uint64_t)which) * 4096 + adapter;
}

/* One of the two factors of a module, from those of all adapters that have it. */
static int add_factor(const struct work *w, int weight, bool is_a, float *to, size_t n, struct err *e)
{
	const struct combine *c = w->c;
	float **x = mem_array(c->n, sizeof(*x));
	double *weights = mem_array(c->n, sizeof(*weights));
	uint32_t *order = mem_array(c->how.how->keep == KEEP_LARGEST ? n : 0, sizeof(*order));
	size_t k = 0;
	int status = 0;

	for (size_t i = 0; i < c->n && status == 0; i++) {
		const struct origin *s = &w->sources[i];
		const struct adapter_factors *p = pair_of(s, weight);
		if (!p)
			continue;
		const struct param *from = &s->from->adapter->overlay.params.items[is_a ? p->a : p->b];
		double by = s->from->weight * p->scale;
		if (from->n != n) {
			status = err_set(e, "%s: rank %zu at %s where others have another: '%s' adds factors of one "
			                    "rank; cat and svd take any", s->from->name, p->r,
			                 weight_or_head(c->model, weight)->name, c->how.how->name);
			break;
		}
		x[k] = mem_array(n, sizeof(float));
		memcpy(x[k], numbers(s, is_a ? p->a : p->b), n * sizeof(float));
		combination_prune(&c->how, x[k], n, stream_of(weight, i, is_a), order);
		weights[k++] = sqrt(fabs(by)) * (is_a && by < 0 ? -1 : 1);
	}
	if (status == 0)
		combination_sum(&c->how, (const float *const *)x, weights, k, n, to);
	while (k > 0)
		mem_free(x[--k]);
	mem_free(x);
	mem_free(weights);
	mem_free(order);
	return status;
}

/* Places of number (k, i) of a factor A, (o, k) of B. */
static size_t at_a(const struct param *a, bool embedding, size_t k, size_t i)
{
	return embedding ? i * a->dim[1] + k : k * a->dim[1] + i;
}

static void concatenate(const struct work *w, int weight, const struct param *a, const struct param *b, float *to)
{
	bool embedding = weight_is_embedding(w->c->model, weight);
	size_t first = 0, in = a->dim[!embedding], out = b->dim[0];

	for (size_t s = 0; s < w->c->n; s++) {
		const struct origin *from = &w->sources[s];
		const struct adapter_factors *p = pair_of(from, weight);
		if (!p)
			continue;
		const struct param *items = from->from->adapter->overlay.params.items;
		const float *A = numbers(from, p->a), *B = numbers(from, p->b);
		float by = (float)(from->from->weight * p->scale);
		for (size_t k = 0; k < p->r; k++) {
			for (size_t i = 0; i < in; i++)
				to[a->offset + at_a(a, embedding, first + k, i)] =
					by * A[at_a(&items[p->a], embedding, k, i)];
			for (size_t o = 0; o < out; o++)
				to[b->offset + o * b->dim[1] + first + k] = B[o * p->r + k];
		}
		first += p->r;
	}
}

/* --- products --- */

/* Σ by·B·A, [out][in]: an embedding's A is kept [in][r]. */
struct products {
	const struct work *w;
	int weight;
	size_t in, out;
	bool embedding;
};

static void add_product(const struct products *p, size_t s, const double *x, double *y, bool transposed)
{
	const struct origin *from = &p->w->sources[s];
	const struct adapter_factors *f = pair_of(from, p->weight);

	if (!f)
		return;
	const struct param *a = &from->from->adapter->overlay.params.items[f->a];
	const float *A = numbers(from, f->a), *B = numbers(from, f->b);
	double by = from->from->weight * f->scale;
	for (size_t k = 0; k < f->r; k++) {
		double u = 0;
		if (transposed)
			for (size_t o = 0; o < p->out; o++)
				u += B[o * f->r + k] * x[o];
		else
			for (size_t i = 0; i < p->in; i++)
				u += A[at_a(a, p->embedding, k, i)] * x[i];
		u *= by;
		if (transposed)
			for (size_t i = 0; i < p->in; i++)
				y[i] += u * A[at_a(a, p->embedding, k, i)];
		else
			for (size_t o = 0; o < p->out; o++)
				y[o] += u * B[o * f->r + k];
	}
}

static void products_apply(const void *ctx, const double *x, double *y)
{
	const struct products *p = ctx;

	memset(y, 0, p->out * sizeof(*y));
	for (size_t s = 0; s < p->w->c->n; s++)
		add_product(p, s, x, y, false);
}

static void products_transposed(const void *ctx, const double *x, double *y)
{
	const struct products *p = ctx;

	memset(y, 0, p->in * sizeof(*y));
	for (size_t s = 0; s < p->w->c->n; s++)
		add_product(p, s, x, y, true);
}

/* Their sum's values beyond the rank are as few as the ranks of all together: asking for these, all is known. */
static size_t rank_of_sum(const struct products *p)
{
	size_t sum = 0;

	for (size_t s = 0; s < p->w->c->n; s++) {
		const struct adapter_factors *f = pair_of(&p->w->sources[s], p->weight);
		sum += f ? f->r : 0;
	}
	return sum;
}

/* B = U·S and A = Vᵀ of the first values; of a matrix that is turned over U and V are exchanged. */
static void put_svd(struct work *w, int weight, const struct svd *s, bool over, const struct param *a,
                    const struct param *b, float *to)
{
	const struct model *m = w->c->model;
	bool embedding = weight_is_embedding(m, weight);
	size_t in = a->dim[!embedding], out = b->dim[0], rank = b->dim[1];
	const double *u = over ? s->v : s->u, *v = over ? s->u : s->v;

	for (size_t k = 0; k < MIN(rank, s->k); k++) {
		for (size_t i = 0; i < in; i++)
			to[a->offset + at_a(a, embedding, k, i)] = (float)v[k * in + i];
		for (size_t o = 0; o < out; o++) {
			size_t row = w->dense && !embedding ? weight_hf_row(m, weight, o) : o;
			to[b->offset + o * rank + k] = (float)(u[k * out + row] * s->s[k]);
		}
		w->kept += s->s[k] * s->s[k];
	}
}

/* The changes of one weight multiplied out, pruned and added up, into w->delta[0]. */
static void combine_dense(struct work *w, int weight, size_t n)
{
	const struct combine *c = w->c;
	double *weights = mem_array(c->n, sizeof(*weights));
	float **x = mem_array(c->n, sizeof(*x));
	size_t k = 0;

	for (size_t i = 0; i < c->n; i++) {
		if (w->sources[i].n_pairs && !pair_of(&w->sources[i], weight))
			continue;
		change_of(&c->changes[i], c->model, weight, w->delta[i], w->base);
		combination_prune(&c->how, w->delta[i], n, stream_of(weight, i, 2), w->order);
		x[k] = w->delta[i];
		weights[k++] = c->changes[i].weight;
	}
	combination_sum(&c->how, (const float *const *)x, weights, k, n, w->base);
	for (size_t i = 0; i < n; i++)
		w->whole += (double)w->base[i] * w->base[i];
	mem_free(weights);
	mem_free(x);
}

static int add_products(struct work *w, int weight, const struct param *a, const struct param *b, float *to,
                        struct err *e)
{
	const struct combine *c = w->c;
	const struct weight *x = weight_or_head(c->model, weight);
	bool embedding = weight_is_embedding(c->model, weight);
	struct products p = { w, weight, a->dim[!embedding], b->dim[0], embedding };
	struct svd_matrix m = { p.out, p.in, products_apply, products_transposed, &p };
	struct svd_floats floats = { w->base, x->dim[0], x->dim[1] };
	size_t k = MAX(b->dim[1], rank_of_sum(&p));
	struct svd s;

	if (w->dense) {
		combine_dense(w, weight, weight_numbers(x));
		m = svd_of_floats(&floats);
		k = b->dim[1];
	}
	if (!svd_largest(&s, &m, k, c->interrupted))
		return err_set(e, "interrupted");
	for (size_t i = 0; i < s.k && !w->dense; i++)
		w->whole += s.s[i] * s.s[i];
	put_svd(w, weight, &s, w->dense && embedding, a, b, to);
	svd_release(&s);
	return 0;
}

/* --- the whole --- */

static int fill_one(struct work *w, const struct adapter_factors *f, const struct params *p, struct err *e)
{
	const struct param *a = &p->items[f->a], *b = &p->items[f->b];

	if (w->c->how.how->of == OF_PRODUCT)
		return add_products(w, f->weight, a, b, p->w, e);
	if (w->c->how.how->of == OF_CONCATENATION)
		concatenate(w, f->weight, a, b, p->w);
	else if (add_factor(w, f->weight, true, p->w + a->offset, a->n, e) < 0 ||
	         add_factor(w, f->weight, false, p->w + b->offset, b->n, e) < 0)
		return -1;
	return 0;
}

/* How a module's seconds go, beside another's. */
static double cost_of(const struct work *w, const struct adapter_factors *f, const struct params *p)
{
	return (double)(w->dense ? weight_numbers(weight_or_head(w->c->model, f->weight)) :
	                           p->items[f->a].n + p->items[f->b].n);
}

static int say_forecast(const struct work *w, double done, double all, const struct params *p, struct err *e)
{
	double spent = clock_seconds() - w->began, seconds = done > 0 ? spent * all / done : 0;

	return w->c->planned(w->c->ctx, &(struct combine_forecast){ seconds, seconds - spent, p->n }, e);
}

static int fill(struct adapter *out, struct work *w, struct err *e)
{
	const struct params *p = &out->overlay.params;
	struct adapter_factors *pairs = mem_array(w->c->model->n_weights + 1, sizeof(*pairs));
	size_t n = out->type->pairs(out, pairs);
	bool said = !w->c->planned;
	double done = 0, all = 0;
	int status = 0;

	w->began = clock_seconds();
	for (size_t i = 0; i < n; i++)
		all += cost_of(w, &pairs[i], p);
	for (size_t i = 0; i < n && status == 0; i++) {
		if (!said && clock_seconds() - w->began > TRY_SECONDS) {
			said = true;
			status = say_forecast(w, done, all, p, e);
		}
		if (status < 0 || (status = tell(w, "combining", i, n, e)) < 0)
			break;
		status = fill_one(w, &pairs[i], p, e);
		done += cost_of(w, &pairs[i], p);
	}
	if (status == 0 && !said)
		status = say_forecast(w, done, all, p, e);
	mem_free(pairs);
	return status;
}

static int open_work(struct work *w, const struct combine *c, struct err *e)
{
	size_t largest = weight_numbers_most(c->model), n = c->model->n_weights + 1;

	*w = (struct work){ .c = c, .sources = mem_array(c->n, sizeof(*w->sources)), .began = clock_seconds() };
	w->dense = c->how.how->of == OF_PRODUCT && c->how.how->keep != KEEP_ALL;
	for (size_t i = 0; i < c->n; i++) {
		const struct change *x = &c->changes[i];
		w->sources[i].from = x;
		if (is_pairs(x, c->model)) {
			w->sources[i].pairs = mem_array(n, sizeof(*w->sources[i].pairs));
			w->sources[i].n_pairs = x->adapter->type->pairs(x->adapter, w->sources[i].pairs);
		} else if (c->how.how->of != OF_PRODUCT) {
			return err_set(e, "%s: it is more than pairs of low rank, whose factors '%s' adds; svd takes "
			                  "any adapter", x->name, c->how.how->name);
		} else if (x->adapter && adapter_check_merge(x->adapter, e) < 0) {
			return err_prefix(e, "%s", x->name);
		}
		w->dense |= !w->sources[i].pairs;
	}
	w->delta = mem_array(c->n, sizeof(*w->delta));
	for (size_t i = 0; i < c->n && w->dense; i++)
		w->delta[i] = mem_array(largest, sizeof(float));
	w->base = mem_array(w->dense ? largest : 0, sizeof(float));
	w->order = mem_array(w->dense && c->how.how->keep == KEEP_LARGEST ? largest : 0, sizeof(*w->order));
	return 0;
}

static void close_work(struct work *w)
{
	for (size_t i = 0; i < w->c->n; i++) {
		mem_free(w->sources[i].pairs);
		if (w->delta)
			mem_free(w->delta[i]);
	}
	mem_free(w->sources);
	mem_free(w->delta);
	mem_free(w->base);
	mem_free(w->order);
}

int combine_adapters(struct adapter *out, struct combined *result, const struct combine *c, struct err *e)
{
	struct work w;
	size_t rank;

	*out = (struct adapter){ 0 };
	int status = open_work(&w, c, e);
	if (status == 0)
		status = choose_rank(&w, &rank, e);
	if (status == 0)
		status = begin(out, &w, rank, e);
	if (status == 0 && (status = fill(out, &w, e)) < 0)
		adapter_release(out);
	if (status == 0)
		*result = (struct combined){ .modules = out->overlay.params.n_items / 2,
			                     .rank = rank,
			                     .error = w.whole > 0 ? sqrt(fmax(w.whole - w.kept, 0) / w.whole) : 0,
			                     .left_out = w.left_out };
	close_work(&w);
	return status;
}
