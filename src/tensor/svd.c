/* svd: Golub and Kahan's bidiagonalization with every vector made orthogonal to all before (twice, which is enough:
 * Parlett 1980), and one-sided Jacobi for the small matrix that comes of it.
 *
 *     M·V = U·B,  Mᵀ·U = V·Bᵀ + β·v·eᵀ     B: alpha on the diagonal, beta beside it
 *
 * B = P·S·Qᵀ gives M's values and, as U·P and V·Q, its vectors; |β·P[last][i]| is how far the i-th is from
 * one. A vector that vanishes means that all the matrix does to these vectors is known: the next begins at random. */
#include "tensor/svd.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

#define STILL 1e-10                    /* of the largest value: what stands still */
#define NOTHING 1e-13                  /* of the largest value: a vector that is rounding alone */
enum { LANES = 8, SWEEPS = 60 };

static bool is_over(bool (*interrupted)(void)) { return interrupted && interrupted(); }

static double dot(const double *a, const double *b, size_t n)
{
	double lane[LANES] = { 0 }, sum = 0;
	size_t i = 0;

	for (; i + LANES <= n; i += LANES)
		for (int l = 0; l < LANES; l++)
			lane[l] += a[i + l] * b[i + l];
	for (; i < n; i++)
		sum += a[i] * b[i];
	for (int l = 0; l < LANES; l++)
		sum += lane[l];
	return sum;
}

static void add(double *to, double by, const double *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] += by * x[i];
}

static void scale(double *x, double by, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] *= by;
}

/* --- small: one-sided Jacobi --- */

/* Turns columns i and j of a, and of v, so that a's are orthogonal; whether that was needed. Here a column is a row of
 * memory. */
static bool rotate(double *a, double *v, size_t n, size_t i, size_t j)
{
	double *ai = a + i * n, *aj = a + j * n, *vi = v + i * n, *vj = v + j * n;
	double ii = dot(ai, ai, n), jj = dot(aj, aj, n), ij = dot(ai, aj, n);

	if (fabs(ij) <= 1e-15 * sqrt(ii * jj) || ij == 0)
		return false;
	double zeta = (jj - ii) / (2 * ij), t = (zeta >= 0 ? 1 : -1) / (fabs(zeta) + hypot(1, zeta));
	double c = 1 / hypot(1, t), s = c * t;
	for (size_t k = 0; k < n; k++) {
		double x = ai[k], y = aj[k], p = vi[k], q = vj[k];
		ai[k] = c * x - s * y;
		aj[k] = s * x + c * y;
		vi[k] = c * p - s * q;
		vj[k] = s * p + c * q;
	}
	return true;
}

/* All of a small square matrix a [n][n], which is overwritten, columns by columns: a becomes u·s, v its rotations;
 * unsorted. false: interrupted. */
static bool jacobi(double *a, double *v, size_t n, bool (*interrupted)(void))
{
	memset(v, 0, n * n * sizeof(*v));
	for (size_t i = 0; i < n; i++)
		v[i * n + i] = 1;
	for (int sweep = 0; sweep < SWEEPS; sweep++) {
		bool turned = false;
		for (size_t i = 0; i < n; i++) {
			if (is_over(interrupted))
				return false;
			for (size_t j = i + 1; j < n; j++)
				turned |= rotate(a, v, n, i, j);
		}
		if (!turned)
			break;
	}
	return true;
}

/* --- large: bidiagonalization --- */

struct lanczos {
	const struct svd_matrix *m;
	size_t n, cap;                 /* steps done, and most */
	double *u, *v;                 /* [cap][rows], [cap + 1][cols] */
	double *alpha, *beta;          /* [cap] */
	double largest;                /* of alpha and beta so far: about the norm */
};

/* Takes out of x what the first n rows of `of` have in common with it. */
static void make_orthogonal(double *x, const double *of, size_t n, size_t size)
{
	for (int twice = 0; twice < 2; twice++)
		for (size_t i = 0; i < n; i++)
			add(x, -dot(x, of + i * size, size), of + i * size, size);
}

static void fill_random(double *x, size_t n, uint32_t which)
{
	struct rng_key key = { 0, RNG_NOISE };

	for (size_t i = 0; i < n; i++)
		x[i] = rng_normal(key, i, which, 0);
}

