/* adalora_ranks: what each rank of an AdaLoRA is worth, how many may stay, and which go (Zhang et al. 2023); formulas
 * and order as PEFT's RankAllocator has them, called after every update with its step t, from 1.
 *
 *     of each number w of A, e, B, while t < T − tfinal:
 *     I ← β₁·I + (1 − β₁)·|w·g|      U ← β₂·U + (1 − β₂)·||w·g| − I|
 *     worth of a rank = I·U of its e + means of I·U over its row of A and over its column of B
 *
 *     ranks of all modules that may stay, T the run's steps, goal = target_r · modules: up to tinit all, then
 *     ⌊(all − goal)·(1 − (t − tinit)/(T − tfinal − tinit))³ + goal⌋
 *
 * Every deltaT steps between, and at T − tfinal in any case, the worst of all modules get e = 0 until the next time;
 * whose numbers go on learning, and may be worth more then. After T − tfinal what was chosen last stays.
 *
 *     loss + orth_reg_weight · mean over all A, B of ‖A·Aᵀ − I‖, ‖Bᵀ·B − I‖ (Frobenius)
 *     its gradient in A: 2·(A·Aᵀ − I)·A/‖A·Aᵀ − I‖, none where that norm is 0
 *
 * A site is worked on by one thread, sums go up in one order: no bit depends on threads. */
#include <math.h>
#include <string.h>

#include "adapt/adalora.h"
#include "base/mem.h"
#include "kernel/kernels.h"

struct job {
	struct adapter *a;
	const struct adapter_update *u;
	const struct kernels *k;
	float *g;
	double share;          /* of the gradient of one matrix's norm */
};

static const struct param *param_of(const struct adapter *a, const struct adalora_site *s, int part)
{
	return &a->overlay.params.items[s->param[part]];
}

static float *kept(const struct adapter *a, int item) { return a->kept.w + a->kept.items[item].offset; }

/* --- before the first step --- */

static void add_kept(struct adapter *a, struct adalora_site *s)
{
	for (int k = 0; k < ADALORA_PARTS; k++) {
		const struct param *p = param_of(a, s, k);
		s->importance[k] = params_add(&a->kept, arena_printf(&a->mem, "importance.%s", p->name), p->n_dims,
		                              p->dim, -1);
		s->uncertainty[k] = params_add(&a->kept, arena_printf(&a->mem, "uncertainty.%s", p->name), p->n_dims,
		                               p->dim, -1);
	}
	s->rank = params_add(&a->kept, arena_printf(&a->mem, "rank.%s", s->module), 1, &s->r, -1);
}

static void take_work(struct adapter *a)
{
	struct adalora *o = a->own;
	size_t n = 0;

	for (size_t i = 0; i < o->n; i++) {
		struct adalora_site *s = &o->sites[i];
		s->worth = n;
		s->square = n + s->r;
		n += s->r + 2 * s->r * s->r;
	}
	o->work = arena_array(&a->mem, n, sizeof(*o->work));
	o->sorted = arena_array(&a->mem, o->ranks, sizeof(*o->sorted));
}

int adalora_plan(struct adapter *a, long steps, struct err *e)
{
	struct adalora *o = a->own;
	const struct adalora_terms *t = &o->terms;

	if (t->tinit >= (double)steps - t->tfinal)
		return err_set(e, "--tinit %g and --tfinal %g leave none of the run's %ld steps for dealing out ranks",
		               t->tinit, t->tfinal, steps);
	o->steps = steps;
	json_object_set_new(a->config, "total_step", json_integer(steps));
	for (size_t i = 0; i < o->n; i++)
		add_kept(a, &o->sites[i]);
	take_work(a);
	if (params_seal(&a->kept, e) < 0)
		return -1;
	for (size_t i = 0; i < o->n; i++)
		for (size_t k = 0; k < o->sites[i].r; k++)
			kept(a, o->sites[i].rank)[k] = 1;
	return 0;
}

/* --- the term --- */

/* square [r,r] = A·Aᵀ − I of A [r,n]; its norm. */
static double rows_apart(float *square, const float *A, size_t r, size_t n, const struct kernels *k)
{
	double sum = 0;

	for (size_t i = 0; i < r; i++)
		for (size_t j = 0; j <= i; j++) {
			float x = k->dot(A + i * n, A + j * n, n) - (i == j);
			square[i * r + j] = square[j * r + i] = x;
			sum += (i == j ? 1 : 2) * (double)x * x;
		}
	return sqrt(sum);
}

