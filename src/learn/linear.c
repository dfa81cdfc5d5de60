/* linear: logistic regression and ridge. See linear.h. */
#include "learn/linear.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/logistic.h"
#include "base/mem.h"
#include "base/stop.h"
#include "learn/minimize.h"

void linear_begin(struct linear_model *m, size_t cols, int classes)
{
	*m = (struct linear_model){ .cols = cols, .outputs = classes > 2 ? classes : 1 };
	m->w = mem_array((cols + 1) * (size_t)m->outputs, sizeof(*m->w));
	m->b = m->w + cols * (size_t)m->outputs;
}

void linear_release(struct linear_model *m)
{
	mem_free(m->w);
	*m = (struct linear_model){ 0 };
}

void linear_outputs(const struct linear_model *m, const struct design *x, const struct workshop *on, double *z)
{
	size_t k = (size_t)m->outputs;

	design_times(x, on, m->w, k, z);
	for (size_t i = 0; i < x->rows * k; i++)
		z[i] += m->b[i % k];
}

static void times(const struct design *x, const struct workshop *on, struct design_fast *fast, const double *w,
                  size_t k, double *z)
{
	if (fast)
		design_fast_times(fast, w, z);
	else
		design_times(x, on, w, k, z);
}

static void back(const struct design *x, const struct workshop *on, struct design_fast *fast, const double *r, size_t k,
                 double *g)
{
	if (fast)
		design_fast_back(fast, r, g);
	else
		design_back(x, on, r, k, g);
}

double linear_step_seconds(const struct design *x, size_t outputs, bool rough, const struct workshop *on)
{
	double *w = mem_array((x->cols + x->rows) * outputs + 1, sizeof(*w)), *z = w + x->cols * outputs, began = 0;
	struct design_fast fast;
	bool dense = rough && x->dense;

	if (dense)
		design_fast_begin(&fast, x, on, outputs);
	for (int i = 0; i < 2; i++) { /* the first one takes memory */
		began = clock_seconds();
		times(x, on, dense ? &fast : NULL, w, outputs, z);
		back(x, on, dense ? &fast : NULL, z, outputs, w);
	}
	double seconds = clock_seconds() - began;
	if (dense)
		design_fast_release(&fast);
	mem_free(w);
	return seconds;
}

/* --- logistic --- */

struct logistic {
	const struct design *x;
	const struct workshop *on;
	const int32_t *y;
	size_t k;
	double C;
	double *z;                      /* [rows][k] outputs, then −(what is wanted − p)/n */
	struct design_fast *fast;       /* or NULL */
};

/* −log p(y) of a row's outputs, which become p − (1 of y). */
static double lose(double *z, size_t k, int32_t y)
{
	double most = z[0], sum = 0;

	if (k == 1) {
		double loss = softplus(y ? -z[0] : z[0]);
		z[0] = sigmoid(z[0]) - (y ? 1 : 0);
		return loss;
	}
	for (size_t j = 1; j < k; j++)
		most = fmax(most, z[j]);
	double own = z[y] - most;
	for (size_t j = 0; j < k; j++)
		sum += z[j] = exp(z[j] - most);
	for (size_t j = 0; j < k; j++)
		z[j] /= sum;
	z[y] -= 1;
	return log(sum) - own;
}

static double logistic_value(void *ctx, const double *w, double *g)
{
	struct logistic *l = ctx;
	size_t k = l->k, n = l->x->rows, weights = l->x->cols * k;
	double loss = 0, squares = 0, shrink = 1 / (l->C * (double)n);

	times(l->x, l->on, l->fast, w, k, l->z);
	memset(g + weights, 0, k * sizeof(*g));
	for (size_t i = 0; i < n; i++) {
		double *z = l->z + i * k;
		for (size_t j = 0; j < k; j++)
			z[j] += w[weights + j];
		loss += lose(z, k, l->y[i]);
		for (size_t j = 0; j < k; j++)
			g[weights + j] += z[j] /= (double)n;
	}
	back(l->x, l->on, l->fast, l->z, k, g);
	for (size_t i = 0; i < weights; i++) {
		squares += w[i] * w[i];
		g[i] += shrink * w[i];
	}
	return loss / (double)n + shrink / 2 * squares;
}