/* x becomes of length 1 and orthogonal to `of`; its length before, 0 where nothing was left and it is a random one. */
static double settle(struct lanczos *l, double *x, const double *of, size_t n, size_t size, uint32_t which)
{
	make_orthogonal(x, of, n, size);
	double length = sqrt(dot(x, x, size)), whole = length;

	l->largest = fmax(l->largest, length);
	if (length <= NOTHING * l->largest || length == 0) {
		fill_random(x, size, which);
		make_orthogonal(x, of, n, size);
		whole = sqrt(dot(x, x, size));
		length = 0;
	}
	scale(x, whole > 0 ? 1 / whole : 0, size);
	return length;
}

static void step(struct lanczos *l)
{
	const struct svd_matrix *m = l->m;
	size_t j = l->n++;
	double *u = l->u + j * m->rows, *v = l->v + j * m->cols, *next = v + m->cols;
	uint32_t which = (uint32_t)(2 * j + 1);

	m->apply(m->ctx, v, u);
	l->alpha[j] = settle(l, u, l->u, j, m->rows, which);
	m->apply_transposed(m->ctx, u, next);
	l->beta[j] = j + 1 < m->cols ? settle(l, next, l->v, j + 1, m->cols, which + 1) : 0;
}

/* The bidiagonal matrix so far, taken apart: p·s in a, q in v, and their order, largest first. */
struct small { size_t n; double *a, *v, *s; size_t *order; };

static void small_release(struct small *x)
{
	mem_free(x->a);
	mem_free(x->v);
	mem_free(x->s);
	mem_free(x->order);
}

static bool take_apart(const struct lanczos *l, struct small *x, bool (*interrupted)(void))
{
	size_t n = x->n = l->n;

	x->a = mem_array(n * n, sizeof(*x->a));
	x->v = mem_array(n * n, sizeof(*x->v));
	x->s = mem_array(n, sizeof(*x->s));
	x->order = mem_array(n, sizeof(*x->order));
	for (size_t j = 0; j < n; j++) { /* column j of B, as a row of memory */
		x->a[j * n + j] = l->alpha[j];
		if (j > 0)
			x->a[j * n + j - 1] = l->beta[j - 1];
	}
	if (!jacobi(x->a, x->v, n, interrupted))
		return false;
	for (size_t i = 0; i < n; i++) {
		size_t at = i;
		x->s[i] = sqrt(dot(x->a + i * n, x->a + i * n, n));
		for (; at > 0 && x->s[x->order[at - 1]] < x->s[i]; at--)
			x->order[at] = x->order[at - 1];
		x->order[at] = i;
	}
	return true;
}

/* Do the k largest stand still? */
static bool stands_still(const struct lanczos *l, const struct small *x, size_t k)
{
	double beta = l->beta[l->n - 1], top = x->s[x->order[0]];

	for (size_t i = 0; i < k; i++) {
		size_t c = x->order[i];
		double last = x->s[c] > 0 ? x->a[c * x->n + x->n - 1] / x->s[c] : 0;
		if (fabs(beta * last) > STILL * top)
			return false;
	}
	return true;
}

/* out[i] = Σ_j of[j]·c[j], of [n][size] */
static void compose(double *out, const double *of, const double *c, double by, size_t n, size_t size)
{
	memset(out, 0, size * sizeof(*out));
	for (size_t j = 0; j < n; j++)
		add(out, by * c[j], of + j * size, size);
}

static bool collect(struct svd *out, const struct lanczos *l, const struct small *x, bool (*interrupted)(void))
{
	const struct svd_matrix *m = l->m;

	out->s = mem_array(out->k, sizeof(*out->s));
	out->u = mem_array(out->k * m->rows, sizeof(*out->u));
	out->v = mem_array(out->k * m->cols, sizeof(*out->v));
	for (size_t i = 0; i < out->k; i++) {
		size_t c = x->order[i];
		if (is_over(interrupted))
			return false;
		out->s[i] = x->s[c];
		if (x->s[c] > 0)
			compose(out->u + i * m->rows, l->u, x->a + c * x->n, 1 / x->s[c], x->n, m->rows);
		compose(out->v + i * m->cols, l->v, x->v + c * x->n, 1, x->n, m->cols);
	}
	return true;
}

