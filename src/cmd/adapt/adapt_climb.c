/* adapt_climb: the ways one after another: what each costs by plan, which is next (ladder/climb.h), what it came to. A
 * decision is written down before it is carried out, and what it came to after, so a run that is killed goes on with
 * the same ones. */
#include "cmd/adapt/adapt_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"

enum { BLOCKS_FROM = 40, BLOCK_LEAST = 16, LATENCY_ROWS = 3, SORTED = 33, ANSWERED = 16 };
static const double alpha = 0.05;
static const double held_back = 0.02; /* of --max-gas, for what is written at the end */
#define KEPT_MOST 0.9                 /* so that what begins may come to something */

/* --- small things --- */

double adapt_quality(enum measure m, double score) { return m == MEASURE_PERPLEXITY ? -log(score) : score; }
double adapt_score_of(enum measure m, double quality) { return m == MEASURE_PERPLEXITY ? exp(-quality) : quality; }
bool adapt_is_measured(const struct adapt *a, size_t i) { return a->climb.ways[i].state == CLIMB_MEASURED; }

const char *adapt_score_text(double mean, double low, double high)
{
	static char out[4][80];
	static int turn;
	char *o = out[turn = (turn + 1) % 4];

	if (mean > 10)
		snprintf(o, sizeof(*out), "%.4g (%.4g to %.4g)", mean, low, high);
	else
		snprintf(o, sizeof(*out), "%.3f (%.3f to %.3f)", mean, low, high);
	return o;
}

const char *adapt_cost_text(enum measure m, double x)
{
	static char out[48];
	char text[32];

	if (m == MEASURE_LATENCY)
		snprintf(out, sizeof(out), "%s an answer", predict_human(x, text));
	else if (m == MEASURE_MEMORY)
		snprintf(out, sizeof(out), "%s", human_bytes((size_t)x, text));
	else
		snprintf(out, sizeof(out), "%.3g J an answer", x);
	return out;
}

double adapt_watts(const struct adapt *a)
{
	struct gas g;

	adapt_gas(a, &g);
	return g.energy.joules / g.seconds;
}

/* Of n rows that are looked at those that are answered. Where answers count for nothing but what they take, a few say
 * that; the rest is scored alone. */
static size_t answered(const struct adapt *a, size_t n) { return a->scores_alone ? MIN(n, (size_t)ANSWERED) : n; }

/* The test, should the way win, and of what was left before; a little more, since nothing may be missing at the end. */
static double test_seconds(const struct adapt *a, size_t i)
{
	double use = a->scores_alone ? 0 : a->climb.ways[i].use_seconds + a->before.use_seconds;

	return 1.3 * (use + a->ways[i].price.scoring * (a->before.round ? 2 : 1)) * (double)a->n_test;
}

double adapt_left(const struct adapt *a)
{
	struct gas g;
	double left = INFINITY;

	adapt_round_gas(a, &g);
	if (!isnan(a->limit.seconds))
		left = a->limit.seconds * (1 - held_back) - g.seconds;
	if (!isnan(a->limit.joules) && g.energy.joules > 0)
		left = fmin(left, (a->limit.joules * (1 - held_back) / g.energy.joules - 1) * g.seconds);
	if (!isnan(a->limit.money) && g.money.total > 0)
		left = fmin(left, (a->limit.money * (1 - held_back) / g.money.total - 1) * g.seconds);
	return left;
}

/* Of the limit what earlier processes took is gone, and what stays for the end is not for what comes now. */
void adapt_keep_back(const struct adapt *a, double seconds)
{
	json_t *now = metering_so_far();
	struct gas all, mine;
	double share = 0;

	adapt_round_gas(a, &all);
	gas_none(&mine);
	gas_add_kept(&mine, now);
	json_decref(now);
	double by = all.seconds > 0 ? seconds / all.seconds : 0; /* in what all took so far */
	if (!isnan(a->limit.seconds))
		share = (all.seconds - mine.seconds + seconds) / a->limit.seconds;
	if (!isnan(a->limit.joules) && all.energy.joules > 0)
		share = fmax(share, (all.energy.joules * (1 + by) - mine.energy.joules) / a->limit.joules);
	if (!isnan(a->limit.money) && all.money.total > 0)
		share = fmax(share, (all.money.total * (1 + by) - mine.money.total) / a->limit.money);
	metering_keep_back(fmin(fmax(share, 0), KEPT_MOST));
}

