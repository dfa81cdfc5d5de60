/* batch_ramp: stages of one batch each, until the wanted step or window lies in one. See batch_ramp.h. */
#include "train/batch_ramp.h"

#include <stdio.h>

#include "base/mem.h"

enum { MOST_INCREMENTS = 1 << 20 };
#define MOST_SAMPLES 1000000000000ull  /* times the increments: below 2^64 */

/* Steps [step, step + steps) take `batch` windows each, the first of them window `at`. */
struct stage { uint64_t step, at, steps, batch; };

static uint64_t over(uint64_t n, uint64_t by) { return (n + by - 1) / by; }

static uint64_t increments(const struct batch_ramp *r) { return over(r->global - r->start, r->increment); }

/* The stage after s; the last one does not end. */
static void next(const struct batch_ramp *r, struct stage *s)
{
	s->step += s->steps;
	s->at += s->steps * s->batch;
	s->batch = r->global;
	s->steps = UINT64_MAX;
	if (s->at >= r->samples)
		return;
	uint64_t n = increments(r), k = s->at * n / r->samples, end = over((k + 1) * r->samples, n);
	s->batch = MIN(r->global, r->start + k * r->increment);
	s->steps = over(end - s->at, s->batch);
}

/* The stage that a step is in. */
static struct stage stage_of(const struct batch_ramp *r, uint64_t step)
{
	struct stage s = { 0 };

	for (next(r, &s); step - s.step >= s.steps;)
		next(r, &s);
	return s;
}

uint64_t batch_ramp_before(const struct batch_ramp *r, uint64_t step)
{
	struct stage s = stage_of(r, step);

	return s.at + (step - s.step) * s.batch;
}

uint64_t batch_ramp_size(const struct batch_ramp *r, uint64_t step) { return stage_of(r, step).batch; }

uint64_t batch_ramp_steps(const struct batch_ramp *r, uint64_t windows)
{
	struct stage s = { 0 };

	for (next(r, &s); (windows - s.at) / s.batch >= s.steps;)
		next(r, &s);
	return s.step + (windows - s.at) / s.batch;
}

uint64_t batch_ramp_micros(const struct batch_ramp *r, uint64_t step, uint64_t most)
{
	struct stage s = { 0 };
	uint64_t sum = 0;

	for (next(r, &s); step - s.step >= s.steps; next(r, &s))
		sum += s.steps * over(s.batch, most);
	return sum + (step - s.step) * over(s.batch, most);
}

int batch_ramp_parse(struct batch_ramp *r, const char *text, struct err *e)
{
	unsigned long long start, increment, samples;
	char rest;

	r->samples = 0;
	if (!text)
		return 0;
	if (sscanf(text, "%20llu,%20llu,%20llu%c", &start, &increment, &samples, &rest) != 3 || !start || !increment ||
	    !samples || samples > MOST_SAMPLES || start > MOST_SAMPLES || increment > MOST_SAMPLES)
		return err_set(e, "--rampup-batch-size %s: START,INCREMENT,SAMPLES were wanted, whole numbers from 1 "
		                  "to 1e12, as 4,4,2000", text);
	if (r->global && start >= r->global)
		return err_set(e, "--rampup-batch-size %s: it begins at %llu windows, and a step has %llu in the end",
		               text, start, (unsigned long long)r->global);
	if (r->global && (r->global - start) / increment >= MOST_INCREMENTS)
		return err_set(e, "--rampup-batch-size %s: more than %d increments", text, MOST_INCREMENTS);
	r->start = start;
	r->increment = increment;
	r->samples = samples;
	return 0;
}
