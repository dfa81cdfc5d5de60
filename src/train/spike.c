/* spike: see spike.h. Sums are taken anew each time, in the order of the steps, so that a run that was stopped has the
 * same bits. */
#include "train/spike.h"

#include <math.h>

#include "base/mem.h"

void spike_init(struct spike *s, long window)
{
	*s = (struct spike){ .window = window, .loss = mem_array((size_t)window, sizeof(*s->loss)) };
}

void spike_release(struct spike *s)
{
	mem_free(s->loss);
	*s = (struct spike){ 0 };
}

double spike_mean(const struct spike *s, double *deviation)
{
	long kept = MIN(s->n, s->window);
	double sum = 0, squares = 0;

	if (kept < MIN((long)SPIKE_LEAST, s->window))
		return NAN;
	for (long i = s->n - kept; i < s->n; i++)
		sum += s->loss[i % s->window];
	double mean = sum / (double)kept;
	for (long i = s->n - kept; i < s->n; i++)
		squares += (s->loss[i % s->window] - mean) * (s->loss[i % s->window] - mean);
	*deviation = MAX(sqrt(squares / (double)MAX(kept - 1, 1L)), 1e-3 * fabs(mean));
	return mean;
}

bool spike_is(const struct spike *s, double threshold, double loss)
{
	double deviation, mean = spike_mean(s, &deviation);

	return !isfinite(loss) || (!isnan(mean) && loss > mean + threshold * deviation);
}

void spike_add(struct spike *s, double loss) { s->loss[s->n++ % s->window] = loss; }

json_t *spike_json(const struct spike *s)
{
	long kept = MIN(s->n, s->window);
	json_t *list = json_array();

	for (long i = s->n - kept; i < s->n; i++)
		json_array_append_new(list, json_real(s->loss[i % s->window]));
	return json_pack("{s:I,s:o}", "rewinds", (json_int_t)s->rewinds, "losses", list);
}

void spike_restore(struct spike *s, const json_t *j)
{
	const json_t *list = json_object_get(j, "losses");
	size_t i;
	json_t *loss;

	s->n = 0;
	s->rewinds = (long)json_integer_value(json_object_get(j, "rewinds"));
	json_array_foreach(list, i, loss)
		spike_add(s, json_number_value(loss));
}