int logistic_fit(struct linear_model *m, const struct design *x, const int32_t *y, const struct fit_options *o,
                 const struct workshop *on, struct err *e)
{
	struct design_fast fast;
	size_t k = (size_t)m->outputs;
	struct logistic l = { .x = x, .on = on, .y = y, .k = k, .C = o->C,
		              .z = mem_array(x->rows * k + 1, sizeof(double)) };
	struct minimize min = { .n = (x->cols + 1) * k, .value = logistic_value, .ctx = &l,
		                .tolerance = o->tolerance, .most = o->most };

	if (x->dense && o->rough) {
		design_fast_begin(&fast, x, on, k);
		l.fast = &fast;
	}
	int status = minimize(&min, m->w, e);
	if (l.fast)
		design_fast_release(&fast);
	mem_free(l.z);
	return status;
}

/* --- ridge --- */

struct ridge {
	const struct design *x;
	const struct workshop *on;
	double *mean;                   /* [cols] of the columns */
	double *q, *ones;               /* [rows] */
	double alpha;
	struct design_fast *fast;       /* or NULL */
};

/* out = (Xcᵀ·Xc + alpha)·p, Xc the centered rows: Xc·p = X·p − mean·p, Xcᵀ·q = Xᵀ·q − mean·Σq. */
static void normal(const struct ridge *r, const double *p, double *out)
{
	double shift = 0, sum = 0;

	for (size_t c = 0; c < r->x->cols; c++)
		shift += r->mean[c] * p[c];
	times(r->x, r->on, r->fast, p, 1, r->q);
	for (size_t i = 0; i < r->x->rows; i++)
		sum += r->q[i] -= shift;
	back(r->x, r->on, r->fast, r->q, 1, out);
	for (size_t c = 0; c < r->x->cols; c++)
		out[c] += r->alpha * p[c] - r->mean[c] * sum;
}

static double square(const double *x, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += x[i] * x[i];
	return sum;
}

/* w from what it is on; residual: right side less what w makes of it. */
static int conjugate(const struct ridge *r, double *w, double *residual, const struct fit_options *o, struct err *e)
{
	size_t n = r->x->cols;
	double *p = mem_array(2 * n + 1, sizeof(*p)), *Ap = p + n, rr = square(residual, n);
	double enough = rr * o->tolerance * o->tolerance;
	int status = 0;

	memcpy(p, residual, n * sizeof(*p));
	for (int i = 0; i < o->most && rr > enough && status == 0; i++) {
		double pAp = 0;
		status = stop_look(e, "a regression was fitted");
		normal(r, p, Ap);
		for (size_t c = 0; c < n; c++)
			pAp += p[c] * Ap[c];
		if (!(pAp > 0))
			break;
		double step = rr / pAp, before = rr;
		for (size_t c = 0; c < n; c++) {
			w[c] += step * p[c];
			residual[c] -= step * Ap[c];
		}
		rr = square(residual, n);
		for (size_t c = 0; c < n; c++)
			p[c] = residual[c] + rr / before * p[c];
	}
	mem_free(p);
	return status;
}

int ridge_fit(struct linear_model *m, const struct design *x, const double *y, const struct fit_options *o,
              const struct workshop *on, struct err *e)
{
	size_t n = x->rows, cols = x->cols;
	double *room = mem_array(2 * cols + 2 * n + 1, sizeof(*room)), *right = room + cols, mean_y = 0;
	struct ridge r = { x, on, room, room + 2 * cols, room + 2 * cols + n, 1 / o->C, NULL };
	struct design_fast fast;

	for (size_t i = 0; i < n; i++) {
		mean_y += y[i] / (double)n;
		r.ones[i] = 1 / (double)n;
	}
	design_back(x, on, r.ones, 1, r.mean);
	for (size_t i = 0; i < n; i++)
		r.ones[i] = y[i] - mean_y;
	design_back(x, on, r.ones, 1, right); /* Σ (y − mean) is 0, so the centering of x adds nothing */
	memset(m->w, 0, cols * sizeof(*m->w));
	if (x->dense && o->rough) {
		design_fast_begin(&fast, x, on, 1);
		r.fast = &fast;
	}
	int status = conjugate(&r, m->w, right, o, e);
	if (r.fast)
		design_fast_release(&fast);
	m->b[0] = mean_y;
	for (size_t c = 0; c < cols; c++)
		m->b[0] -= r.mean[c] * m->w[c];
	mem_free(room);
	return status;
}
