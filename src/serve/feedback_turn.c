/* feedback_turn: whose turn it is to be judged. What was shown and not answered is shown again, in the same order;
 * else feedback/next.h says what is next.
 *
 * Sides are balanced for each rater: of two answers, in every two showings after each other each order stands once,
 * which first is drawn; of more, the order is drawn. Draws are of the rater and of how many labels he gave. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/rng.h"
#include "feedback/next.h"
#include "feedback/resample.h"
#include "serve/feedback_call.h"

static int fill(struct shelf *shelf, struct feedback *f, struct err *e)
{
	size_t items, labels, raters;

	if (feedback_count(f, &items, &labels, &raters, e) < 0)
		return -1;
	if (items == shelf->n)
		return 0;
	arena_release(&shelf->mem);
	shelf->n = 0;
	return feedback_items(f, &shelf->mem, &shelf->items, &shelf->n, e);
}

int call_said(struct call *c, struct said *s, struct err *e)
{
	struct feedback_label *labels = NULL;

	*s = (struct said){ feedback_study(c->f) };
	/* labels first: an item that comes between is one without labels */
	if (feedback_labels(c->f, &c->mem, &labels, &s->n_labels, e) < 0 || fill(c->shelf, c->f, e) < 0)
		return -1;
	s->labels = labels;
	s->items = c->shelf->items;
	s->n_items = c->shelf->n;
	return 0;
}

int call_progress(struct call *c, const struct said *s, struct err *e)
{
	double *seconds = arena_array(&c->mem, s->n_labels, sizeof(*seconds));
	size_t done = 0, timed = 0;
	struct next n;

	(void)e;
	for (size_t i = 0; i < s->n_labels; i++) {
		if (s->labels[i].rater != c->who.id)
			continue;
		done++;
		if (!isnan(s->labels[i].seconds))
			seconds[timed++] = s->labels[i].seconds;
	}
	next_of(&n, s, c->who.id, NULL, 0);
	double each = median(seconds, timed);
	json_object_set_new(c->answer, "progress",
	                    json_pack("{s:I, s:I, s:o, s:o}", "done", (json_int_t)done, "total",
	                              (json_int_t)(done + n.left), "seconds_per_label",
	                              isnan(each) ? json_null() : json_real(each), "seconds_left",
	                              isnan(each) ? json_null() : json_real(each * (double)n.left)));
	return 0;
}

/* Places that are shown; the rest is left out of the order. */
static void cut(struct turn *t, const struct feedback_study *study)
{
	t->n = study->n_answers > 0 ? MIN(study->n_answers, t->item.n) : t->item.n;
	for (int i = t->n; i < FEEDBACK_ANSWERS; i++)
		t->order[i] = -1;
}

static void draw_order(struct turn *t, int64_t rater, size_t given)
{
	int n = t->item.n;
	uint64_t key[] = { (uint64_t)rater, n == 2 ? given / 2 : given };
	struct rng_stream draw = { hash_64(key, sizeof(key)) };

	for (int i = 0; i < FEEDBACK_ANSWERS; i++)
		t->order[i] = (int8_t)(i < n ? i : -1);
	for (int i = n - 1; i > 0; i--) {
		uint32_t j = rng_below(&draw, (uint32_t)i + 1);
		int8_t was = t->order[i];

		t->order[i] = t->order[j];
		t->order[j] = was;
	}
	if (n == 2 && given % 2) {
		t->order[0] ^= 1;
		t->order[1] ^= 1;
	}
}

int turn_open(struct call *c, struct turn *t, struct err *e)
{
	int64_t item;
	int status = feedback_shown(c->f, c->who.id, &item, t->order, &t->repeat_of, e);

	t->n = 0;
	if (status)
		return status;
	if (feedback_item(c->f, item, &c->mem, &t->item, e) < 0)
		return -1;
	while (t->n < t->item.n && t->order[t->n] >= 0)
		t->n++;
	return 0;
}

int turn_next(struct call *c, const struct said *s, struct turn *t, struct err *e)
{
	int status = turn_open(c, t, e);
	size_t given = 0;
	struct next n;

	if (status <= 0)
		return status;
	next_of(&n, s, c->who.id, c->informed ? informed_of(c->informed, s->n_items, &c->mem) : NULL, 0);
	if (n.item < 0)
		return 0;
	for (size_t i = 0; i < s->n_labels; i++)
		given += s->labels[i].rater == c->who.id;
	t->item = s->items[n.item];
	t->repeat_of = n.repeat_of;
	draw_order(t, c->who.id, given);
	cut(t, s->study);
	return feedback_show(c->f, c->who.id, t->item.id, t->order, t->repeat_of, e);
}

/* The language of the row's texts, where it says so. */
static json_t *language(const struct feedback_item *it)
{
	json_t *extra = it->extra ? json_loads(it->extra, 0, NULL) : NULL;
	json_t *lang = json_incref(json_object_get(extra, "lang"));

	json_decref(extra);
	if (json_is_string(lang))
		return lang;
	json_decref(lang);
	return NULL;
}

json_t *turn_json(const struct turn *t)
{
	json_t *answers = json_array();

	for (int i = 0; i < t->n; i++)
		json_array_append_new(answers, json_string(t->item.answers[t->order[i]]));
	if (t->n == 0 && !t->item.id) {
		json_decref(answers);
		return json_null();
	}
	return json_pack("{s:I, s:s, s:o, s:o, s:o*}", "id", (json_int_t)t->item.id, "version", t->item.version,
	                 "prompt", json_loads(t->item.prompt, JSON_DECODE_ANY, NULL), "answers", answers, "lang",
	                 language(&t->item));
}
