/* learning_curve: which runs of a ledger are points of one curve, and where they lie on it. Two runs are of one
 * curve when they began with the same model and the same options, those apart that say where things lie, how much is
 * learnt from, and the seed. Options are compared by their first names, so -r 8 and --lora-r=8 are one. See
 * learning_curve.h. */
#include "gas/learning_curve.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "gas/summary.h"

/* --- which runs are of one curve --- */

static bool is_in(const char *const *list, const char *word, size_t n)
{
	for (; *list; list++)
		if (strlen(*list) == n && !strncmp(*list, word, n))
			return true;
	return false;
}

/* Does the option leave the recipe as it is? */
static bool is_outside(const char *name, size_t n, enum learning_over over)
{
	static const char *const always[] = { "model",   "data",       "out",    "seed",    "ledger",    "gas",
		                              "max-gas", "power-file", "prices", "threads", "eval-data", "json",
		                              "quiet",   "overwrite",  "help",   NULL };
	static const char *const amount[] = { "max-steps", "num-train-epochs", NULL };
	return is_in(always, name, n) || (over != OVER_LABELS && is_in(amount, name, n));
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* The option that a word of the command line names, with its first name and its value, if the word holds one; mem_free;
 * NULL: it is none. */
static char *option_of(const char *word, const char *next, bool *took_next, const struct opt *recipe,
                       enum learning_over over)
{
	if (!word || word[0] != '-' || !word[1])
		return NULL;
	const char *begin = word + 1 + (word[1] == '-');
	size_t length = strcspn(begin, "=");
	char *name = mem_strndup(begin, length), *option = NULL;
	const struct opt *o = opt_find(recipe, name);
	*took_next = o && o->type != OPT_TYPE_FLAG && !begin[length] && next;
	const char *first = o ? o->name : name;
	if (!is_outside(first, strlen(first), over))
		option = mem_printf("--%s%s%s", first, *took_next ? "=" : begin + length, *took_next ? next : "");
	mem_free(name);
	return option;
}

/* The options of a run in alphabetical order, a line each; mem_free. */
static char *recipe_key(const struct entry *x, const struct opt *recipe, enum learning_over over)
{
	struct err ignored = ERR_INIT;
	json_t *words = x->argv ? jsonx_load(x->argv, strlen(x->argv), "argv", &ignored) : NULL;
	size_t n = json_array_size(words), kept = 0;
	char **list = mem_array(n + 1, sizeof(*list));
	struct buf key = BUF_INIT;

	for (size_t i = 0; i < n; i++) {
		bool took_next = false;
		char *option = option_of(json_string_value(json_array_get(words, i)),
		                         json_string_value(json_array_get(words, i + 1)), &took_next, recipe,
		                         over);
		if (option)
			list[kept++] = option;
		i += took_next;
	}
	qsort(list, kept, sizeof(*list), by_text);
	for (size_t i = 0; i < kept; i++) {
		buf_addf(&key, "%s\n", list[i]);
		mem_free(list[i]);
	}
	mem_free(list);
	json_decref(words);
	return buf_detach(&key, NULL);
}

static const char *used(const struct entry *x, const char *role)
{
	for (size_t i = 0; i < x->n_uses; i++)
		if (!x->uses[i].out && !strcmp(x->uses[i].role, role))
			return x->uses[i].artefact.hash;
	return "";
}

static double number_in(const char *text, const char *key)
{
	struct err ignored = ERR_INIT;
	json_t *j = text ? jsonx_load(text, strlen(text), "entry", &ignored) : NULL;
	double x = json_is_number(json_object_get(j, key)) ? json_number_value(json_object_get(j, key)) : NAN;
	json_decref(j);
	return x;
}

/* How much a thing was learnt from. */
static double amount(const struct family *f, int64_t maker, enum learning_over over)
{
	const struct entry *made = &f->entries->items[maker], *began = &f->entries->items[family_began(f, maker)];
	if (over == OVER_LABELS)
		return number_in(began->prediction, "documents");
	return number_in(made->metrics, over == OVER_TOKENS ? "supervised_tokens" : "steps");
}

/* --- errors --- */

/* Error of a thing by its newest evaluation on these rows; false: there is none. */
static bool error_of(const struct family *f, int thing, const char *data, struct span *error)
{
	for (size_t i = f->entries->n; i-- > 0;) {
		const struct entry *x = &f->entries->items[i];
		struct err none = ERR_INIT;
		if (strcmp(x->command, "eval") || strcmp(x->status, "finished") || strcmp(used(x, "data"), data) ||
		    evidence_thing(f, x) != thing)
			continue;
		json_t *j = ledger_view_metrics(x);
		bool there = summary_quality(error, j, "", &none) == 0;
		json_decref(j);
		*error = (struct span){ 1 - error->mid, 1 - error->high, 1 - error->low };
		if (there)
			return true;
	}
	return false;
}

struct search {
	const char *data, *model;
	const struct entry *began;
	char *key;
	const struct opt *recipe;
	enum learning_over over;
	enum cost_unit unit;
};

/* In the order of what was learnt from. */
static void add_point(struct learning *l, struct curve_point p, double cost)
{
	size_t i = l->n++;

	for (; i > 0 && l->points[i - 1].n > p.n; i--) {
		l->points[i] = l->points[i - 1];
		l->cost[i] = l->cost[i - 1];
	}
	l->points[i] = p;
	l->cost[i] = cost;
}

static void add(struct learning *l, int thing, const struct search *q)
{
	const struct family *f = &l->view.family;
	const struct family_member *m = &f->members[thing];
	const struct entry *began = m->maker < 0 ? NULL : &f->entries->items[family_began(f, m->maker)];
	struct span error;

	if (!began || strcmp(began->command, "tune") || !error_of(f, thing, q->data, &error))
		return;
	char *key = recipe_key(began, q->recipe, q->over);
	double n = amount(f, m->maker, q->over), cost = cost_of(&m->own, q->unit);
	bool mine = !strcmp(key, q->key) && !strcmp(used(began, "model"), q->model) && n > 0;
	mem_free(key);
	if (mine && l->n < POINTS)
		add_point(l, (struct curve_point){ n, error.mid, span_sigma(error) },
		          evidence_same_way(began, q->began) ? cost : NAN);
	else if (!mine && l->n_others < POINTS && cost > 0)
		l->others[l->n_others++] = (struct elsewhere){ m->artefact.name ? m->artefact.name : m->artefact.hash,
			                                       f->entries->items[m->maker].id, error, cost };
}

static int is_of_tune(const struct family *f, int thing, const char *what, const struct entry **began, struct err *e)
{
	int64_t maker = f->members[thing].maker;

	*began = maker < 0 ? NULL : &f->entries->items[family_began(f, maker)];
	if (!*began || strcmp((*began)->command, "tune"))
		return err_set(e, "%s: no tune of the ledger made it, so there is no learning curve of it", what);
	return 0;
}

static int find(struct learning *l, const char *what, struct search *q, struct err *e)
{
	struct family *f = &l->view.family;
	const struct entry *began;
	struct evidence v;

	if (evidence_find(&v, f, l->view.ledger, what, NULL, e) < 0 || is_of_tune(f, v.thing, what, &began, e) < 0)
		return -1;
	if (v.n_runs == 0 && !q->data)
		return err_set(e,
		               "%s: no eval of the ledger used it; kungfu eval MODEL --adapter DIR --data FILE tells "
		               "its error",
		               what);
	q->data = q->data ? q->data : used(&f->entries->items[v.runs[v.n_runs - 1]], "data");
	q->model = used(began, "model");
	q->began = began;
	q->key = recipe_key(began, q->recipe, q->over);
	int data = family_find(f, q->data), model = family_find(f, q->model);
	l->data = data >= 0 && f->members[data].artefact.name ? f->members[data].artefact.name : q->data;
	if (model < 0 || !error_of(f, model, q->data, &l->before))
		l->before = span_exact(NAN);
	return 0;
}

int learning_read(struct learning *l, const char *ledger, const struct opt *recipe, const char *what,
                  const char *data, enum learning_over over, enum cost_unit unit, struct err *e)
{
	struct search q = { .data = data, .recipe = recipe, .over = over, .unit = unit };
	int status = ledger_view_open(&l->view, ledger, e);

	if (!status)
		status = find(l, what, &q, e);
	for (int i = 0; i < (int)l->view.family.n && !status; i++)
		add(l, i, &q);
	mem_free(q.key);
	if (!status && l->n < 3 && !*l->data)
		status = err_set(e,
		                 "%s: nothing in the ledger says which rows it was evaluated on; kungfu eval on a file "
		                 "of rows does",
		                 what);
	else if (!status && l->n < 3)
		status = err_set(e,
		                 "%s: the ledger has %zu run%s of this recipe that %s evaluated on %s; tune and eval "
		                 "it on at least three nested subsets of the rows",
		                 what, l->n, l->n == 1 ? "" : "s", l->n == 1 ? "was" : "were", l->data);
	return status;
}

double learning_cost_of_one(const struct learning *l)
{
	double n = 0, x = 0, y = 0, xx = 0, xy = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (isnan(l->cost[i]))
			continue;
		n++;
		x += l->points[i].n;
		y += l->cost[i];
	}
	for (size_t i = 0; i < l->n; i++) {
		if (isnan(l->cost[i]))
			continue;
		xx += (l->points[i].n - x / n) * (l->points[i].n - x / n);
		xy += (l->points[i].n - x / n) * (l->cost[i] - y / n);
	}
	return xx > 0 ? fmax(0, xy / xx) : NAN;
}