static void cannot(struct adapt *a, size_t i, const char *why)
{
	snprintf(a->ways[i].why, sizeof(a->ways[i].why), "%s", why);
	a->climb.ways[i].state = CLIMB_CANNOT;
}

/* --- what is known, what it costs --- */

static void say_classes(const struct adapt *a)
{
	const struct task *t = &a->task;

	if (!t->n_classes)
		return;
	if (strcmp(a->known.majority_class, a->known.least_class_name) == 0) {
		log_say("  %d classes of %zu rows each", t->n_classes, a->known.least_class);
		return;
	}
	log_say("  %d classes, the most frequent '%.40s' (%.1f %% of the rows), the rarest '%.40s' (%zu rows)",
	        t->n_classes, a->known.majority_class, 100 * a->known.majority, a->known.least_class_name,
	        a->known.least_class);
}

static void say_repeats(const struct adapt *a)
{
	const struct known *k = &a->known;

	if (k->n_repeated)
		log_say("  %zu rows ask what another one asks, of %zu questions; they stay on one side",
		        k->n_repeated, k->n_groups);
	if (k->n_conflicting)
		log_say("  %zu of these questions %s unlike answers, so nothing that answers the same to the same is "
		        "right on more than %.3f of the rows; two answers to one question agree in %.0f %%",
		        k->n_conflicting, k->n_conflicting == 1 ? "has" : "have", k->ceiling, 100 * k->agreement);
	if (a->task.n_leaks)
		log_warn("%zu rows ask what a test row asks: they are not learnt from", a->task.n_leaks);
}

static void say_what_can_be_shown(const struct adapt *a)
{
	double goal = a->has_goal ? a->first->value : NAN, n = (double)a->n_test;

	if (!a->has_goal || !measure_is_share(a->first->what))
		return;
	double z = bound_z(a->test_alpha);
	size_t needed = bound_needed(a->n_test, goal, a->test_alpha);
	if (needed > a->n_test)
		log_say("  with %zu test rows %g cannot be shown even if all are right: %.0f would be the fewest",
		        a->n_test, goal, ceil(goal * z * z / (1 - goal)));
	else
		log_say("  with %zu test rows %g can be shown only if %zu %s right (%.3f)", a->n_test, goal, needed,
		        needed == 1 ? "is" : "are", (double)needed / n);
	if (goal + 0.03 < 1)
		log_say("  a way that is truly right in %.3g of all would want about %.0f test rows for that",
		        goal + 0.03, ceil(bound_rows(goal + 0.03, goal, a->test_alpha)));
}

void adapt_say_known(const struct adapt *a)
{
	log_say("%zu rows of %s: %zu to learn from, %zu to choose by, %zu to test with, opened once", a->task.n,
	        a->asks_only ? "prompts alone" : shape_name(a->task.shape), a->task.side_n[SIDE_TRAIN], a->n_choose,
	        a->n_test);
	say_classes(a);
	log_say("  what they ask has %.0f bytes in the mean, %.0f at most", a->known.mean_bytes,
	        a->known.longest_bytes);
	if (adapt_how_asked(a) && !strcmp(adapt_how_asked(a), ADAPTED_TEXTS) && a->task.kind != TASK_LABELS &&
	    a->task.kind != TASK_TEXTS)
		log_say("  they are asked as texts, without a chat template, now and by what is left; rows of messages "
		        "would be asked with the model's own");
	say_repeats(a);
	adapt_say_test(a);
	say_what_can_be_shown(a);
}

/* Of the ways without a model first: they cost next to nothing to price, trainings the most. */
static int price_order(const struct rung *r) { return r->no_model ? 0 : r->trains ? 2 : 1; }

static int fit_and_price(struct adapt *a, const struct rung *r, struct rung_price *p, struct err *e)
{
	const struct log_sink *lent = log_lend(&adapt_log);
	int status = r->fits(&a->ladder, e) < 0 ? -1 : r->price(&a->ladder, p, e);

	log_lend(lent);
	return status;
}

/* One of several models that cannot do this way; of one alone the rung says it. */
static bool is_mute(const struct adapt *a, size_t i)
{
	const struct given *on = a->ways[i].on;

	return a->n_models > 1 && on && on->encoder && !a->ways[i].rung->learns && a->task.kind != TASK_LABELS;
}

