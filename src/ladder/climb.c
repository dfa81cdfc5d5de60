/* climb: rules of choice.
 *
 * A way that waits has quality ~ N(mean, sd²), its chance to reach the goal is p = P(quality ≥ show), its price t.
 *
 *     until a way is shown    the largest p/t: of independent ways tried until one succeeds, that order has the
 *                             least expected cost (Smith's rule; Weitzman 1979). A chance below 5 % that stands
 *                             on priors alone counts as half-way to that, for priors are of other people's rows.
 *                             Ways that are judged by each other are not independent: the one that says most of
 *                             the others is tried before them, where it is at most twice as dear and half as
 *                             likely at least, for where it fails it leaves most of them, and they not it
 *     after it                the largest p·uses·(u* − u) − t above 0: u* is what an answer of the shown way
 *                             takes, u this one's. None: nothing is cheaper than to stop
 *     without a goal          the largest E[max(0, quality − best)]/t, of those with an expected gain of least_gain
 *
 * A measured way counts as shown where its confidence sequence lies above the goal. Few rows to choose by may never
 * do that, so it counts too where others are hardly needed: with w the chance that the test shows it (ladder/bound.h),
 * the chance (1 − w)·max p that another one is shown instead is below 8 %; and w is half at least, or it has the
 * goal's quality and all that waits is judged by measured ways: what rests on priors alone is not trusted so far. Ways
 * whose w is four fifths of the largest are not told apart, unless all are below 5 %: the cheapest in all wins; of
 * unlikely ones the best.
 *
 * Where nothing else is worth trying, another seed of the best way may be, if it is trained: where its quality is
 * nearer to the goal, or to that of another trained way, than two deviations of what seeds say of it (of both).
 * Of two that are near the one with fewer seeds has its turn.
 *
 * A way whose chance, learnt from a way near it, is below 5 % is left (without a goal: whose expected gain is below
 * least_gain): the interval of its gain says that it cannot pay. While no measured way has the quality that the goal
 * wants, it is the chance to have that which counts here. A training that is judged by another one is left too where
 * measuring it is hardly expected to help: with W(x) the chance that the test shows a way that came to x on the rows
 * to choose by, w the largest W of those measured,
 *
 *     E[max(W(x), w)] − w < 8 %,   x ~ N(mean, sd²)
 *
 * and its answers would not save what finding out takes. Looks are judged by confidence sequences (ladder/bound.h),
 * so stopping when it suits keeps their promise. */
#include "ladder/climb.h"

#include <math.h>
#include <stdio.h>

#include "base/sentence.h"

static const double least_chance = CLIMB_LEAST_CHANCE, least_help = CLIMB_LEAST_HELP, doubt = 0.05, as_likely = 0.8,
		    seed_near = 2, first_dearer = 2, first_less_likely = 2;

enum { RISE_STEPS = 12, RISE_WIDTH = 3 }; /* deviations to each side, and points there */

static double upper_tail(double z) { return erfc(z / sqrt(2)) / 2; }

static double chance(const struct climb *c, const struct climb_way *w)
{
	double p = upper_tail((c->show - w->mean) / w->sd);

	return w->learnt || p > doubt ? p : (p + doubt) / 2;
}

/* Is that more than the priors say? */
static bool is_doubted(const struct climb *c, const struct climb_way *w)
{
	return !w->learnt && upper_tail((c->show - w->mean) / w->sd) < doubt;
}

/* E[max(0, X − best)] of X ~ N(mean, sd²). */
static double expected_gain(const struct climb_way *w, double best)
{
	double z = (w->mean - best) / w->sd;

	return (w->mean - best) * upper_tail(-z) + w->sd * exp(-z * z / 2) / sqrt(2 * M_PI);
}

static bool waits(const struct climb_way *w) { return w->state == CLIMB_WAITS && !w->apart; }

static bool is_measured(const struct climb_way *w) { return w->state == CLIMB_MEASURED; }

double climb_reserve(const struct climb *c, const struct climb_way *w)
{
	double test = w->test_seconds;

	for (size_t i = 0; i < c->n; i++)
		if (is_measured(&c->ways[i]))
			test = fmax(test, c->ways[i].test_seconds);
	return test;
}

/* What is missing for it, with the test after it. */
static double missing(const struct climb *c, const struct climb_way *w, double seconds)
{
	return fmax(0, seconds + climb_reserve(c, w) - c->left);
}

