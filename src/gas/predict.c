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
#include "gas/meter.h"

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

void predict_operations(struct predicted *p, double all, double in_int8)
{
	p->flops = all - in_int8;
	p->int_ops = in_int8;
}

void predict_part(struct predicted *p, const char *name, double bytes, const char *why)
{
	add_part(p->part, &p->n_parts, (struct predicted_part){ name, bytes, why });
	p->bytes += bytes;
}

void predict_begin(struct predicted *p, const char *kind, ...)
{
	va_list ap;

	*p = (struct predicted){ .flops = NAN, .int_ops = NAN };
	va_start(ap, kind);
	vsnprintf(p->kind, sizeof(p->kind), kind, ap);
	va_end(ap);
	predict_phase(p, "open", 0);
}

const char *predict_human(double seconds, char out[32])
{
	if (seconds > 0 && seconds < 0.0095)
		clock_human(seconds, out);
	else if (seconds < 1)
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
	out->joules = span_exact(NAN);
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
	json_object_set_new(j, "planned_int_ops", jsonx_number(p->int_ops));
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

/* What is not known, of the plan or of the run, is not judged. */
static void compare_joules(const struct predicted_spans *s, double joules, char *out, size_t size, json_t *j)
{
	bool known = !isnan(s->joules.low) && !isnan(s->joules.high) && !isnan(joules);
	char low[32], high[32], took[32];

	if (known)
		snprintf(out, size, "; energy %s to %s, %s: %s", gas_joules(s->joules.low, low),
		         gas_joules(s->joules.high, high), gas_joules(joules, took),
		         inside(s->joules, joules) ? "inside" : "outside");
	json_object_set_new(j, "joules_interval",
	                    known ? json_pack("[f, f]", s->joules.low, s->joules.high) : json_null());
	json_object_set_new(j, "joules", jsonx_number(joules));
	json_object_set_new(j, "joules_inside", known ? json_boolean(inside(s->joules, joules)) : json_null());
}

void predict_compare(const struct predicted_spans *s, double seconds, double bytes, double joules, char out[400],
                     json_t *j)
{
	char a[32], low[32], high[32], b[32], least[32], most[32];
	json_t *said = json_object();
	bool time = inside(s->seconds, seconds), memory = inside(s->bytes, bytes);

	predict_human(seconds, a);
	predict_human(s->seconds.low, low);
	predict_human(s->seconds.high, high);
	int n = snprintf(out, 400, "planned %s to %s, took %s: %s; memory %s to %s, %s: %s", low, high, a,
	         time ? "inside" : "outside", human_bytes((size_t)s->bytes.low, least),
	         human_bytes((size_t)s->bytes.high, most), human_bytes((size_t)bytes, b),
	         memory ? "inside" : "outside");
	json_object_set_new(said, "seconds_interval", json_pack("[f, f]", s->seconds.low, s->seconds.high));
	json_object_set_new(said, "seconds", jsonx_number(seconds));
	json_object_set_new(said, "seconds_inside", json_boolean(time));
	json_object_set_new(said, "bytes_interval",
	                    json_pack("[I, I]", (json_int_t)s->bytes.low, (json_int_t)s->bytes.high));
	json_object_set_new(said, "bytes", json_integer((json_int_t)bytes));
	json_object_set_new(said, "bytes_inside", json_boolean(memory));
	compare_joules(s, joules, out + n, 400 - (size_t)n, said);
	if (j)
		json_object_set(j, "prediction", said);
	json_decref(said);
}