static int price_way(struct adapt *a, size_t i, struct err *e)
{
	const struct rung *r = a->ways[i].rung;
	struct err why = ERR_INIT;

	adapt_stand_on(a, i);
	if (price_order(r) == 2 && !(a->ladder.train_seconds > 0)) {
		cannot(a, i, "--max-gas has no room for a training");
		return 0;
	}
	if (is_mute(a, i)) {
		cannot(a, i, "an encoder sees a text both ways and predicts no next token");
		return 0;
	}
	if (fit_and_price(a, r, &a->ways[i].price, &why) < 0) {
		if (app_signalled() || !why.msg[0])
			return err_set(e, "%s", why.msg[0] ? why.msg : "stopped");
		if (r->order > 1 && a->task.kind != TASK_LABELS && !a->ladder.open &&
		    ladder_open_states(&a->ladder, &(struct err){ .msg = "" }) < 0)
			return err_set(e, "%s", why.msg); /* the model itself cannot be used */
		cannot(a, i, why.msg);
	}
	return 0;
}

static double seconds_of_trying(const struct adapt *a, size_t i)
{
	const struct rung_price *p = &a->ways[i].price;
	size_t stays = adapt_stays(a, i), n = a->n_choose - stays;

	return (stays ? 0 : p->make.mid) + (double)n * p->scoring +
	       (double)answered(a, n) * (p->answer - p->spare / 2);
}

static const char *why_not(const struct adapt *a, size_t i)
{
	return a->ways[i].why[0] ? a->ways[i].why : "it is put together of two ways that were measured";
}

static int check_budget(struct adapt *a, struct err *e)
{
	double cheapest = INFINITY;
	const char *name = "";

	for (size_t i = 0; i < a->climb.n; i++)
		if (a->climb.ways[i].state != CLIMB_CANNOT && !a->climb.ways[i].apart &&
		    a->climb.ways[i].try_seconds < cheapest) {
			cheapest = a->climb.ways[i].try_seconds;
			name = a->ways[i].name;
		}
	if (!isfinite(cheapest)) {
		for (size_t i = 0; i < a->climb.n; i++)
			log_say("  %-*s %s", a->name_width, a->ways[i].name, why_not(a, i));
		return err_set(e, "no way fits these rows and this model: %s: %s", a->ways[0].name, why_not(a, 0));
	}
	double left = adapt_left(a);
	if (left < cheapest)
		return err_set(e, "--max-gas leaves %.3g s, and the cheapest way, %s, takes %.3g s: nothing was run",
		               fmax(0, left), name, cheapest);
	return 0;
}

/* Half of what is left when the rows of both sides are answered too. */
static double room_for_training(const struct adapt *a)
{
	double answers = 0;

	for (size_t k = 0; k < a->n_models; k++)
		answers = fmax(answers, (a->models[k].base.bare.answer + a->models[k].base.bare.scoring) *
		                                (double)(a->n_choose + a->n_test));
	return fmax(0, 0.7 * (adapt_left(a) - 1.3 * answers));
}

int adapt_price(struct adapt *a, struct err *e)
{
	a->doing = "pricing";
	for (int order = 0; order <= 2; order++) {
		for (size_t i = 0; i < a->climb.n; i++) {
			const struct way *w = &a->ways[i];
			bool known = json_object_get(json_object_get(a->state, "ways"), w->name) != NULL;
			if (price_order(w->rung) != order || known)
				continue;
			if (price_way(a, i, e) < 0)
				return -1;
			adapt_keep_way(a, i);
		}
		if (order == 1 && isfinite(adapt_left(a)))
			a->ladder.train_seconds = fmin(a->ladder.train_seconds, room_for_training(a));
	}
	ladder_close(&a->ladder);
	for (size_t i = 0; i < a->climb.n; i++) {
		a->climb.ways[i].try_seconds = seconds_of_trying(a, i);
		a->climb.ways[i].use_seconds = a->ways[i].price.answer - a->ways[i].price.spare / 2;
		a->climb.ways[i].test_seconds = test_seconds(a, i);
		if (adapt_is_measured(a, i))
			adapt_judge(a, i);
	}
	if (check_budget(a, e) < 0)
		return -1;
	return a->app->plans ? 0 : adapt_state_save(a, "running", e);
}

