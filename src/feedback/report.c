/* report: everything that is counted from labels, and its JSON. See report.h. */
#include "feedback/report.h"

#include <math.h>


static const double smoothing = 0.01;   /* of confusions: no rater is impossible to understand */

static void count_time(struct report *out, const struct said *s)
{
	for (size_t k = 0; k < s->n_labels; k++) {
		const struct feedback_label *l = &s->labels[k];
		out->skipped += l->skipped;
		out->labels += !l->skipped;
		out->timed += !isnan(l->seconds);
		out->seconds += isnan(l->seconds) ? 0 : l->seconds;
	}
	out->seconds_per_label = said_seconds(s);
	out->money = s->study->wage > 0 ? out->seconds / 3600 * s->study->wage : NAN;
}

void report_of(struct report *out, const struct said *s, const struct feedback_rater *raters, size_t n_raters,
               const struct resample *r, struct arena *mem)
{
	struct comparison *c;
	struct judgements j;
	struct dawid_skene d;
	size_t n = comparisons_of(s, mem, &c);

	*out = (struct report){ .items = s->n_items, .n_raters = n_raters,
		                .measurement = agreement_measurement(s->study->ask) };
	count_time(out, s);
	judgements_of(&j, s, mem);
	agreement_units(&j, &out->several, &out->unanimous);
	out->alpha = krippendorff_alpha(&j, out->measurement, r);
	out->percent = agreement_percent(&j, r);
	out->fleiss = fleiss_kappa(&j, r);
	out->n_cohen = cohen_kappas(&j, r, mem, &out->cohen);
	out->judges = j.raters;
	dawid_skene(&d, &j, smoothing, mem);
	out->raters = raters_of(s, &j, &d, raters, n_raters, mem);
	standings_of(&out->standings, s, c, n, false, r, mem);
	standings_of(&out->davidson, s, c, n, true, r, mem);
	bias_of(&out->bias, s, c, n);
	noise_of(&out->noise, s, &j, r);
}

/* --- JSON --- */

static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static json_t *interval(struct bounds b) { return json_pack("[o, o]", number(b.low), number(b.high)); }

static json_t *share(struct rate r) { return number(r.n > 0 ? r.right / r.n : NAN); }

static json_t *rater_json(const struct rater_facts *f)
{
	return json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "name", f->name, "labels",
	                 (json_int_t)f->labels, "skipped", (json_int_t)f->skipped, "seconds", number(f->seconds),
	                 "seconds_per_label", number(f->seconds_per_label), "repeat_agreement", share(f->repeats),
	                 "gold_accuracy", share(f->gold), "reliability", number(f->reliability), "blindness",
	                 number(f->wager.peak), "flagged", f->flagged);
}

static double davidson_rating(const struct report *r, const char *model)
{
	for (size_t i = 0; i < r->davidson.n; i++)
		if (r->davidson.at[i].model == model)
			return r->davidson.at[i].rating.value;
	return NAN;
}

static json_t *standing_json(const struct report *r, const struct standing *at)
{
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:i, s:i, s:o, s:o, s:o}", "model", at->model, "rating",
	                 number(at->rating.value), "low", number(at->rating.low), "high", number(at->rating.high),
	                 "davidson", number(davidson_rating(r, at->model)), "group", at->group, "island", at->island,
	                 "games", number(at->games), "won", number(at->won), "tied", number(at->tied));
}

static const char *name_of(const struct report *r, int64_t id)
{
	for (size_t i = 0; i < r->n_raters; i++)
		if (r->raters[i].id == id)
			return r->raters[i].name;
	return NULL;
}

static json_t *cohen_json(const struct report *r, const struct cohen *c)
{
	return json_pack("{s:[s?, s?], s:I, s:o, s:o, s:o}", "raters", name_of(r, r->judges[c->a]),
	                 name_of(r, r->judges[c->b]), "units", (json_int_t)c->units, "agreement", number(c->agree),
	                 "kappa", number(c->kappa.value), "interval", interval(c->kappa));
}

static void set(json_t *j, const char *name, json_t *value) { json_object_set_new(j, name, value); }

static void set_bounds(json_t *j, const char *name, const char *name_of_interval, struct bounds b)
{
	set(j, name, number(b.value));
	set(j, name_of_interval, interval(b));
}

static void set_agreement(json_t *j, const struct report *r)
{
	static const char *const measurements[] = { "nominal", "ordinal", "interval" };
	json_t *pairs = json_array();

	for (size_t i = 0; i < r->n_cohen; i++)
		json_array_append_new(pairs, cohen_json(r, &r->cohen[i]));
	set_bounds(j, "krippendorff_alpha", "krippendorff_alpha_interval", r->alpha);
	set(j, "measurement", json_string(measurements[r->measurement]));
	set_bounds(j, "percent_agreement", "percent_agreement_interval", r->percent);
	set_bounds(j, "fleiss_kappa", "fleiss_kappa_interval", r->fleiss);
	set(j, "cohen_kappa", pairs);
	set(j, "units_judged_twice", json_integer((json_int_t)r->several));
	set(j, "unanimous", number(r->several ? (double)r->unanimous / (double)r->several : NAN));
}

static void set_bias(json_t *j, const struct bias *b)
{
	set(j, "side_bias", number(b->side.value));
	set(j, "side_bias_stderr", number(b->side.stderr_));
	set(j, "first_won", number(b->first_won));
	set(j, "length_bias", number(b->length.value));
	set(j, "length_bias_stderr", number(b->length.stderr_));
	set(j, "longer_won", number(b->longer_won));
}

static void set_noise(json_t *j, const struct noise *n)
{
	set_bounds(j, "noise", "noise_interval", n->error);
	set(j, "noise_of_repeats", number(n->own.value));
	set(j, "ceiling", number(1 - n->error.value));
	set(j, "ceiling_interval", json_pack("[o, o]", number(1 - n->error.high), number(1 - n->error.low)));
}

json_t *report_json(const struct report *r)
{
	json_t *j = json_object(), *raters = json_array(), *standings = json_array();

	for (size_t i = 0; i < r->n_raters; i++)
		json_array_append_new(raters, rater_json(&r->raters[i]));
	for (size_t i = 0; i < r->standings.n; i++)
		json_array_append_new(standings, standing_json(r, &r->standings.at[i]));
	set_agreement(j, r);
	set(j, "items", json_integer((json_int_t)r->items));
	set(j, "labels", json_integer((json_int_t)r->labels));
	set(j, "skipped", json_integer((json_int_t)r->skipped));
	set(j, "raters", raters);
	set(j, "standings", standings);
	set(j, "islands", json_integer(r->standings.islands));
	set(j, "davidson_tie", number(r->davidson.tie));
	set_bias(j, &r->bias);
	set_noise(j, &r->noise);
	set(j, "seconds", number(r->seconds));
	set(j, "seconds_per_label", number(r->seconds_per_label));
	set(j, "money", number(r->money));
	return j;
}
