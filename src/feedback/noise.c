/* noise: pairs of judgements of a unit that were decided, and repeats. See noise.h. */
#include "feedback/noise.h"

#include <math.h>

#include "base/mem.h"

static double error_of(double agree) { return agree > 0.5 ? (1 - sqrt(2 * agree - 1)) / 2 : 0.5; }

static struct bounds error_bounds(struct bounds agree)
{
	if (isnan(agree.value))
		return agree;
	return (struct bounds){ error_of(agree.value), isnan(agree.high) ? NAN : error_of(agree.high),
		                isnan(agree.low) ? NAN : error_of(agree.low) };
}

struct pairs { double agree, n; };              /* of a unit, or a repeat */

struct tallies { const struct pairs *of; size_t n; };

static double count_agreement(const void *ctx, const uint32_t *times)
{
	const struct tallies *t = ctx;
	struct pairs sum = { 0 };

	for (size_t u = 0; u < t->n; u++) {
		double k = times ? (double)times[u] : 1;
		sum.agree += k * t->of[u].agree;
		sum.n += k * t->of[u].n;
	}
	return sum.n > 0 ? sum.agree / sum.n : NAN;
}

static bool decided(const struct judgements *j, size_t i) { return j->at[i].value != j->tie; }

static void tally_units(struct noise *out, const struct judgements *j, struct pairs *of)
{
	for (int32_t u = 0; u < j->n_units; u++) {
		for (size_t i = j->first[u]; i < j->first[u + 1]; i++)
			for (size_t k = j->first[u]; k < i; k++) {
				bool pair = j->at[i].rater != j->at[k].rater && decided(j, i) && decided(j, k);
				of[u].n += pair;
				of[u].agree += pair && j->at[i].value == j->at[k].value;
			}
		out->pairs += (size_t)of[u].n;
	}
}

static void tally_repeats(struct noise *out, const struct said *s, struct pairs *of)
{
	for (size_t k = 0; k < s->n_labels; k++) {
		const struct feedback_label *l = &s->labels[k];
		const struct feedback_label *first = l->repeat_of ? said_label(s, l->repeat_of) : NULL;
		double same = first ? said_again(s, first, l) : NAN;
		if (isnan(same) || l->tie || l->both_bad || first->tie || first->both_bad)
			continue;
		of[out->repeats++] = (struct pairs){ same, 1 };
	}
}

void noise_of(struct noise *out, const struct said *s, const struct judgements *j, const struct resample *r)
{
	const struct bounds unknown = { NAN, NAN, NAN };
	struct pairs *of = mem_array((size_t)j->n_units + s->n_labels, sizeof(*of));

	*out = (struct noise){ unknown, unknown, unknown, 0, 0 };
	if (j->n_values - (j->tie != FEEDBACK_NONE) == 2) {
		struct tallies units = { of, (size_t)j->n_units }, repeats = { of + j->n_units, 0 };
		tally_units(out, j, of);
		tally_repeats(out, s, of + j->n_units);
		repeats.n = out->repeats;
		out->agreement = resample(count_agreement, &units, units.n, r);
		out->error = error_bounds(out->agreement);
		out->own = error_bounds(resample(count_agreement, &repeats, repeats.n, r));
	}
	mem_free(of);
}