void adapt_say_prices(const struct adapt *a)
{
	char make[32], low[32], high[32], look[32];

	log_say("ways and what they would take, by plan:");
	for (size_t i = 0; i < a->climb.n; i++) {
		const struct way *w = &a->ways[i];
		if (w->rung->combines)
			continue;
		if (w->why[0]) {
			log_say("  %-*s cannot be: %s", a->name_width, w->name, w->why);
			continue;
		}
		predict_human(w->price.make.mid, make);
		predict_human(w->price.make.low, low);
		predict_human(w->price.make.high, high);
		predict_human((double)a->n_choose * w->price.answer, look);
		if (w->price.make.mid > 0)
			log_say("  %-*s making %s (90 %%: %s to %s), a look at it %s", a->name_width, w->name, make,
			        low, high, look);
		else
			log_say("  %-*s a look at it %s", a->name_width, w->name, look);
	}
}

/* The quality at which a look at all choose rows would show the goal; where none would, the goal itself. */
static double showing(const struct adapt *a)
{
	double n = (double)a->n_choose, goal = a->first->value, low = goal, high = 1;

	if (!a->has_goal)
		return NAN;
	if (!measure_is_bounded(a->first->what))
		return a->climb.goal + (a->first->what == MEASURE_PERPLEXITY ? 0.05 : 0);
	if (bound_sequence(n, n, 2 * alpha).low < goal)
		return goal;
	for (int i = 0; i < 40; i++) {
		double middle = (low + high) / 2;
		if (bound_sequence(middle * n, n, 2 * alpha).low < goal)
			low = middle;
		else
			high = middle;
	}
	return high;
}

/* --- trying one --- */

double adapt_cost_of(const struct adapt *a, size_t i, enum measure m)
{
	const struct way *w = &a->ways[i];

	return m == MEASURE_LATENCY ? w->latency : m == MEASURE_MEMORY ? w->price.bytes : w->look_joules / (double)w->n;
}

static bool costs_met(const struct adapt *a, size_t i)
{
	bool met = true;

	for (size_t k = 0; k < a->goal.n; k++) {
		const struct goal_term *t = &a->goal.term[k];
		if (!measure_is_score(t->what))
			met &= goal_term_met(t, adapt_cost_of(a, i, t->what));
		else if (t != a->first)
			met &= goal_term_met(t, a->ways[i].score[k].mean);
	}
	return met;
}

static size_t n_possible(const struct adapt *a)
{
	size_t n = 0;

	for (size_t i = 0; i < a->climb.n; i++)
		n += !a->ways[i].why[0];
	return MAX(n, 1);
}

void adapt_judge(struct adapt *a, size_t i)
{
	struct way *w = &a->ways[i];
	struct climb_way *c = &a->climb.ways[i];
	enum measure m = a->first->what;

	for (size_t k = 0; k < a->goal.n; k++)
		if (measure_is_score(a->goal.term[k].what))
			w->score[k] = task_score(&a->task, a->goal.term[k].what, a->choose, w->out, w->n);
	const struct estimate *x = &w->score[a->first_at];
	w->looked = x->n ? task_sequence(m, x, 2 * alpha) : (struct bounds){ NAN, NAN };
	w->promised = x->n ? task_sequence(m, x, alpha / (double)n_possible(a)) : (struct bounds){ NAN, NAN };
	adapt_judge_seeds(a, i, 2 * alpha, alpha / (double)n_possible(a));
	struct bounds b = w->looked;
	c->quality = x->n ? adapt_quality(m, x->mean) : -INFINITY;
	c->low = x->n ? fmin(adapt_quality(m, b.low), adapt_quality(m, b.high)) : -INFINITY;
	c->high = x->n ? fmax(adapt_quality(m, b.low), adapt_quality(m, b.high)) : INFINITY;
	c->will_show = a->has_goal ? task_chance(a->first, x, a->n_test, a->test_alpha) : 0;
	c->costs_met = !a->has_goal || costs_met(a, i);
	c->use_seconds = w->look_seconds / (double)w->n;
	c->test_seconds = test_seconds(a, i);
	c->try_seconds = w->make_seconds + w->look_seconds;
}

static void read_span(const struct meter_span *s, double began, double *seconds, double *joules)
{
	struct gas g;

	metering_read_span(s, &g);
	*seconds = clock_seconds() - began;
	*joules = g.energy.joules;
}

