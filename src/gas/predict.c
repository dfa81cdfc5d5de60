/* predict: figures in, lines and JSON with intervals out. Seconds and bytes are the sums of what was given; joules
 * are the median of what past runs took a planned second, over the seconds planned now. */
#include "gas/predict.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/jsonx.h"
#include "base/mem.h"

static void add_part(struct predicted_part *parts, size_t *n, struct predicted_part part)
{
	if (*n == PREDICT_PARTS)
		BUG("more than %d parts of a prediction", PREDICT_PARTS);
	parts[(*n)++] = part;
}

void predict_phase(struct predicted *p, const char *name, double seconds)
{
	add_part(p->phase, &p->n_phases, (struct predicted_part){ name, seconds, NULL });
	p->seconds += seconds;
}

void predict_open(struct predicted *p, double seconds)
{
	p->seconds += seconds - p->phase[0].amount;
	p->phase[0].amount = seconds;
}

void predict_part(struct predicted *p, const char *name, double bytes, const char *why)
{
	add_part(p->part, &p->n_parts, (struct predicted_part){ name, bytes, why });
	p->bytes += bytes;
}

void predict_begin(struct predicted *p, const char *kind, ...)
{
	va_list ap;

	*p = (struct predicted){ .flops = NAN };
	va_start(ap, kind);
	vsnprintf(p->kind, sizeof(p->kind), kind, ap);
	va_end(ap);
	predict_phase(p, "open", 0);
}

const char *predict_human(double seconds, char out[32])
{
	if (seconds < 1)
		snprintf(out, 32, "%.0f ms", 1000 * seconds);
	else if (seconds < 10)
		snprintf(out, 32, "%.2f s", seconds);
	else
		clock_human(seconds, out);
	return out;
}

/* What may not come at all lowers the lower end, until past runs show how often it comes. */
void predict_spans(const struct predicted *p, const struct predict_past *past, struct predicted_spans *out)
{
	double sigma = out->sigma = hypot(forecast_sigma(forecast_time, p->seconds), p->loose_seconds / 2);

	out->past = past ? past->n : 0;
	out->seconds = forecast(p->seconds, sigma, forecast_time, past ? past->seconds : NULL, out->past);
	out->bytes = forecast(p->bytes, forecast_sigma(forecast_memory, p->bytes), forecast_memory,
	                      past ? past->bytes : NULL, out->past);
	if (out->past < FORECAST_ENOUGH)
		out->seconds.low = fmin(out->seconds.low,
		                        forecast(p->seconds - p->spare_seconds, sigma, forecast_time, NULL, 0).low);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

/* Joules a planned second. */
static double median_power(const struct forecast_past *past, size_t n)
{
	double watts[FORECAST_LAST];

	for (size_t i = 0; i < n; i++)
		watts[i] = past[i].actual / past[i].predicted;
	qsort(watts, n, sizeof(*watts), by_size);
	return (watts[(n - 1) / 2] + watts[n / 2]) / 2;
}

static double joules_sigma(double watts, double seconds, double sigma)
{
	return hypot(forecast_sigma(forecast_energy, watts * seconds), watts * sigma);
}

bool predict_joules(const struct predicted *p, const struct predicted_spans *s, const struct predict_past *past,
                    struct span *out)
{
	struct forecast_past joules[FORECAST_LAST];

	if (past->n_joules == 0)
		return false;
	double watts = median_power(past->joules, past->n_joules);
	for (size_t i = 0; i < past->n_joules; i++) {
		const struct forecast_past *x = &past->joules[i];
		joules[i] = (struct forecast_past){ watts * x->predicted, x->actual,
			                            joules_sigma(watts, x->predicted, x->sigma) };
	}
	*out = forecast(watts * p->seconds, joules_sigma(watts, p->seconds, s->sigma), forecast_energy, joules,
	                past->n_joules);
	return true;
}

/* --- out --- */

static json_t *parts_json(const struct predicted_part *parts, size_t n, const char *suffix, bool whole)
{
	json_t *j = json_object();

	for (size_t i = 0; i < n; i++) {
		char *key = mem_printf("%s%s", parts[i].name, suffix);
		json_object_set_new(j, key,
		                    whole ? json_integer((json_int_t)parts[i].amount) : jsonx_number(parts[i].amount));
		mem_free(key);
	}
	return j;
}

void predict_json(json_t *j, const struct predicted *p, const struct predicted_spans *s)
{
	json_object_set_new(j, "planned_bytes", json_integer((json_int_t)p->bytes));
	json_object_set_new(j, "planned_seconds", jsonx_number(p->seconds));
	json_object_set_new(j, "planned_flops", jsonx_number(p->flops));
	json_object_set_new(j, "parts", parts_json(p->part, p->n_parts, "_bytes", true));
	json_object_set_new(j, "seconds_parts", parts_json(p->phase, p->n_phases, "", false));
	json_object_set_new(j, "planned_seconds_low", jsonx_number(s->seconds.low));
	json_object_set_new(j, "planned_seconds_middle", jsonx_number(s->seconds.mid));
	json_object_set_new(j, "planned_seconds_high", jsonx_number(s->seconds.high));
	json_object_set_new(j, "planned_seconds_sigma", jsonx_number(s->sigma));
	json_object_set_new(j, "planned_bytes_low", json_integer((json_int_t)s->bytes.low));
	json_object_set_new(j, "planned_bytes_middle", json_integer((json_int_t)s->bytes.mid));
	json_object_set_new(j, "planned_bytes_high", json_integer((json_int_t)s->bytes.high));
	json_object_set_new(j, "kind", json_string(p->kind));
	json_object_set_new(j, "past_runs", json_integer((json_int_t)s->past));
}

static bool inside(struct span s, double x) { return x >= s.low && x <= s.high; }

void predict_compare(const struct predicted_spans *s, double seconds, double bytes, char out[200], json_t *j)
{
	char a[32], low[32], high[32], b[32], least[32], most[32];
	bool time = inside(s->seconds, seconds), memory = inside(s->bytes, bytes);

	predict_human(seconds, a);
	predict_human(s->seconds.low, low);
	predict_human(s->seconds.high, high);
	snprintf(out, 200, "planned %s to %s, took %s: %s; memory %s to %s, %s: %s", low, high, a,
	         time ? "inside" : "outside", human_bytes((size_t)s->bytes.low, least),
	         human_bytes((size_t)s->bytes.high, most), human_bytes((size_t)bytes, b),
	         memory ? "inside" : "outside");
	if (j)
		json_object_set_new(j, "prediction",
		                    json_pack("{s:[f, f], s:f, s:b, s:[I, I], s:I, s:b}", "seconds_interval",
		                              s->seconds.low, s->seconds.high, "seconds", seconds, "seconds_inside",
		                              (int)time, "bytes_interval", (json_int_t)s->bytes.low,
		                              (json_int_t)s->bytes.high, "bytes", (json_int_t)bytes, "bytes_inside",
		                              (int)memory));
}
