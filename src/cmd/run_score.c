/* run_score: gain against forgetting. See run_score.h.
 *
 * All runs of a chart are placed by one metric, the first that all of those have which have measured what they forgot,
 * and by its gain where all know it: else by its value, so that no two heights mean two things. */
#include "cmd/run_score.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/chart_point.h"

static const char *const metrics[] = { "eval_acc", "eval_rewards/accuracies", "eval_loss" };

static double last_of(const struct run_metric *m) { return m && m->n ? m->value[m->n - 1] : NAN; }

static double result(const struct run_log *l, const char *name)
{
	json_t *said = run_log_result(l, name);

	return json_is_number(said) ? json_number_value(said) : NAN;
}

static bool score_by(const struct run_log *l, const char *metric, struct run_score *out)
{
	const struct run_metric *m = run_log_metric(l, metric), *error;
	bool loss = !strcmp(metric, "eval_loss");
	char name[64];

	if (!m || !m->n)
		return false;
	snprintf(name, sizeof(name), "%s_stderr", metric);
	error = run_log_metric(l, name);
	*out = (struct run_score){ .metric = metric, .value = last_of(m), .gain = NAN };
	double kept = result(l, loss ? "eval_loss" : !strcmp(metric, "eval_acc") ? "acc" : metric);
	out->value = isfinite(kept) ? kept : out->value; /* of the best state, where that is the result */
	out->error = isfinite(last_of(error)) ? last_of(error) : 0;
	if (m->step[0] == 0)
		out->gain = (loss ? -1 : 1) * (out->value - m->value[0]);
	return isfinite(out->value);
}

bool run_score(const struct run_log *l, const char *metric, struct run_score *out)
{
	for (size_t i = 0; i < ARRAY_LEN(metrics); i++)
		if ((!metric || !strcmp(metric, metrics[i])) && score_by(l, metrics[i], out))
			return true;
	return false;
}

void run_score_put(json_t *line, const struct run_log *l)
{
	static const char *const forgotten[] = { "forgetting_kl", "forgetting_kl_stderr" };
	struct run_score s;

	if (run_score(l, NULL, &s) && isfinite(s.gain)) {
		json_object_set_new(line, "gain", json_real(s.gain));
		json_object_set_new(line, "gain_of", json_string(s.metric));
	}
	for (size_t i = 0; i < ARRAY_LEN(forgotten); i++)
		if (run_log_result(l, forgotten[i]))
			json_object_set(line, forgotten[i], run_log_result(l, forgotten[i]));
}

/* --- the chart --- */

struct place { const struct run_log *run; struct run_score score; double kl, kl_error; };

/* Those of the runs that have both, by this metric; *all: no run that has forgotten lacks it. */
static size_t places_by(struct place *out, const struct run_log *runs, size_t n, const char *metric, bool *all)
{
	size_t found = 0;

	*all = true;
	for (size_t i = 0; i < n; i++) {
		struct place p = { .run = &runs[i], .kl = result(&runs[i], "forgetting_kl"),
			           .kl_error = result(&runs[i], "forgetting_kl_stderr") };
		if (!isfinite(p.kl))
			continue;
		if (run_score(&runs[i], metric, &p.score))
			out[found++] = p;
		else
			*all = false;
	}
	return found;
}

static double height(const struct place *p, bool gain) { return gain ? p->score.gain : p->score.value; }

size_t run_score_chart(struct chart *c, const struct run_log *runs, size_t n, struct arena *mem)
{
	struct place *places = arena_array(mem, n, sizeof(*places));
	struct chart_series *series = arena_array(mem, 2 * n, sizeof(*series));
	bool all = false, gain = true;
	size_t found = 0;

	for (size_t i = 0; i < ARRAY_LEN(metrics) && !all; i++)
		found = places_by(places, runs, n, metrics[i], &all);
	for (size_t i = 0; i < found; i++)
		gain &= isfinite(places[i].score.gain);
	*c = (struct chart){ .title = "gain against forgetting",
		             .x_label = "forgotten: KL(before || after), nats a token", .series = series };
	if (!found)
		return 0;
	c->y_label = gain ? arena_printf(mem, "gain of %s", places[0].score.metric) : places[0].score.metric;
	for (size_t i = 0; i < found; i++) {
		const struct place *p = &places[i];
		const struct chart_point point = { .name = p->run->path, .x = p->kl, .y = height(p, gain),
			                           .wide = 1.96 * p->kl_error, .far = 1.96 * p->score.error,
			                           .color = (int)(i % 8) + 1 };
		chart_point(&point, &series[i], &series[found + i], mem);
	}
	c->n_series = 2 * found;
	return found;
}
