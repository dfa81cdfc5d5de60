/* scoring: a scorer's pass over documents, planned and watched. See scoring.h. */
#include "cmd/scoring.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "op/timing.h"

static uint8_t *mark_tokens(const struct scoring *s, int V)
{
	uint8_t *token = mem_array((size_t)V, 1);

	for (size_t i = 0; i < s->n; i++)
		for (int32_t k = 0; k < s->docs[i]->n; k++)
			token[s->docs[i]->ids[k]] = 1;
	return token;
}

int scoring_planned(const struct scoring *s, struct app *app, const struct loaded *l, struct scorer *scorer,
                    const struct scoring_plan *plan, struct err *e)
{
	uint8_t *token = mark_tokens(s, l->model.config.V);
	struct model_reads reads = { .token = token, .no_head = plan->no_head };
	struct scorer_forecast f;
	struct predicted p;
	int status = scorer_forecast(scorer, s->docs, s->n, false, &f, e);

	if (status == 0) {
		predict_begin(&p, "%s %s", plan->command, compute_name(l->model.compute));
		p.loose_seconds = (double)f.bytes / TIMING_SLOW_RATE;
		predict_phase(&p, "start",
		              (double)f.bytes / f.touch_rate +
		                      loaded_predict(l, &p, &reads, f.bytes + plan->bytes, 0, plan->what));
		predict_phase(&p, plan->phase, f.seconds);
		predict_phase(&p, plan->after ? plan->after : "writing", plan->writing);
		predict_operations(&p, f.flops, f.int_ops);
		status = planned(app, &p, NULL, e);
	}
	mem_free(token);
	return status;
}

void scoring_begin(struct scoring *s)
{
	s->tokens = s->done = 0;
	s->seen = 0;
	for (size_t i = 0; i < s->n; i++)
		s->tokens += s->docs[i]->n;
	s->began = clock_seconds();
}

int scoring_progress(void *ctx, size_t done, size_t n)
{
	struct scoring *s = ctx;
	char left[32];

	while (s->seen < done)
		s->done += s->docs[s->seen++]->n;
	double seconds = clock_seconds() - s->began, rate = (double)s->done / seconds;
	if (seconds < 2)
		return metering_over();
	clock_human((double)(s->tokens - s->done) / rate, left);
	log_live("%s %zu of %zu  %.0f tokens/s  %s left  %s", s->unit, done, n, rate, left, metering_live());
	return metering_over();
}