/* The same of the columns of B [n,r]. */
static double columns_apart(float *square, const float *B, size_t r, size_t n)
{
	double sum = 0;

	memset(square, 0, r * r * sizeof(*square));
	for (size_t row = 0; row < n; row++)
		for (size_t i = 0; i < r; i++)
			for (size_t j = 0; j < r; j++)
				square[i * r + j] += B[row * r + i] * B[row * r + j];
	for (size_t i = 0; i < r * r; i++) {
		square[i] -= i % (r + 1) == 0;
		sum += (double)square[i] * square[i];
	}
	return sqrt(sum);
}

static void orthogonal_site(void *ctx, size_t item, int thread)
{
	const struct job *x = ctx;
	struct adalora *o = x->a->own;
	struct adalora_site *s = &o->sites[item];
	const struct param *pa = param_of(x->a, s, ADALORA_A), *pb = param_of(x->a, s, ADALORA_B);
	const float *A = x->a->overlay.params.w + pa->offset, *B = x->a->overlay.params.w + pb->offset;
	float *rows = o->work + s->square, *columns = rows + s->r * s->r;
	float *ga = x->g + pa->offset, *gb = x->g + pb->offset;
	(void)thread;

	s->norm[0] = rows_apart(rows, A, s->r, s->in, x->k);
	s->norm[1] = columns_apart(columns, B, s->r, s->out);
	float by_a = s->norm[0] > 0 ? (float)(2 * x->share / s->norm[0]) : 0;
	float by_b = s->norm[1] > 0 ? (float)(2 * x->share / s->norm[1]) : 0;
	for (size_t i = 0; i < s->r; i++)
		for (size_t j = 0; j < s->r; j++)
			x->k->axpy(ga + i * s->in, by_a * rows[i * s->r + j], A + j * s->in, s->in);
	for (size_t row = 0; row < s->out; row++)
		for (size_t j = 0; j < s->r; j++)
			x->k->axpy(gb + row * s->r, by_b * B[row * s->r + j], columns + j * s->r, s->r);
}

double adalora_orthogonal(struct adapter *a, float *g, double weight, const struct kernels *k, struct pool *p)
{
	struct adalora *o = a->own;
	double each = o->terms.orthogonal / (2 * (double)o->n), sum = 0;
	struct job x = { .a = a, .k = k, .g = g, .share = weight * each };

	if (o->terms.orthogonal == 0)
		return 0;
	pool_run(p, o->n, orthogonal_site, &x);
	for (size_t i = 0; i < o->n; i++)
		sum += o->sites[i].norm[0] + o->sites[i].norm[1];
	return each * sum;
}

/* --- after an update --- */

static void follow_part(const struct job *x, const struct adalora_site *s, int part)
{
	const struct adalora_terms *t = &((const struct adalora *)x->a->own)->terms;
	const struct param *p = param_of(x->a, s, part);
	const float *w = x->a->overlay.params.w + p->offset, *g = x->u->g + p->offset;
	float *I = kept(x->a, s->importance[part]), *U = kept(x->a, s->uncertainty[part]);
	float b1 = (float)t->beta1, b2 = (float)t->beta2, rest1 = (float)(1 - t->beta1), rest2 = (float)(1 - t->beta2);

	for (size_t i = 0; i < p->n; i++) {
		float now = fabsf(w[i] * (x->u->scale * g[i]));
		I[i] = b1 * I[i] + rest1 * now;
		U[i] = b2 * U[i] + rest2 * fabsf(now - I[i]);
	}
}

/* What each of the ranks is worth. */
static void weigh(const struct job *x, const struct adalora_site *s)
{
	float *worth = ((const struct adalora *)x->a->own)->work + s->worth;
	const float *I[ADALORA_PARTS], *U[ADALORA_PARTS];

	for (int k = 0; k < ADALORA_PARTS; k++) {
		I[k] = kept(x->a, s->importance[k]);
		U[k] = kept(x->a, s->uncertainty[k]);
	}
	for (size_t k = 0; k < s->r; k++) {
		double row = 0, column = 0;
		for (size_t i = 0; i < s->in; i++)
			row += (double)I[ADALORA_A][k * s->in + i] * U[ADALORA_A][k * s->in + i];
		for (size_t i = 0; i < s->out; i++)
			column += (double)I[ADALORA_B][i * s->r + k] * U[ADALORA_B][i * s->r + k];
		worth[k] = (float)((double)I[ADALORA_E][k] * U[ADALORA_E][k] +
		                   (row / (double)s->in + column / (double)s->out));
	}
}