/* Vectors of values that are 0 exactly: any that are orthogonal to the others. */
static bool complete(struct svd *out, const struct svd_matrix *m, bool (*interrupted)(void))
{
	for (size_t i = 0; i < out->k; i++) {
		double *u = out->u + i * m->rows;
		if (is_over(interrupted))
			return false;
		if (out->s[i] > 0)
			continue;
		fill_random(u, m->rows, (uint32_t)i);
		make_orthogonal(u, out->u, i, m->rows);
		double length = sqrt(dot(u, u, m->rows));
		scale(u, length > 0 ? 1 / length : 0, m->rows);
	}
	return true;
}

static bool tall_largest(struct svd *out, const struct svd_matrix *m, size_t k, bool (*interrupted)(void))
{
	size_t least = MIN(m->rows, m->cols), next = MIN(least, 2 * k + 16);
	struct lanczos l = { .m = m, .cap = least };
	bool done = false;

	*out = (struct svd){ .k = MIN(k, least) };
	l.u = mem_array(least * m->rows, sizeof(*l.u));
	l.v = mem_array((least + 1) * m->cols, sizeof(*l.v));
	l.alpha = mem_array(least, sizeof(*l.alpha));
	l.beta = mem_array(least, sizeof(*l.beta));
	fill_random(l.v, m->cols, 0);
	scale(l.v, 1 / sqrt(dot(l.v, l.v, m->cols)), m->cols);
	for (bool on = !is_over(interrupted); on && !done;) {
		while (l.n < next && (on = !is_over(interrupted)))
			step(&l);
		if (!on)
			break;
		struct small x;
		on = take_apart(&l, &x, interrupted);
		done = on && (l.n == least || stands_still(&l, &x, out->k));
		if (done)
			done = on = collect(out, &l, &x, interrupted);
		small_release(&x);
		next = MIN(least, next + next / 2);
	}
	done = done && complete(out, m, interrupted);
	if (!done)
		svd_release(out);
	mem_free(l.u);
	mem_free(l.v);
	mem_free(l.alpha);
	mem_free(l.beta);
	return done;
}

/* The steps end where all columns are known, so the columns are to be the shorter side: else it is turned over. */
bool svd_largest(struct svd *out, const struct svd_matrix *m, size_t k, bool (*interrupted)(void))
{
	struct svd_matrix over = { m->cols, m->rows, m->apply_transposed, m->apply, m->ctx };

	if (m->cols <= m->rows)
		return tall_largest(out, m, k, interrupted);
	bool done = tall_largest(out, &over, k, interrupted);
	double *u = out->u;
	out->u = out->v;
	out->v = u;
	return done;
}

void svd_release(struct svd *s)
{
	mem_free(s->s);
	mem_free(s->u);
	mem_free(s->v);
	*s = (struct svd){ 0 };
}

/* --- of floats --- */

static void floats_apply(const void *ctx, const double *x, double *y)
{
	const struct svd_floats *f = ctx;

	for (size_t r = 0; r < f->rows; r++) {
		const float *row = f->at + r * f->cols;
		double lane[LANES] = { 0 }, sum = 0;
		size_t i = 0;
		for (; i + LANES <= f->cols; i += LANES)
			for (int l = 0; l < LANES; l++)
				lane[l] += row[i + l] * x[i + l];
		for (; i < f->cols; i++)
			sum += row[i] * x[i];
		for (int l = 0; l < LANES; l++)
			sum += lane[l];
		y[r] = sum;
	}
}

static void floats_apply_transposed(const void *ctx, const double *x, double *y)
{
	const struct svd_floats *f = ctx;

	memset(y, 0, f->cols * sizeof(*y));
	for (size_t r = 0; r < f->rows; r++)
		for (size_t i = 0; i < f->cols; i++)
			y[i] += x[r] * f->at[r * f->cols + i];
}

struct svd_matrix svd_of_floats(const struct svd_floats *f)
{
	return (struct svd_matrix){ f->rows, f->cols, floats_apply, floats_apply_transposed, f };
}