static bool has_room(const struct climb *c, const struct climb_way *w, double seconds)
{
	return !(missing(c, w, seconds) > 0);
}

double climb_missing(const struct climb *c, const struct climb_way *w)
{
	return waits(w) ? missing(c, w, w->try_seconds) : 0;
}

static bool can_be_paid(const struct climb *c, const struct climb_way *w) { return has_room(c, w, w->try_seconds); }

/* That the test fails this way, and one that waits would be shown instead. */
static double chance_that_others_help(const struct climb *c, const struct climb_way *w)
{
	double most = 0;

	for (size_t i = 0; i < c->n; i++)
		if (waits(&c->ways[i]) && can_be_paid(c, &c->ways[i]))
			most = fmax(most, chance(c, &c->ways[i]));
	return (1 - w->will_show) * most;
}

double climb_will_show(const struct climb *c)
{
	double most = 0;

	for (size_t i = 0; i < c->n; i++)
		if (is_measured(&c->ways[i]) && c->ways[i].costs_met)
			most = fmax(most, c->ways[i].will_show);
	return most;
}

double climb_rise(double mean, double sd, double have, double (*chance_)(const void *ctx, double x), const void *ctx)
{
	double sum = 0, all = 0;

	for (int i = -RISE_STEPS; i <= RISE_STEPS; i++) {
		double z = (double)RISE_WIDTH * i / RISE_STEPS, density = exp(-z * z / 2);
		sum += density * fmax(chance_(ctx, mean + z * sd), have);
		all += density;
	}
	return sum / all - have;
}

static bool is_as_likely(const struct climb *c, const struct climb_way *w)
{
	double most = climb_will_show(c);

	return is_measured(w) && w->costs_met && most >= least_chance && w->will_show >= as_likely * most;
}

static bool all_are_learnt(const struct climb *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (waits(&c->ways[i]) && can_be_paid(c, &c->ways[i]) && !c->ways[i].learnt)
			return false;
	return true;
}

static bool is_shown(const struct climb *c, const struct climb_way *w)
{
	if (!is_measured(w) || !w->costs_met || w->low >= c->goal)
		return is_measured(w) && w->costs_met;
	return is_as_likely(c, w) && chance_that_others_help(c, w) < least_help &&
	       (w->will_show >= 0.5 || (w->quality >= c->goal && all_are_learnt(c)));
}

double climb_total(const struct climb *c, const struct climb_way *w)
{
	return w->try_seconds + c->uses * w->use_seconds;
}

static double best_quality(const struct climb *c)
{
	double best = -INFINITY;

	for (size_t i = 0; i < c->n; i++)
		if (is_measured(&c->ways[i]))
			best = fmax(best, c->ways[i].quality);
	return best;
}

/* Of the ways that are so, the one that is cheapest in all; n: there is none. */
static size_t cheapest(const struct climb *c, bool (*is)(const struct climb *c, const struct climb_way *w))
{
	size_t best = c->n;

	for (size_t i = 0; i < c->n; i++)
		if (is(c, &c->ways[i]) &&
		    (best == c->n || climb_total(c, &c->ways[i]) < climb_total(c, &c->ways[best])))
			best = i;
	return best;
}

static size_t n_waiting(const struct climb *c, bool paid)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		n += waits(&c->ways[i]) && (!paid || can_be_paid(c, &c->ways[i]));
	return n;
}

static bool is_hopeless(const struct climb *c, const struct climb_way *w, double best)
{
	if (isnan(c->goal))
		return expected_gain(w, best) < c->least_gain;
	return upper_tail(((best < c->goal ? c->goal : c->show) - w->mean) / w->sd) < least_chance;
}

/* What its answers would save beside those of the likely way that is cheapest, less what finding out takes. */
static double saving(const struct climb *c, const struct climb_way *w, size_t likely)
{
	double saved = likely < c->n ? c->uses * (c->ways[likely].use_seconds - w->use_seconds) : 0;

	return chance(c, w) * saved - w->try_seconds;
}

static bool would_hardly_help(const struct climb *c, const struct climb_way *w)
{
	return !isnan(c->goal) && w->knows_rise && w->rise < least_help &&
	       !(saving(c, w, cheapest(c, is_as_likely)) > 0);
}

static void leave_hopeless(struct climb *c, double best)
{
	for (size_t i = 0; i < c->n; i++) {
		struct climb_way *w = &c->ways[i];
		if (!waits(w) || !w->learnt || !isfinite(best))
			continue;
		w->hardly_helps = !is_hopeless(c, w, best) && would_hardly_help(c, w);
		if (w->hardly_helps || is_hopeless(c, w, best))
			w->state = CLIMB_LEFT;
	}
}