const struct elsewhere *learning_best(const struct learning *l, double gas, struct span *bought)
{
	const struct elsewhere *best = NULL;

	for (size_t i = 0; i < l->n_others; i++) {
		struct span b = opportunity(l->before, l->others[i].error, l->others[i].cost, gas);
		if (!isnan(b.mid) && (!best || b.mid > bought->mid)) {
			best = &l->others[i];
			*bought = b;
		}
	}
	return best;
}

void learning_release(struct learning *l) { ledger_view_close(&l->view); }

int learning_origin(struct learning_origin *r, const char *ledger, const struct opt *recipe, const char *what,
                    struct err *e)
{
	struct ledger_view view = { 0 };
	const struct entry *began;
	int status = ledger_view_open(&view, ledger, e);
	int thing = status ? -1 : evidence_artefact(&view.family, view.ledger, what, e);

	status = thing < 0 ? -1 : is_of_tune(&view.family, thing, what, &began, e);
	if (!status) {
		r->directory = began->directory ? mem_strdup(began->directory) : NULL;
		r->options = recipe_key(began, recipe, OVER_LABELS);
	}
	ledger_view_close(&view);
	return status;
}

void learning_origin_release(struct learning_origin *r)
{
	mem_free(r->directory);
	mem_free(r->options);
}