static void follow_site(void *ctx, size_t item, int thread)
{
	const struct job *x = ctx;
	const struct adalora_site *s = &((const struct adalora *)x->a->own)->sites[item];
	(void)thread;

	for (int k = 0; k < ADALORA_PARTS; k++)
		follow_part(x, s, k);
}

static void weigh_site(void *ctx, size_t item, int thread)
{
	const struct job *x = ctx;
	(void)thread;
	weigh(x, &((const struct adalora *)x->a->own)->sites[item]);
}

/* The k-th smallest of v [n], from 0; v is left in another order (Hoare's selection). */
static float select_from(float *v, size_t n, size_t k)
{
	size_t low = 0, high = n - 1;

	while (low < high) {
		float pivot = v[low + (high - low) / 2], swap;
		size_t i = low, j = high;
		while (i <= j) {
			while (v[i] < pivot)
				i++;
			while (v[j] > pivot)
				j--;
			if (i > j)
				break;
			swap = v[i];
			v[i++] = v[j];
			v[j] = swap;
			if (j == 0)
				break;
			j--;
		}
		if (k <= j)
			high = j;
		else if (k >= i)
			low = i;
		else
			break;
	}
	return v[k];
}

/* How many ranks may stay after step t. */
static size_t budget(const struct adalora *o, long t)
{
	double goal = o->terms.target_r * (double)o->n, all = (double)o->ranks;
	double rest = 1 - ((double)t - o->terms.tinit) / ((double)o->steps - o->terms.tfinal - o->terms.tinit);

	return (size_t)((all - goal) * (rest * rest * rest) + goal);
}

static void mask(struct adapter *a)
{
	const struct adalora *o = a->own;

	for (size_t i = 0; i < o->n; i++) {
		const struct adalora_site *s = &o->sites[i];
		const float *rank = kept(a, s->rank);
		float *e = a->overlay.params.w + param_of(a, s, ADALORA_E)->offset;
		for (size_t k = 0; k < s->r; k++)
			e[k] = rank[k] > 0 ? e[k] : 0;
	}
}

/* Ranks as bad as the worst that go, go too. */
static void deal_out(struct job *x, long t, struct pool *p)
{
	const struct adalora *o = x->a->own;
	size_t n = 0, stay = budget(o, t);

	pool_run(p, o->n, weigh_site, x);
	for (size_t i = 0; i < o->n; i++)
		for (size_t k = 0; k < o->sites[i].r; k++)
			o->sorted[n++] = o->work[o->sites[i].worth + k];
	if (stay >= n)
		return;
	float least = select_from(o->sorted, n, n - stay - 1);
	for (size_t i = 0; i < o->n; i++)
		for (size_t k = 0; k < o->sites[i].r; k++)
			kept(x->a, o->sites[i].rank)[k] = o->work[o->sites[i].worth + k] > least;
	mask(x->a);
}

void adalora_updated(struct adapter *a, const struct adapter_update *u, struct pool *p)
{
	const struct adalora *o = a->own;
	const struct adalora_terms *s = &o->terms;
	struct job x = { .a = a, .u = u };
	double t = (double)u->step, last = (double)o->steps - s->tfinal;

	if (t < last)
		pool_run(p, o->n, follow_site, &x);
	if (t > last)
		mask(a);
	else if (t == last || (t > s->tinit && fmod(t, s->deltaT) == 0))
		deal_out(&x, u->step, p);
}

size_t adalora_pattern(const struct adapter *a, const struct adalora_site *s, bool *pattern)
{
	const float *rank = kept(a, s->rank), *e = a->overlay.params.w + param_of(a, s, ADALORA_E)->offset;
	size_t n = 0;

	for (size_t k = 0; k < s->r; k++)
		n += pattern[k] = rank[k] > 0 || e[k] != 0;
	return n;
}
