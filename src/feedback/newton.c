/* newton: steps H⁻¹·g by Cholesky's factors, until one changes no digit that counts. See newton.h. */
#include "feedback/newton.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

enum { STEPS = 100, HALVINGS = 40 };
static const double still = 1e-11, degenerate = 1e-12;

/* h becomes its lower factor; false: it is not positive definite. */
static bool factor(double *h, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		double whole = h[i * n + i];
		for (size_t k = 0; k <= i; k++) {
			double sum = h[i * n + k];
			for (size_t m = 0; m < k; m++)
				sum -= h[i * n + m] * h[k * n + m];
			if (k < i)
				h[i * n + k] = sum / h[k * n + k];
			else if (!(sum > degenerate * whole) || !isfinite(sum))
				return false;
			else
				h[i * n + i] = sqrt(sum);
		}
	}
	return true;
}

static void solve(const double *l, size_t n, double *x)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < i; k++)
			x[i] -= l[i * n + k] * x[k];
		x[i] /= l[i * n + i];
	}
	for (size_t i = n; i-- > 0;) {
		for (size_t k = i + 1; k < n; k++)
			x[i] -= l[k * n + i] * x[k];
		x[i] /= l[i * n + i];
	}
}

/* From at along the step, halved until the value is no less; the new value, NAN where none is. */
static double walk(const struct newton *f, double *x, const double *at, const double *step, double from)
{
	double part = 1;

	for (int k = 0; k < HALVINGS; k++, part /= 2) {
		for (size_t i = 0; i < f->n; i++)
			x[i] = at[i] + part * step[i];
		double v = f->value(f->ctx, x, NULL, NULL);
		if (v >= from - 1e-13 * fabs(from))
			return v;
	}
	return NAN;
}

static void invert(const double *l, size_t n, double *inverse)
{
	memset(inverse, 0, n * n * sizeof(*inverse));
	for (size_t i = 0; i < n; i++) {
		inverse[i * n + i] = 1;
		solve(l, n, inverse + i * n);
	}
}

bool newton_climb(const struct newton *f, double *x, double *inverse)
{
	size_t n = f->n;
	double *all = mem_array(n * n + 2 * n, sizeof(*all)), *h = all, *step = h + n * n, *at = step + n;
	bool found = false, sound = true;

	for (int i = 0; i < STEPS && !found && sound; i++) {
		double largest = 0, size = 1;
		memset(all, 0, (n * n + n) * sizeof(*all));
		double from = f->value(f->ctx, x, step, h);
		sound = factor(h, n);
		if (!sound)
			break;
		solve(h, n, step);
		memcpy(at, x, n * sizeof(*x));
		for (size_t k = 0; k < n; k++) {
			largest = fmax(largest, fabs(step[k]));
			size = fmax(size, fabs(x[k]));
		}
		found = largest <= still * size;
		sound = found || !isnan(walk(f, x, at, step, from));
	}
	if (found && inverse)
		invert(h, n, inverse);
	mem_free(all);
	return found;
}