static int make_way(struct adapt *a, size_t i, const char *dir, struct err *e)
{
	struct way *w = &a->ways[i];
	struct meter_span span = { 0 };
	double began = clock_seconds(), seconds, joules;

	a->doing = "making";
	if (!w->rung->make && !w->rung->earlier)
		return 0;
	a->ladder.shared_seconds = 0;
	metering_open_span(&span);
	int status = adapt_stays(a, i) ? adapt_take_over(a, i, dir, e) : w->rung->make(&a->ladder, dir, e);
	read_span(&span, began, &seconds, &joules);
	if (!w->rung->trains) {
		double watts = seconds > 0 ? joules / seconds : 0;
		w->make_seconds = seconds + a->ladder.shared_seconds;
		w->make_joules = joules + watts * a->ladder.shared_seconds;
	}
	return status;
}

/* What judging the answers took, by rewards or beside them, is the search's, not the way's. */
static void leave_out_judging(const struct adapt *a, struct way *w)
{
	double share = fmin((a->ladder.reward_seconds + a->ladder.score_seconds) / w->look_seconds, 1);

	if (!(share > 0))
		return;
	w->look_seconds *= 1 - share;
	w->look_joules *= 1 - share;
}

/* So that what an answer takes is that of those that were answered; documents were found for all of them. */
static void as_if_all_were_answered(struct adapt *a, struct way *w, size_t n)
{
	double seconds = w->look_seconds, by = n ? (double)n / (double)answered(a, n) : 1;

	a->ladder.answers_left = 0;
	w->look_seconds = w->find_seconds + by * fmax(0, seconds - w->find_seconds);
	w->look_joules *= seconds > 0 ? w->look_seconds / seconds : 1;
	w->write_seconds *= by;
}

/* Rows of the first of the blocks that are looked at one after the other. All at once where there is no goal, where few
 * rows say little (a mean F1 of classes), or where each look starts somebody's judge. */
static size_t first_block(const struct adapt *a)
{
	enum measure m = a->first->what;

	if (!a->has_goal || a->n_choose < BLOCKS_FROM || m == MEASURE_REWARD || (m == MEASURE_F1 && a->task.n_classes))
		return a->n_choose;
	return MAX((a->n_choose + 3) / 4, (size_t)BLOCK_LEAST); /* so that four of them are not almost all */
}

static bool another_has_the_goal(const struct adapt *a, size_t i)
{
	for (size_t k = 0; k < a->climb.n; k++)
		if (k != i && adapt_is_measured(a, k) && a->climb.ways[k].costs_met &&
		    a->climb.ways[k].quality >= a->climb.goal)
			return true;
	return false;
}

/* By the rows that were seen: the goal is out of reach; or another way has it, and the test would hardly show it of
 * this one. A quarter of the rows is too few to leave a way by that whose training was paid for: to see more costs
 * little beside it. */
static bool is_seen_enough(const struct adapt *a, size_t i)
{
	const struct bounds *b = &a->ways[i].promised;

	if (a->first->at_least ? b->high < a->first->value : b->low > a->first->value)
		return true;
	if (a->ways[i].rung->trains && 2 * a->ways[i].n < a->n_choose)
		return false;
	return a->climb.ways[i].will_show < CLIMB_LEAST_CHANCE && another_has_the_goal(a, i);
}

/* A quarter of the rows, half of them, all: where what was seen says enough, the rest is not looked at. */
static int look_at_way(struct adapt *a, size_t i, const char *dir, struct err *e)
{
	struct way *w = &a->ways[i];
	size_t end = first_block(a);
	struct meter_span span = { 0 };
	double began = clock_seconds();
	const struct log_sink *lent = log_lend(&adapt_log);
	int status = 0;

	a->doing = "answering";
	w->n = adapt_take_outcomes(a, i, w->out);
	size_t n_before = w->n;
	a->ladder.find_seconds = a->ladder.write_seconds = a->ladder.score_seconds = a->ladder.reward_seconds = 0;
	if (a->scores_alone)
		a->ladder.answers_left = ANSWERED;
	metering_open_span(&span);
	while (status == 0 && w->n < a->n_choose) {
		if (end <= w->n) {
			end = MIN(2 * end, a->n_choose);
			continue;
		}
		status = w->rung->answer(&a->ladder, dir, a->choose + w->n, end - w->n, w->out + w->n, e);
		if (status)
			break;
		w->n = end;
		a->looks++;
		adapt_judge(a, i);
		if (end < a->n_choose && is_seen_enough(a, i))
			break;
		end = MIN(2 * end, a->n_choose);
	}
	read_span(&span, began, &w->look_seconds, &w->look_joules);
	leave_out_judging(a, w);
	w->find_seconds = a->ladder.find_seconds;
	w->write_seconds = a->ladder.write_seconds;
	if (a->scores_alone)
		as_if_all_were_answered(a, w, w->n - n_before);
	if (adapt_stays(a, i)) {
		w->look_seconds += w->earlier.look_seconds;
		w->look_joules += w->earlier.look_joules;
		w->find_seconds += w->earlier.find_seconds;
		w->write_seconds += w->earlier.write_seconds;
	}
	log_lend(lent);
	return status;
}

