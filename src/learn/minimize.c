/* minimize: L-BFGS. See minimize.h. */
#include "learn/minimize.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/stop.h"

#define ENOUGH 1e-4             /* Armijo: of the decrease that the slope promises */
#define FLAT 0.9                /* Wolfe: the slope that may be left */
enum { TRIES = 30 };

struct search {
	struct minimize *m;
	size_t n;
	double *x, *g, *d;              /* where it is, its gradient, the direction */
	double *x_new, *g_new;
	double *s, *y;                  /* [MINIMIZE_PAIRS][n] the last changes, a ring */
	double rho[MINIMIZE_PAIRS];     /* 1/(yᵀs) */
	int held, next;
	double f;
};

static double dot(const double *a, const double *b, size_t n)
{
	double sum[4] = { 0 };
	size_t i = 0;

	for (; i + 4 <= n; i += 4)
		for (size_t j = 0; j < 4; j++)
			sum[j] += a[i + j] * b[i + j];
	for (; i < n; i++)
		sum[0] += a[i] * b[i];
	return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static void add(double *y, double a, const double *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] += a * x[i];
}

static double largest(const double *g, size_t n)
{
	double most = 0;

	for (size_t i = 0; i < n; i++)
		most = fmax(most, fabs(g[i]));
	return most;
}

/* d = −H·g, by the two loops. */
static void direct(struct search *q)
{
	double alpha[MINIMIZE_PAIRS];
	size_t n = q->n;

	for (size_t i = 0; i < n; i++)
		q->d[i] = -q->g[i];
	for (int j = 1; j <= q->held; j++) {
		int k = (q->next - j + MINIMIZE_PAIRS) % MINIMIZE_PAIRS;
		alpha[k] = q->rho[k] * dot(q->s + (size_t)k * n, q->d, n);
		add(q->d, -alpha[k], q->y + (size_t)k * n, n);
	}
	if (q->held) {
		int k = (q->next - 1 + MINIMIZE_PAIRS) % MINIMIZE_PAIRS;
		const double *y = q->y + (size_t)k * n;
		double by = 1 / (q->rho[k] * dot(y, y, n));
		for (size_t i = 0; i < n; i++)
			q->d[i] *= by;
	}
	for (int j = q->held; j >= 1; j--) {
		int k = (q->next - j + MINIMIZE_PAIRS) % MINIMIZE_PAIRS;
		add(q->d, alpha[k] - q->rho[k] * dot(q->y + (size_t)k * n, q->d, n), q->s + (size_t)k * n, n);
	}
}

static double look(struct search *q, double t)
{
	for (size_t i = 0; i < q->n; i++)
		q->x_new[i] = q->x[i] + t * q->d[i];
	return q->m->value(q->m->ctx, q->x_new, q->g_new);
}

/* A step along d that is less by enough and leaves less slope; the best of those that are less where none does both.
 * false: none is less. */
static bool walk(struct search *q, double *value)
{
	double slope = dot(q->g, q->d, q->n), low = 0, high = INFINITY;
	double t = q->held ? 1 : fmin(1, 1 / sqrt(dot(q->g, q->g, q->n)));

	for (int i = 0; i < TRIES; i++) {
		double f = look(q, t);
		if (!(f <= q->f + ENOUGH * t * slope)) {
			high = t;
		} else if (dot(q->g_new, q->d, q->n) < FLAT * slope) {
			low = t;
		} else {
			*value = f;
			return true;
		}
		t = isinf(high) ? 2 * t : (low + high) / 2;
	}
	*value = low > 0 ? look(q, low) : q->f;
	return low > 0 && *value < q->f;
}

static void keep(struct search *q)
{
	size_t n = q->n;
	double *s = q->s + (size_t)q->next * n, *y = q->y + (size_t)q->next * n;

	for (size_t i = 0; i < n; i++) {
		s[i] = q->x_new[i] - q->x[i];
		y[i] = q->g_new[i] - q->g[i];
	}
	double curve = dot(s, y, n);
	if (curve > 0 && isfinite(1 / curve)) {
		q->rho[q->next] = 1 / curve;
		q->next = (q->next + 1) % MINIMIZE_PAIRS;
		q->held = MIN(q->held + 1, MINIMIZE_PAIRS);
	}
	memcpy(q->x, q->x_new, n * sizeof(*q->x));
	memcpy(q->g, q->g_new, n * sizeof(*q->g));
}

int minimize(struct minimize *m, double *x, struct err *e)
{
	size_t n = m->n;
	double *room = mem_array(n * (4 + 2 * (size_t)MINIMIZE_PAIRS) + 1, sizeof(*room));
	struct search q = { .m = m, .n = n, .x = x, .g = room, .d = room + n, .x_new = room + 2 * n,
		            .g_new = room + 3 * n, .s = room + 4 * n,
		            .y = room + (4 + (size_t)MINIMIZE_PAIRS) * n };
	int status = 0;

	q.f = m->value(m->ctx, x, q.g);
	for (m->steps = 0; status == 0 && m->steps < m->most && largest(q.g, n) > m->tolerance; m->steps++) {
		double f;
		status = stop_look(e, "numbers were fitted");
		direct(&q);
		if (status < 0 || !walk(&q, &f))
			break;
		keep(&q);
		q.f = f;
	}
	m->last = q.f;
	m->slope = largest(q.g, n);
	mem_free(room);
	return status;
}
