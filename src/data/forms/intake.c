/* intake: see intake.h. */
#include "data/forms/intake.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

enum { CLASSES = 1000, SCALE = 5 }; /* classes of a study, at most; the scale of ratings where rows have no higher */

static void count_class(struct tally *t, const char *name)
{
	for (size_t i = 0; i < t->n_names; i++)
		if (!strcmp(t->names[i], name))
			return;
	if (t->n_names >= CLASSES)
		return;
	if (t->n_names + 1 >= t->room) {
		t->room = MAX(2 * t->room, (size_t)16);
		t->names = arena_resize(&t->mem, t->names, t->room * sizeof(*t->names));
	}
	t->names[t->n_names++] = arena_strdup(&t->mem, name);
	t->names[t->n_names] = NULL;
}

int tally_take(void *ctx, const struct statement *s, struct err *e)
{
	struct tally *t = ctx;
	const struct feedback_label *l = &s->label;
	bool ranked = false, rated = false;
	(void)e;

	t->items++;
	t->labels += s->labelled;
	t->answers = MAX(t->answers, s->item.n);
	for (int i = 0; i < FEEDBACK_ANSWERS; i++) {
		ranked |= l->rank[i] > 0;
		rated |= !isnan(l->rating[i]);
		t->highest = fmax(t->highest, l->rating[i]);
	}
	t->ranked += ranked;
	t->rated += rated;
	t->classes += l->label != NULL;
	t->corrected += l->edited && l->winner == FEEDBACK_NONE && !l->tie;
	if (l->label)
		count_class(t, l->label);
	return 0;
}

void tally_study(struct tally *t, struct feedback_study *s)
{
	size_t most = 0;
	const size_t said[ASK_KINDS] = {
		[ASK_RANK] = t->ranked, [ASK_RATE] = t->rated, [ASK_CORRECT] = t->corrected, [ASK_LABEL] = t->classes
	};

	*s = (struct feedback_study){ .ask = ASK_COMPARE,
		                      .n_answers = t->answers,
		                      .gold_share = 0.05,
		                      .repeat_share = 0.05,
		                      .labels_per_item = 1,
		                      .scale = SCALE };
	for (int i = 0; i < ASK_KINDS; i++)
		if (said[i] > most && 2 * said[i] > t->labels) {
			most = said[i];
			s->ask = (enum feedback_ask)i;
		}
	if (!t->labels && t->answers == 1)
		s->ask = ASK_RATE;
	s->scale = t->highest > SCALE && t->highest <= 100 ? (int)ceil(t->highest) : SCALE;
	s->labels = t->n_names ? t->names : NULL;
}

void tally_release(struct tally *t) { arena_release(&t->mem); }

int intake_take(void *ctx, const struct statement *s, struct err *e)
{
	struct intake *in = ctx;
	int64_t item, rater;
	int status = feedback_add_item(in->f, &s->item, &item, e);

	if (status < 0)
		return -1;
	in->items += status == 0;
	in->same_items += status > 0;
	if (!s->labelled)
		return 0;
	struct feedback_label l = s->label;
	if (feedback_rater(in->f, s->rater ? s->rater : in->rater, &rater, e) < 0)
		return -1;
	l.item = item;
	l.rater = rater;
	status = feedback_add_label(in->f, &l, e);
	if (status < 0)
		return -1;
	in->labels += status == 0;
	in->nameless += status == 0 && !s->rater;
	in->same_labels += status > 0;
	return 0;
}