static size_t length_of(const struct adapt *a, size_t k)
{
	const struct task_row *r = &a->task.rows[a->choose[k]];

	return strlen(r->text) + (r->answer ? strlen(r->answer) : 0);
}

/* The place among the first choose rows, SORTED at most, of one that has so many shorter ones before it. */
static size_t row_of_length(const struct adapt *a, size_t n, size_t shorter)
{
	for (size_t k = 0; k < n; k++) {
		size_t before = 0, here = length_of(a, k);
		for (size_t m = 0; m < n; m++)
			before += length_of(a, m) < here || (length_of(a, m) == here && m < k);
		if (before == shorter)
			return k;
	}
	BUG("no row has %zu before it", shorter);
}

static bool latency_counts(const struct adapt *a)
{
	for (size_t k = 0; a->has_goal && k < a->goal.n; k++)
		if (a->goal.term[k].what == MEASURE_LATENCY)
			return true;
	return false;
}

/* Of a row of middle length, answered by itself: answers are of unlike lengths. Where a goal is of that, the middle one
 * of three such rows' times. */
static int time_answers(struct adapt *a, size_t i, const char *dir, struct err *e)
{
	size_t among = MIN(a->n_choose, (size_t)SORTED), n = latency_counts(a) ? MIN(among, (size_t)LATENCY_ROWS) : 1;
	struct outcome unused;
	double took[LATENCY_ROWS];
	int status = 0;

	a->ladder.unjudged = true;
	a->ladder.answers_left = SIZE_MAX;
	for (size_t k = 0; k < n && status == 0; k++) {
		size_t row = a->choose[row_of_length(a, among, (among - n) / 2 + k)];
		double began = clock_seconds(), scored = a->ladder.score_seconds;
		status = a->ways[i].rung->answer(&a->ladder, dir, &row, 1, &unused, e);
		double x = clock_seconds() - began - (a->ladder.score_seconds - scored);
		size_t at = k;
		for (; at > 0 && took[at - 1] > x; at--)
			took[at] = took[at - 1];
		took[at] = x;
	}
	a->ladder.unjudged = false;
	a->ladder.answers_left = a->scores_alone ? 0 : SIZE_MAX;
	if (status == 0)
		a->ways[i].latency = took[n / 2];
	return status;
}

static void say_way(const struct adapt *a, size_t i)
{
	const struct way *w = &a->ways[i];
	const struct estimate *x = &w->score[a->first_at];
	struct bounds b = w->looked;
	char make[32], use[32];

	log_live_end();
	predict_human(w->make_seconds, make);
	predict_human(a->climb.ways[i].use_seconds, use);
	log_say("  %-*s %s %s on %zu rows; making %s, %s a use%s", a->name_width, w->name,
	        measure_names[a->first->what], adapt_score_text(x->mean, b.low, b.high), w->n,
	        w->make_seconds > 0 ? make : "nothing", use,
	        w->n < a->n_choose ? "; left early: it hardly reaches the goal" : "");
	if (a->app->json) {
		json_t *j = json_pack("{s:s, s:s, s:o, s:o, s:o, s:I, s:o, s:o}", "measured", w->name, "measure",
		                      measure_names[a->first->what], "score", jsonx_number(x->mean), "score_low",
		                      jsonx_number(b.low), "score_high", jsonx_number(b.high), "rows", (json_int_t)w->n,
		                      "seconds_make", jsonx_number(w->make_seconds), "seconds_per_use",
		                      jsonx_number(a->climb.ways[i].use_seconds));
		app_json(j);
		json_decref(j);
	}
}

