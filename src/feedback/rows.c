/* rows: labels to rows. See rows.h. */
#include "feedback/rows.h"

#include <math.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"

bool feedback_scores(const struct feedback_item *it, const struct feedback_label *l, double *score)
{
	bool ranked = false, chosen = l->winner >= 0 || l->tie || l->both_bad, differ = false;
	double first = NAN;

	for (int i = 0; i < it->n; i++)
		ranked |= l->rank[i] > 0;
	for (int i = 0; i < it->n; i++) {
		score[i] = ranked ? (l->rank[i] > 0 ? -(double)l->rank[i] : NAN) :
		           chosen ? i == l->winner : l->rating[i];
		differ |= !isnan(first) && !isnan(score[i]) && score[i] != first;
		first = isnan(first) ? score[i] : first;
	}
	return differ;
}

/* One label at work. */
struct making {
	const struct feedback_item *it;
	const struct feedback_label *l;
	json_t *prompt, *list;
};

/* The answer to a text is a text, to messages the assistant's message. */
static json_t *answer_of(const struct making *m, const char *text)
{
	json_t *said = jsonx_text(text, strlen(text));

	return json_is_array(m->prompt) ? json_pack("[{s:s, s:o}]", "role", "assistant", "content", said) : said;
}

static void add_ranked(const struct making *m, const char *const *answers, const double *score, int n)
{
	json_t *texts = json_array(), *scores = json_array();

	for (int i = 0; i < n; i++) {
		if (isnan(score[i]))
			continue;
		json_array_append_new(texts, jsonx_text(answers[i], strlen(answers[i])));
		json_array_append_new(scores, jsonx_number(score[i]));
	}
	json_array_append_new(m->list, json_pack("{s:O, s:o, s:o}", "prompt", m->prompt, "answers", texts, "scores",
	                                         scores));
}

static void add_pair(const struct making *m, const char *chosen, const char *rejected)
{
	json_array_append_new(m->list, json_pack("{s:O, s:o, s:o}", "prompt", m->prompt, "chosen", answer_of(m, chosen),
	                                         "rejected", answer_of(m, rejected)));
}

static void add_one(const struct making *m, const char *answer, bool good)
{
	json_array_append_new(m->list, json_pack("{s:O, s:o, s:b}", "prompt", m->prompt, "completion",
	                                         answer_of(m, answer), "label", good));
}

static void add_correction(const struct making *m, enum feedback_rows kind)
{
	const struct feedback_label *l = m->l;
	bool known = l->edited_answer >= 0 && l->edited_answer < m->it->n;
	const char *was = known ? m->it->answers[l->edited_answer] : NULL;
	bool changed = was && strcmp(was, l->edited) != 0;
	const double score[2] = { 1, 0 };

	if (kind == ROWS_SFT)
		json_array_append_new(m->list, json_pack("{s:O, s:o}", "prompt", m->prompt, "completion",
		                                         answer_of(m, l->edited)));
	else if (kind == ROWS_UNPAIRED)
		add_one(m, l->edited, true);
	else if (changed && kind == ROWS_PREFERENCE)
		add_pair(m, l->edited, was);
	else if (changed)
		add_ranked(m, (const char *const[]){ l->edited, was }, score, 2);
}

/* The first of the largest, −1: nothing was said. */
static int best_of(const double *score, int n)
{
	int best = -1;

	for (int i = 0; i < n; i++)
		if (!isnan(score[i]) && (best < 0 || score[i] > score[best]))
			best = i;
	return best;
}

static bool is_worse(const double *score, int i, int best, double least)
{
	double by = score[best] - score[i]; /* NAN: not judged */

	return by > 0 && by >= least;
}

static void add_pairs(const struct making *m, const double *score, double least)
{
	int best = best_of(score, m->it->n);

	for (int i = 0; i < m->it->n && best >= 0; i++)
		if (is_worse(score, i, best, least))
			add_pair(m, m->it->answers[best], m->it->answers[i]);
}

/* By ratings alone. */
static void add_rated(const struct making *m, const struct feedback_rule *rule, double middle)
{
	for (int i = 0; i < m->it->n; i++) {
		double x = m->l->rating[i];
		bool good = isnan(rule->desirable) ? x > middle : x >= rule->desirable;
		bool bad = isnan(rule->undesirable) ? x < middle : x <= rule->undesirable;
		if (good || bad)
			add_one(m, m->it->answers[i], good);
	}
}

static void add_unpaired(const struct making *m, const double *score, double least)
{
	int best = best_of(score, m->it->n);
	bool some = false;

	for (int i = 0; i < m->it->n && best >= 0; i++) {
		bool bad = m->l->both_bad || is_worse(score, i, best, least);
		some |= bad;
		if (bad)
			add_one(m, m->it->answers[i], false);
	}
	if (some && !m->l->both_bad)
		add_one(m, m->it->answers[best], true);
}

static void add_judged(const struct making *m, enum feedback_rows kind, const struct feedback_rule *rule,
                       const struct feedback_study *s)
{
	double score[FEEDBACK_ANSWERS];
	const struct feedback_label *l = m->l;
	bool differ = feedback_scores(m->it, l, score), judged = l->winner >= 0 || l->tie || l->both_bad;

	for (int i = 0; i < m->it->n; i++)
		judged |= l->rank[i] > 0;
	if (kind == ROWS_RANKED && differ)
		add_ranked(m, m->it->answers, score, m->it->n);
	else if (kind == ROWS_PREFERENCE)
		add_pairs(m, score, rule->least);
	else if (kind == ROWS_UNPAIRED && judged)
		add_unpaired(m, score, rule->least);
	else if (kind == ROWS_UNPAIRED)
		add_rated(m, rule, (1.0 + s->scale) / 2);
}

int feedback_rows(enum feedback_rows kind, const struct feedback_rule *rule, const struct feedback_study *s,
                  const struct feedback_item *it, const struct feedback_label *l, json_t *list, struct err *e)
{
	struct making m = { .it = it, .l = l, .list = list };

	if (l->skipped || l->unsafe || l->withdrawn)
		return 0;
	m.prompt = jsonx_load(it->prompt, strlen(it->prompt), "the item's prompt", e);
	if (!m.prompt)
		return -1;
	add_judged(&m, kind, rule, s);
	if (l->edited && *l->edited)
		add_correction(&m, kind);
	json_decref(m.prompt);
	return 0;
}
