/* adapt_cascade: after the climb, whether two of the ways that were measured are better as one (ladder/cascade.h):
 * cheaper than the way that is shown, or better than the best where none is. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/adapt/adapt_parts.h"

static const double alpha = 0.05, cheaper = 0.95; /* a twentieth less is worth a second way */

static size_t cascade_way(const struct adapt *a)
{
	size_t i = 0;

	while (i < a->climb.n && !a->ways[i].rung->combines)
		i++;
	return i;
}

static struct cascade_part *make_parts(const struct adapt *a)
{
	struct cascade_part *p = mem_array(a->climb.n + 1, sizeof(*p));

	for (size_t i = 0; i < a->climb.n; i++) {
		if (!adapt_is_measured(a, i) || a->ways[i].n < a->n_choose)
			continue;
		p[i] = (struct cascade_part){ .out = a->ways[i].out,
			                      .n = a->ways[i].n,
			                      .make_seconds = a->ways[i].make_seconds,
			                      .use_seconds = a->climb.ways[i].use_seconds,
			                      .can_be_first = a->ways[i].rung->learns };
	}
	return p;
}

static struct cascade_wish wish_of(const struct adapt *a)
{
	size_t best = climb_winner(&a->climb);
	const struct climb_way *w = &a->climb.ways[best];
	bool shown = a->has_goal && w->low >= a->climb.goal;

	return (struct cascade_wish){ .measure = a->first->what,
		                      .goal = a->climb.goal,
		                      .uses = a->o.uses,
		                      .alpha = 2 * alpha,
		                      .most_total = shown ? cheaper * climb_total(&a->climb, w) : INFINITY,
		                      .least_score = shown ? INFINITY : w->quality + a->climb.least_gain };
}

static int write_parts(struct adapt *a, const struct cascade *c, struct err *e)
{
	char *dir = adapt_way_dir(a, "cascade"), *file = io_join(dir, CASCADE_FILE);
	json_t *j = json_pack("{s:s, s:s, s:f}", "first", adapt_folder(a, c->first), "second",
	                      adapt_folder(a, c->second), "threshold", c->threshold);
	const struct given *first = a->ways[c->first].on, *second = a->ways[c->second].on;
	int status = io_mkdirs(dir, e);

	if (a->n_models > 1 && first)
		json_object_set_new(j, "first_model", json_string(first->path));
	if (a->n_models > 1 && second)
		json_object_set_new(j, "second_model", json_string(second->path));
	if (status == 0)
		status = jsonx_write_file(file, j, e);
	json_decref(j);
	mem_free(file);
	mem_free(dir);
	return status;
}

/* Its outcomes are there already; what a use takes is the sum of what both took. */
static int take(struct adapt *a, size_t i, const struct cascade_part *parts, const struct cascade *c, struct err *e)
{
	struct way *w = &a->ways[i];
	const struct way *x = &a->ways[c->first], *y = &a->ways[c->second];
	double rest = 1 - c->share;

	w->out = mem_array(a->n_choose, sizeof(*w->out));
	cascade_join(&parts[c->first], &parts[c->second], c->threshold, a->n_choose, w->out);
	w->n = a->n_choose;
	w->make_seconds = c->make_seconds;
	w->make_joules = x->make_joules + y->make_joules;
	w->look_seconds = x->look_seconds + rest * y->look_seconds;
	w->look_joules = x->look_joules + rest * y->look_joules;
	w->find_seconds = x->find_seconds + rest * y->find_seconds;
	w->write_seconds = x->write_seconds + rest * y->write_seconds;
	w->latency = x->latency + rest * y->latency;
	w->price.bytes = fmax(x->price.bytes, y->price.bytes);
	a->climb.ways[i].state = CLIMB_MEASURED;
	a->looks++;
	adapt_judge(a, i);
	return write_parts(a, c, e) < 0 ? -1 : adapt_save_outcomes(a, w->name, w->out, w->n, e);
}

static int note(struct adapt *a, const struct cascade *c, struct err *e)
{
	char is[300], why[400];

	snprintf(is, sizeof(is),
	         "%s answers %.0f %% of the rows, where its confidence is %.3f or more, and %s the rest",
	         a->ways[c->first].name, 100 * c->share, c->threshold, a->ways[c->second].name);
	snprintf(why, sizeof(why), "%s: %s %.4g, %.3g s a use", is, measure_names[a->first->what], c->score.mean,
	         c->use_seconds);
	log_say("cascade: %s", why);
	json_t *all = adapt_decisions(a);
	json_t *j = json_pack("{s:I, s:s, s:s, s:s, s:s, s:o, s:f}", "decision", (json_int_t)json_array_size(all) + 1,
	                      "act", "combine", "way", "cascade", "is", is, "why", why, "expected",
	                      jsonx_number(c->score.mean), "seconds", 0.0);
	if (a->app->json)
		app_json(j);
	json_array_append_new(all, j);
	return adapt_state_save(a, "running", e);
}

int adapt_cascade(struct adapt *a, struct err *e)
{
	size_t i = cascade_way(a);
	struct cascade best;

	if (i == a->climb.n || a->climb.ways[i].state != CLIMB_WAITS || a->first->what == MEASURE_PERPLEXITY ||
	    climb_winner(&a->climb) == a->climb.n)
		return 0;
	struct cascade_part *parts = make_parts(a);
	struct cascade_wish w = wish_of(a);
	int status = 0;
	if (cascade_choose(&a->task, parts, a->climb.n, a->choose, &w, &best)) {
		status = take(a, i, parts, &best, e);
		adapt_keep_way(a, i);
		if (status == 0)
			status = note(a, &best, e);
	} else {
		snprintf(a->ways[i].why, sizeof(a->ways[i].why), "no two of the ways are better as one");
		a->climb.ways[i].state = CLIMB_LEFT;
	}
	mem_free(parts);
	return status;
}