static int try_way(struct adapt *a, size_t i, struct err *e)
{
	struct way *w = &a->ways[i];
	char *dir = adapt_way_dir(a, w->name);
	struct err why = ERR_INIT;

	a->at_work = i;
	adapt_keep_back(a, climb_reserve(&a->climb, &a->climb.ways[i]));
	adapt_stand_on(a, i);
	w->out = w->out ? w->out : mem_array(a->n_choose, sizeof(*w->out));
	w->make_seconds = w->make_joules = 0;
	int status = w->rung->trains || !(w->rung->make || w->rung->earlier) ? 0 : io_mkdirs(dir, &why);
	if (status == 0)
		status = make_way(a, i, dir, &why);
	if (status == 0)
		status = look_at_way(a, i, dir, &why);
	if (status == 0)
		status = time_answers(a, i, dir, &why);
	mem_free(dir);
	a->at_work = a->climb.n;
	if (status < 0 && (app_signalled() || a->reward.failed))
		return err_set(e, "%s", why.msg);
	if (status < 0) {
		log_live_end();
		const char *said = metering_over() ? "it took longer than planned, and --max-gas had no room for that" :
		                                     why.msg;
		log_say("  %-*s cannot be: %s", a->name_width, w->name, said);
		cannot(a, i, said);
		return 0;
	}
	a->climb.ways[i].state = CLIMB_MEASURED;
	adapt_first_seed(a, i);
	adapt_judge(a, i);
	say_way(a, i);
	return adapt_save_outcomes(a, w->name, w->out, w->n, e);
}

/* --- all of them --- */

/* A belief of a share may lie beyond its ends; nothing is expected there. */
static double expected(const struct adapt *a, double quality)
{
	double x = adapt_score_of(a->first->what, quality);

	return measure_is_bounded(a->first->what) ? fmin(fmax(x, 0), 1) : x;
}

static int note_decision(struct adapt *a, const struct climb_step *s, struct err *e)
{
	static const char *const acts[] = { [CLIMB_TRY] = "try", [CLIMB_SEED] = "seed", [CLIMB_STOP] = "stop" };
	const struct climb_way *c = s->act == CLIMB_STOP ? NULL : &a->climb.ways[s->way];
	bool seed = s->act == CLIMB_SEED;
	const char *name = c ? c->name : NULL;
	json_t *all = adapt_decisions(a);
	json_t *j =
		json_pack("{s:I, s:s, s:s?, s:s, s:o, s:o}", "decision", (json_int_t)json_array_size(all) + 1, "act",
	                  acts[s->act], "way", name, "why", s->why, "expected",
	                  c ? jsonx_number(expected(a, seed ? c->quality : c->mean)) : json_null(),
	                  "seconds", c ? jsonx_number(seed ? c->seed_seconds : c->try_seconds) : json_null());

	if (seed)
		json_object_set_new(j, "seed", json_integer(c->seeds + 1));

	log_say("%s%s: %s", name ? name : "stop", seed ? ", another seed" : "", s->why);
	if (a->app->json)
		app_json(j);
	json_array_append_new(all, j);
	return adapt_state_save(a, "running", e);
}

static void note_left(struct adapt *a)
{
	for (size_t i = 0; i < a->climb.n; i++) {
		struct climb_way *c = &a->climb.ways[i];
		char little[120] = "which cannot pay";
		if (c->state != CLIMB_LEFT || a->ways[i].why[0])
			continue;
		if (c->hardly_helps)
			snprintf(little, sizeof(little),
			         "which would raise the chance that the test shows the goal by %.0f %% only",
			         100 * c->rise);
		snprintf(a->ways[i].why, sizeof(a->ways[i].why), "left: by what %s reached%s, %.4g is expected, %s",
		         a->ways[i].earlier.n ? "it" : a->ways[i].judged_by, a->ways[i].earlier.n ? " before" : "",
		         expected(a, c->mean), little);
		log_say("  %-*s %s", a->name_width, c->name, a->ways[i].why);
	}
}

/* The last decision that was not carried out to its end; its way is climb.n: there is none. */
static struct climb_step half_done(struct adapt *a)
{
	const json_t *all = adapt_decisions(a), *last = json_array_get(all, json_array_size(all) - 1);
	const char *name = json_string_value(json_object_get(last, "way"));
	int seed = (int)json_integer_value(json_object_get(last, "seed"));

