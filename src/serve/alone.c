/* alone: steps of an answer that has the machine for itself, summed in closed form. See alone.h. */
#include "serve/alone.h"

#include <math.h>

#include "base/mem.h"
#include "gas/forecast.h"

int alone_measure(struct alone *a, struct session *s, struct err *e)
{
	int rows = MIN(session_rows(s), session_limit(s)), far = session_limit(s) - rows;
	struct work ignored;

	*a = (struct alone){ .rows = rows, .length = far };
	for (int i = 0; i < 2; i++)
		if (session_time(s, 1, 1, i ? far : 0, &a->one[i], &ignored, e) < 0 ||
		    session_time(s, 1, rows, i ? far : 0, &a->full[i], &ignored, e) < 0)
			return -1;
	return 0;
}

/* A time measured twice, after so many tokens; what is longer takes no less. */
static double after(const double t[2], int far, double length)
{
	return far > 0 ? t[0] + fmax(0, t[1] - t[0]) * length / far : t[0];
}

static double step(const struct alone *a, double rows, double length)
{
	double one = after(a->one, a->length, length), full = after(a->full, a->length, length);

	return a->rows > 1 ? one + fmax(0, full - one) * (rows - 1) / (a->rows - 1) : one;
}

struct span alone_seconds(const struct alone *a, size_t kept, size_t prompt, size_t made)
{
	double seconds = 0, n = made ? (double)made - 1 : 0; /* the first comes with the prompt's last step */

	if (!a->rows)
		return (struct span){ NAN, NAN, NAN };
	for (size_t at = kept; at < prompt; at += (size_t)a->rows)
		seconds += step(a, (double)MIN((size_t)a->rows, prompt - at), (double)at);
	seconds += n * step(a, 1, (double)prompt + n / 2);
	return forecast(seconds, forecast_sigma(forecast_time, seconds), forecast_time, NULL, 0);
}