/* --- each of the three cases; the way, or n --- */

/* Another one says more, of this one too. */
static bool waits_for_another(const struct climb *c, const struct climb_way *w)
{
	const struct climb_way *f = w->first;

	return f && !w->learnt && waits(f) && can_be_paid(c, f) && f->try_seconds <= first_dearer * w->try_seconds &&
	       chance(c, f) * first_less_likely >= chance(c, w);
}

static size_t until_shown(const struct climb *c, struct climb_step *s)
{
	size_t best = c->n, n = n_waiting(c, true);
	double most = 0;

	for (size_t i = 0; i < c->n; i++) {
		const struct climb_way *w = &c->ways[i];
		if (!waits(w) || !can_be_paid(c, w) || waits_for_another(c, w) ||
		    !(chance(c, w) / w->try_seconds > most))
			continue;
		most = chance(c, w) / w->try_seconds;
		best = i;
	}
	if (best < c->n) {
		s->chance = chance(c, &c->ways[best]);
		sentence_format(s->why, sizeof(s->why),
		                "its chance to reach the goal is %s%.0f %%, and of %zu ways it has the most chance for "
		                "its gas (%.3g s)", is_doubted(c, &c->ways[best]) ? "taken as " : "", 100 * s->chance,
		                n, c->ways[best].try_seconds);
	}
	return best;
}

static void say_reached(const struct climb *c, const struct climb_way *w, char *out, size_t size)
{
	if (w->low >= c->goal)
		snprintf(out, size, "%s reaches the goal", w->name);
	else
		snprintf(out, size,
		         "%s reaches the goal on the rows to choose by, the test will show it with a chance of %.0f "
		         "%%, another way instead with %.0f %% at most",
		         w->name, 100 * w->will_show, 100 * chance_that_others_help(c, w));
}

static size_t after_shown(const struct climb *c, size_t shown, struct climb_step *s)
{
	const struct climb_way *have = &c->ways[shown];
	size_t best = c->n;
	double most = 0;
	char reached[240];

	say_reached(c, have, reached, sizeof(reached));
	for (size_t i = 0; i < c->n; i++) {
		const struct climb_way *w = &c->ways[i];
		if (!waits(w) || !can_be_paid(c, w) || !(saving(c, w, shown) > most))
			continue;
		most = saving(c, w, shown);
		best = i;
	}
	if (best < c->n) {
		s->chance = chance(c, &c->ways[best]);
		sentence_format(s->why, sizeof(s->why),
		                "%s, but over %.0f uses this would save %.3g s where it does too (chance "
		                "%.0f %%), more than the %.3g s to find out", reached, c->uses,
		                c->uses * (have->use_seconds - c->ways[best].use_seconds), 100 * s->chance,
		                c->ways[best].try_seconds);
	} else {
		sentence_format(s->why, sizeof(s->why),
		                "%s, and no other way is expected to save more over %.0f uses than finding out would "
		                "take", reached, c->uses);
	}
	return best;
}

static size_t without_goal(const struct climb *c, double before, struct climb_step *s)
{
	size_t best = c->n, n = n_waiting(c, true);
	double most = 0, base = isfinite(before) ? before : 0;

	for (size_t i = 0; i < c->n; i++) {
		const struct climb_way *w = &c->ways[i];
		double gain = isfinite(before) ? expected_gain(w, base) : 1;
		if (!waits(w) || !can_be_paid(c, w) || gain < c->least_gain || !(gain / w->try_seconds > most))
			continue;
		most = gain / w->try_seconds;
		best = i;
		s->gain = gain;
	}
	if (best < c->n && isfinite(before))
		sentence_format(s->why, sizeof(s->why),
		                "of %zu ways it promises the most for its gas: %.3g more expected, for %.3g s", n,
		                s->gain, c->ways[best].try_seconds);
	else if (best < c->n)
		snprintf(s->why, sizeof(s->why), "it is the cheapest, and something must be known (%.3g s)",
		         c->ways[best].try_seconds);
	return best;
}