	for (size_t i = 0; name && i < a->climb.n; i++) {
		if (strcmp(a->climb.ways[i].name, name) != 0)
			continue;
		if (a->climb.ways[i].state == CLIMB_WAITS)
			return (struct climb_step){ .act = CLIMB_TRY, .way = i };
		if (a->ways[i].n_seeds < seed && !a->ways[i].no_more_seeds)
			return (struct climb_step){ .act = CLIMB_SEED, .way = i };
	}
	return (struct climb_step){ .act = CLIMB_STOP, .way = a->climb.n };
}

static bool has_stopped(struct adapt *a)
{
	const json_t *all = adapt_decisions(a), *last = json_array_get(all, json_array_size(all) - 1);
	const char *act = json_string_value(json_object_get(last, "act"));

	return act && strcmp(act, "try") != 0 && strcmp(act, "seed") != 0;
}

/* The states that one way has computed are there for the others. */
static int price_what_shares(struct adapt *a, size_t i, struct err *e)
{
	for (size_t k = 0; k < a->climb.n; k++) {
		const struct rung *r = a->ways[k].rung;
		bool shares = a->ways[i].rung->learns && r->learns && a->ways[i].on && a->ways[i].on == a->ways[k].on;
		if (!shares || a->climb.ways[k].state != CLIMB_WAITS)
			continue;
		if (price_way(a, k, e) < 0)
			return -1;
		a->climb.ways[k].try_seconds = seconds_of_trying(a, k);
	}
	return 0;
}

static int carry_out(struct adapt *a, const struct climb_step *s, struct err *e)
{
	if (s->act == CLIMB_STOP)
		return 0;
	if (s->act == CLIMB_SEED ? adapt_try_seed(a, s->way, e) < 0 :
	                           try_way(a, s->way, e) < 0 || price_what_shares(a, s->way, e) < 0)
		return -1;
	adapt_keep_way(a, s->way);
	return adapt_state_save(a, "running", e);
}

/* By plan: an answer beside others takes no longer than one alone. NAN: it is not known before. */
static double planned_cost(const struct adapt *a, size_t i, enum measure m)
{
	const struct rung_price *p = &a->ways[i].price;

	return m == MEASURE_LATENCY ? p->answer - p->spare : m == MEASURE_MEMORY ? p->bytes : NAN;
}

/* The term of costs that is out of a way's reach by plan, twice as much and more; NULL: none. */
static const struct goal_term *too_dear(const struct adapt *a, size_t i)
{
	for (size_t k = 0; a->has_goal && k < a->goal.n; k++) {
		const struct goal_term *t = &a->goal.term[k];
		if (!measure_is_score(t->what) && planned_cost(a, i, t->what) > 2 * t->value)
			return t;
	}
	return NULL;
}

/* Such ways are not tried, where there are others. */
static void leave_dear(struct adapt *a)
{
	size_t others = 0;

	for (size_t i = 0; i < a->climb.n; i++)
		others += !a->climb.ways[i].apart && a->climb.ways[i].state != CLIMB_CANNOT && !too_dear(a, i);
	for (size_t i = 0; others && i < a->climb.n; i++) {
		const struct goal_term *t = too_dear(a, i);
		if (!t || a->climb.ways[i].state != CLIMB_WAITS)
			continue;
		a->climb.ways[i].state = CLIMB_LEFT;
		snprintf(a->ways[i].why, sizeof(a->ways[i].why), "left: by plan it takes %s, and %s is wanted",
		         adapt_cost_text(t->what, planned_cost(a, i, t->what)), goal_term_text(t));
		log_say("  %-*s %s", a->name_width, a->climb.ways[i].name, a->ways[i].why);
	}
}

int adapt_climb_all(struct adapt *a, struct err *e)
{
	struct climb_step s = half_done(a);

	a->climb.show = showing(a);
	leave_dear(a);
	if (carry_out(a, &s, e) < 0)
		return -1;
	while (!has_stopped(a)) {
		adapt_believe(a);
		a->climb.left = adapt_left(a);
		climb_next(&a->climb, &s);
		note_left(a);
		if (note_decision(a, &s, e) < 0 || carry_out(a, &s, e) < 0)
			return -1;
		if (app_signalled())
			return err_set(e, "stopped");
	}
	return 0;
}
