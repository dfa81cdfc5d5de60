/* judgement: what is one unit is found by a hash of what makes it one; units are numbered as they were first judged.
 * See judgement.h. */
#include "feedback/judgement.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "feedback/resample.h"

enum { HALVES = 2 }; /* values of a comparison that is no tie */

ptrdiff_t said_item(const struct said *s, int64_t id)
{
	size_t low = 0, high = s->n_items;

	while (low < high) {
		size_t mid = (low + high) / 2;
		if (s->items[mid].id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low < s->n_items && s->items[low].id == id ? (ptrdiff_t)low : -1;
}

const struct feedback_label *said_label(const struct said *s, int64_t id)
{
	for (size_t low = 0, high = s->n_labels; low < high;) {
		size_t mid = (low + high) / 2;
		if (s->labels[mid].id == id)
			return &s->labels[mid];
		if (s->labels[mid].id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

struct prompt { const char *text; size_t item; };

static int by_prompt(const void *a, const void *b)
{
	const struct prompt *x = a, *y = b;
	int order = strcmp(x->text, y->text);

	return order ? order : (x->item > y->item) - (x->item < y->item);
}

size_t said_prompts(const struct said *s, size_t *prompt)
{
	struct prompt *all = mem_array(s->n_items, sizeof(*all));
	size_t n = 0;

	for (size_t i = 0; i < s->n_items; i++)
		all[i] = (struct prompt){ s->items[i].prompt, i };
	qsort(all, s->n_items, sizeof(*all), by_prompt);
	for (size_t i = 0; i < s->n_items; i++) {
		n += i == 0 || strcmp(all[i - 1].text, all[i].text) != 0;
		prompt[all[i].item] = n - 1;
	}
	mem_free(all);
	return n;
}

double said_seconds(const struct said *s)
{
	double *seconds = mem_array(s->n_labels, sizeof(*seconds)), middle;
	size_t n = 0;

	for (size_t k = 0; k < s->n_labels; k++)
		if (!s->labels[k].skipped && !isnan(s->labels[k].seconds))
			seconds[n++] = s->labels[k].seconds;
	middle = median(seconds, n);
	mem_free(seconds);
	return middle;
}

/* --- comparisons --- */

double label_outcome(const struct feedback_item *it, const struct feedback_label *l, int a, int b)
{
	if (l->rank[a] > 0 && l->rank[b] > 0)
		return l->rank[a] == l->rank[b] ? 0.5 : l->rank[a] < l->rank[b];
	if (l->winner == a || l->winner == b)
		return l->winner == a;
	if (l->winner == FEEDBACK_NONE && (l->tie || (l->both_bad && it->n == 2)))
		return 0.5;
	if (l->winner == FEEDBACK_NONE && !isnan(l->rating[a]) && !isnan(l->rating[b]))
		return islessgreater(l->rating[a], l->rating[b]) ? l->rating[a] > l->rating[b] : 0.5;
	return NAN;
}

static int8_t stood_first(const struct feedback_label *l, int a, int b)
{
	for (int i = 0; i < FEEDBACK_ANSWERS; i++)
		if (l->shown[i] == a || l->shown[i] == b)
			return l->shown[i] == a;
	return -1;
}

size_t comparisons_of(const struct said *s, struct arena *mem, struct comparison **out)
{
	size_t n = 0, room = 0;

	for (size_t k = 0; k < s->n_labels; k++) {
		ptrdiff_t i = said_item(s, s->labels[k].item);
		size_t answers = i < 0 ? 0 : (size_t)s->items[i].n;
		room += answers * answers / 2;
	}
	*out = arena_array(mem, room, sizeof(**out));
	for (size_t k = 0; k < s->n_labels; k++) {
		const struct feedback_label *l = &s->labels[k];
		ptrdiff_t i = said_item(s, l->item);
		if (i < 0 || l->skipped || l->withdrawn)
			continue;
		for (int a = 0; a < s->items[i].n; a++)
			for (int b = a + 1; b < s->items[i].n; b++) {
				double won = label_outcome(&s->items[i], l, a, b);
				if (!isnan(won))
					(*out)[n++] = (struct comparison){ (size_t)i, k, (int8_t)a, (int8_t)b, won,
						                           stood_first(l, a, b) };
			}
	}
	return n;
}

double said_again(const struct said *s, const struct feedback_label *first, const struct feedback_label *again)
{
	ptrdiff_t i = said_item(s, again->item);
	double same = 0, n = 0;

	if (i < 0 || first->item != again->item || first->skipped || again->skipped)
		return NAN;
	if (s->study->ask == ASK_LABEL)
		return first->label && again->label ? !strcmp(first->label, again->label) : NAN;
	for (int a = 0; a < s->items[i].n; a++) {
		bool rated = s->study->ask == ASK_RATE && !isnan(first->rating[a]) && !isnan(again->rating[a]);
		n += rated;
		same += rated && !islessgreater(first->rating[a], again->rating[a]);
		for (int b = a + 1; s->study->ask != ASK_RATE && b < s->items[i].n; b++) {
			double x = label_outcome(&s->items[i], first, a, b);
			double y = label_outcome(&s->items[i], again, a, b);
			n += !isnan(x) && !isnan(y);
			same += !isnan(x) && !isnan(y) && !islessgreater(x, y);
		}
	}
	return n > 0 ? same / n : NAN;
}

/* --- units --- */

struct sorted { const char *model, *answer; int at; };

static int by_model(const void *a, const void *b)
{
	const struct sorted *x = a, *y = b;
	int order = strcmp(x->model, y->model);

	order = order ? order : strcmp(x->answer, y->answer);
	return order ? order : x->at - y->at;
}

static void add_text(struct hash_stream *h, const char *text) { hash_add(h, text, strlen(text) + 1); }

/* Is every answer of a model of its own? */
static bool names_models(const struct feedback_item *it)
{
	for (int i = 0; i < it->n; i++)
		for (int k = 0; k <= i; k++)
			if (!it->models[i] || (k < i && !strcmp(it->models[i], it->models[k])))
				return false;
	return it->n > 0;
}

static uint64_t unit_key(const struct feedback_item *it, int8_t place[FEEDBACK_ANSWERS])
{
	bool models = names_models(it), keyed = it->key && strcmp(it->key, it->version) != 0;
	struct hash_stream *h = hash_begin();
	struct sorted order[FEEDBACK_ANSWERS];
	char hex[33];

	for (int i = 0; i < it->n; i++)
		order[i] = (struct sorted){ models ? it->models[i] : "", it->answers[i], i };
	qsort(order, (size_t)it->n, sizeof(*order), by_model);
	add_text(h, !models && keyed ? it->key : it->prompt);
	for (int i = 0; i < it->n; i++) {
		place[order[i].at] = (int8_t)i;
		add_text(h, models ? order[i].model : order[i].answer);
	}
	hash_end(h, hex);
	return hash_64(hex, sizeof(hex));
}

/* --- who said what of which --- */

struct entry { uint64_t key; size_t label, item; int64_t rater; double value; };

struct gathering {
	struct entry *at;
	size_t n, room;
	const uint64_t *key;            /* [n_items] */
	const struct judgements *j;
	const char **classes;           /* [n_classes] ascending */
	size_t n_classes;
};

/* part: what of the item is judged, 0: all of it. */
static void gather(struct gathering *g, const struct feedback_label *l, size_t label, size_t item, uint64_t part,
                   double value)
{
	uint64_t of[2] = { g->key[item], part };

	if (g->n == g->room) {
		g->room = MAX(2 * g->room, (size_t)64);
		g->at = mem_grow(g->at, g->room, sizeof(*g->at));
	}
	g->at[g->n++] = (struct entry){ part ? hash_64(of, sizeof(of)) : of[0], label, item, l->rater, value };
}

static void gather_ranks(struct gathering *g, const struct said *s)
{
	struct arena mem = ARENA_INIT;
	struct comparison *c;
	size_t n = comparisons_of(s, &mem, &c);

	for (size_t i = 0; i < n; i++) {
		const struct feedback_label *l = &s->labels[c[i].label];
		const int8_t *place = g->j->place[c[i].item];
		int a = place[c[i].a], b = place[c[i].b];
		double won = a < b ? c[i].won : 1 - c[i].won;    /* by the one that comes first in place */
		if (l->repeat_of == 0)
			gather(g, l, c[i].label, c[i].item, (uint64_t)(1 + MIN(a, b) * FEEDBACK_ANSWERS + MAX(a, b)),
			       islessgreater(won, 0.5) ? won < 0.5 : HALVES);
	}
	arena_release(&mem);
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static void find_classes(struct gathering *g, const struct said *s, struct arena *mem)
{
	size_t kept = 0;

	g->classes = arena_array(mem, s->n_labels, sizeof(*g->classes));
	for (size_t k = 0; k < s->n_labels; k++)
		if (s->labels[k].label && !s->labels[k].skipped && !s->labels[k].withdrawn)
			g->classes[g->n_classes++] = s->labels[k].label;
	qsort(g->classes, g->n_classes, sizeof(*g->classes), by_text);
	for (size_t k = 0; k < g->n_classes; k++)
		if (kept == 0 || strcmp(g->classes[kept - 1], g->classes[k]) != 0)
			g->classes[kept++] = g->classes[k];
	g->n_classes = kept;
}

static void gather_one(struct gathering *g, const struct said *s, size_t k, size_t i)
{
	const struct feedback_label *l = &s->labels[k];
	const int8_t *place = g->j->place[i];

	if (s->study->ask == ASK_LABEL && l->label) {
		const char **found = bsearch(&l->label, g->classes, g->n_classes, sizeof(*g->classes), by_text);
		gather(g, l, k, i, 0, (double)(found - g->classes));
	} else if (s->study->ask == ASK_RATE) {
		for (int a = 0; a < s->items[i].n; a++)
			if (!isnan(l->rating[a]))
				gather(g, l, k, i, (uint64_t)(1 + place[a]), l->rating[a]);
	} else if (l->winner >= 0 && l->winner < s->items[i].n) {
		gather(g, l, k, i, 0, place[l->winner]);
	} else if (l->tie || l->both_bad) {
		gather(g, l, k, i, 0, g->j->tie);
	}
}

static void gather_all(struct gathering *g, const struct said *s, struct arena *mem)
{
	if (s->study->ask == ASK_RANK) {
		gather_ranks(g, s);
		return;
	}
	find_classes(g, s, mem);
	for (size_t k = 0; k < s->n_labels; k++) {
		ptrdiff_t i = said_item(s, s->labels[k].item);
		if (i >= 0 && !s->labels[k].skipped && !s->labels[k].withdrawn && s->labels[k].repeat_of == 0)
			gather_one(g, s, k, (size_t)i);
	}
}

/* --- numbers for them --- */

static int by_key(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return (x->label > y->label) - (x->label < y->label);
}

struct group { size_t at, n, label; };  /* entries of a unit, the label that was first */

static int by_label(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	if (x->label != y->label)
		return x->label < y->label ? -1 : 1;
	return (x->at > y->at) - (x->at < y->at);
}

static int by_id(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

ptrdiff_t judgements_rater(const struct judgements *j, int64_t id)
{
	const int64_t *found = bsearch(&id, j->raters, (size_t)j->n_raters, sizeof(*j->raters), by_id);

	return found ? found - j->raters : -1;
}

static void number_raters(struct judgements *j, const struct gathering *g, struct arena *mem)
{
	int64_t *ids = arena_array(mem, g->n, sizeof(*ids));

	for (size_t i = 0; i < g->n; i++)
		ids[i] = g->at[i].rater;
	qsort(ids, g->n, sizeof(*ids), by_id);
	for (size_t i = 0; i < g->n; i++)
		if (j->n_raters == 0 || ids[j->n_raters - 1] != ids[i])
			ids[j->n_raters++] = ids[i];
	j->raters = ids;
}

/* Ratings are those that were given; categories are all that could be. */
static void number_values(struct judgements *j, const struct gathering *g, const struct said *s, struct arena *mem)
{
	double *x = arena_array(mem, g->n + FEEDBACK_ANSWERS + 1, sizeof(*x));
	size_t n = g->n;

	for (size_t i = 0; i < n; i++)
		x[i] = g->at[i].value;
	if (s->study->ask != ASK_RATE)
		for (n = 0; n < (j->tie == FEEDBACK_NONE ? g->n_classes : (size_t)j->tie + 1); n++)
			x[n] = (double)n;
	qsort(x, n, sizeof(*x), by_number);
	for (size_t i = 0; i < n; i++)
		if (j->n_values == 0 || x[j->n_values - 1] < x[i])
			x[j->n_values++] = x[i];
	j->values = x;
}

static void number_units(struct judgements *j, const struct gathering *g, struct arena *mem)
{
	struct group *groups = mem_array(g->n, sizeof(*groups));
	size_t n = 0;

	for (size_t i = 0; i < g->n; i++) {
		if (i == 0 || g->at[i].key != g->at[i - 1].key)
			groups[n++] = (struct group){ i, 0, g->at[i].label };
		groups[n - 1].n++;
	}
	qsort(groups, n, sizeof(*groups), by_label);
	j->n_units = (int32_t)n;
	j->at = arena_array(mem, g->n, sizeof(*j->at));
	j->label = arena_array(mem, g->n, sizeof(*j->label));
	j->first = arena_array(mem, n + 1, sizeof(*j->first));
	for (size_t u = 0; u < n; u++) {
		j->first[u] = j->n;
		for (size_t i = groups[u].at; i < groups[u].at + groups[u].n; i++) {
			const struct entry *one = &g->at[i];
			const double *v = bsearch(&one->value, j->values, (size_t)j->n_values, sizeof(*v), by_number);
			if (j->item_unit[one->item] < 0)
				j->item_unit[one->item] = (int32_t)u;
			j->label[j->n] = one->label;
			j->at[j->n++] = (struct judgement){ (int32_t)u, (int32_t)judgements_rater(j, one->rater),
				                            (int32_t)(v - j->values) };
		}
	}
	j->first[n] = j->n;
	mem_free(groups);
}

void judgements_of(struct judgements *j, const struct said *s, struct arena *mem)
{
	uint64_t *key = arena_array(mem, s->n_items, sizeof(*key));
	struct gathering g = { .key = key, .j = j };
	int most = HALVES;

	*j = (struct judgements){ .tie = FEEDBACK_NONE };
	j->item_unit = arena_array(mem, s->n_items, sizeof(*j->item_unit));
	j->place = arena_array(mem, s->n_items, sizeof(*j->place));
	for (size_t i = 0; i < s->n_items; i++) {
		key[i] = unit_key(&s->items[i], j->place[i]);
		j->item_unit[i] = -1;
		most = MAX(most, s->items[i].n);
	}
	if (s->study->ask != ASK_LABEL && s->study->ask != ASK_RATE)
		j->tie = s->study->ask == ASK_RANK ? HALVES : most;
	gather_all(&g, s, mem);
	if (g.n > 0)
		qsort(g.at, g.n, sizeof(*g.at), by_key);
	number_raters(j, &g, mem);
	number_values(j, &g, s, mem);
	number_units(j, &g, mem);
	mem_free(g.at);
}