static void say_stop(const struct climb *c, struct climb_step *s)
{
	if (s->why[0])
		return;
	if (n_waiting(c, false))
		snprintf(s->why, sizeof(s->why),
		         n_waiting(c, true) ? "no way that is left promises a gain of %.2g" :
		                              "what is left costs more than the %.3g s that may still be spent",
		         n_waiting(c, true) ? c->least_gain : c->left);
	else
		snprintf(s->why, sizeof(s->why), "every way was measured or left");
}

/* Half the width of an interval on the side that matters: two ways nearer than that are not told apart. */
static double told_apart(const struct climb_way *w) { return fmax(0, w->quality - w->low) / 3; }

static size_t best_way(const struct climb *c)
{
	size_t best = c->n;

	for (size_t i = 0; i < c->n; i++) {
		const struct climb_way *w = &c->ways[i], *b = &c->ways[best];
		if (is_measured(w) && (best == c->n || (w->costs_met && !b->costs_met) ||
		                       (w->costs_met == b->costs_met && w->quality > b->quality)))
			best = i;
	}
	return best;
}

static bool is_as_good(const struct climb *c, const struct climb_way *w)
{
	const struct climb_way *b = &c->ways[best_way(c)];

	return is_measured(w) && w->quality >= b->quality - told_apart(b);
}

size_t climb_winner(const struct climb *c)
{
	size_t best;

	if (isnan(c->goal))
		return cheapest(c, is_as_good);
	if ((best = cheapest(c, is_shown)) < c->n || (best = cheapest(c, is_as_likely)) < c->n)
		return best;
	return best_way(c);
}

/* --- seeds --- */

/* Of the mean over its seeds. */
static double seed_error(const struct climb_way *w) { return w->seed_sd / sqrt((double)w->seeds); }

/* The trained way whose quality is nearest to the best one's, where seeds may turn the two round; n: there is none. */
static size_t rival_of(const struct climb *c, size_t best)
{
	const struct climb_way *b = &c->ways[best];
	size_t rival = c->n;
	double least = INFINITY;

	for (size_t i = 0; i < c->n; i++) {
		const struct climb_way *w = &c->ways[i];
		double apart = fabs(b->quality - w->quality);
		if (i == best || !is_measured(w) || !w->seeds || apart >= least ||
		    apart >= seed_near * hypot(seed_error(b), seed_error(w)))
			continue;
		least = apart;
		rival = i;
	}
	return rival;
}

static bool may_seed(const struct climb *c, size_t i)
{
	const struct climb_way *w = &c->ways[i];

	return w->seeds < w->seeds_most && has_room(c, w, w->seed_seconds);
}

static size_t another_seed(const struct climb *c, struct climb_step *s)
{
	size_t best = climb_winner(c), rival, way;

	if (best == c->n || !c->ways[best].seeds)
		return c->n;
	const struct climb_way *b = &c->ways[best];
	double margin = fabs(b->quality - c->goal); /* NAN without a goal: never near */
	way = best;
	rival = rival_of(c, best);
	if (rival < c->n && may_seed(c, rival) && (c->ways[rival].seeds < b->seeds || !may_seed(c, best)))
		way = rival;
	if (!may_seed(c, way) || (rival == c->n && !(margin < seed_near * seed_error(b))))
		return c->n;
	if (rival < c->n)
		snprintf(s->why, sizeof(s->why),
		         "%s and %s are %.3g apart, and seeds differ by %.3g: another one of %s, for %.3g s", b->name,
		         c->ways[rival].name, fabs(b->quality - c->ways[rival].quality), b->seed_sd, c->ways[way].name,
		         c->ways[way].seed_seconds);
	else
		snprintf(s->why, sizeof(s->why),
		         "it is %.3g from the goal, and seeds differ by %.3g: another one, for %.3g s", margin,
		         b->seed_sd, b->seed_seconds);
	return way;
}

void climb_next(struct climb *c, struct climb_step *s)
{
	double best = best_quality(c);

	*s = (struct climb_step){ .act = CLIMB_STOP, .way = c->n };
	leave_hopeless(c, best);
	size_t shown = isnan(c->goal) ? c->n : cheapest(c, is_shown);
	s->way = isnan(c->goal) ? without_goal(c, best, s) :
	         shown < c->n   ? after_shown(c, shown, s) :
	                          until_shown(c, s);
	s->act = s->way < c->n ? CLIMB_TRY : CLIMB_STOP;
	if (s->act == CLIMB_STOP && (s->way = another_seed(c, s)) < c->n)
		s->act = CLIMB_SEED;
	if (s->act == CLIMB_STOP)
		say_stop(c, s);
}
