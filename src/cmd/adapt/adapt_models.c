/* adapt_models: which models were given, and which ways there are of each.
 *
 * With one model a way is called as its rung ("lora"); with several every way that stands on a model names it
 * ("lora@SmolLM2-135M"), by its file's name without .gguf. A way that stands on none is there once. */
#include "cmd/adapt/adapt_parts.h"

#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "ladder/learnt.h"

enum { RUNGS_MOST = 64, LABEL_MOST = 48, COMPARED_ROWS = 50, NAME_WIDTH = 12 };

/* --- models --- */

/* What folders and tables may hold of a path's last part. */
static char *label_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *label = mem_strndup(slash ? slash + 1 : path, LABEL_MOST);
	size_t n = strlen(label);

	if (n > 5 && !strcmp(label + n - 5, ".gguf"))
		label[n - 5] = 0;
	for (char *at = label; *at; at++)
		if (!isalnum((unsigned char)*at) && !strchr("._-", *at))
			*at = '_';
	return label;
}

static bool is_taken(const struct adapt *a, const char *label)
{
	for (size_t i = 0; i < a->n_models; i++)
		if (!strcmp(a->models[i].label, label))
			return true;
	return false;
}

int adapt_give_model(struct adapt *a, const char *path, struct err *e)
{
	struct given *g = &a->models[a->n_models];
	char whole[PATH_MAX], *label;

	path = realpath(path, whole) ? whole : path;
	for (size_t i = 0; i < a->n_models; i++)
		if (!strcmp(a->models[i].path, path))
			return err_set(e, "%s is given twice", path);
	if (a->n_models == MODELS_MOST)
		return err_set(e, "at most %d models are compared at once", MODELS_MOST);
	label = label_of(path);
	for (int k = 2; is_taken(a, label); k++) {
		mem_free(label);
		char *plain = label_of(path);
		label = mem_printf("%s-%d", plain, k);
		mem_free(plain);
	}
	*g = (struct given){ .path = mem_strdup(path), .label = label, .count = NAN };
	g->base.path = g->path;
	a->n_models++;
	return 0;
}

/* Ways that answer without a model would not notice that it is not there. */
int adapt_open_models(struct adapt *a, struct err *e)
{
	for (size_t i = 0; i < a->n_models; i++) {
		struct given *g = &a->models[i];
		struct model m;
		if ((a->n_models == 1 ? model_open_facts : model_open)(&m, g->path, e) < 0)
			return -1;
		g->encoder = m.config.arch->encoder;
		g->count = a->n_models == 1 ? NAN : (double)model_count(&m);
		model_close(&m);
		metering_in("model", g->path, NULL);
	}
	return 0;
}

void adapt_close_models(struct adapt *a)
{
	for (size_t i = 0; i < a->n_models; i++) {
		learnt_release(&a->models[i].base);
		mem_free(a->models[i].path);
		mem_free(a->models[i].label);
	}
}

void adapt_read_notes(struct adapt *a)
{
	a->notes = json_object_get(a->state, "notes");
	if (!a->notes) {
		a->notes = json_object();
		json_object_set_new(a->state, "notes", a->notes);
	}
	a->models[0].base.notes = a->notes;
	for (size_t i = 1; i < a->n_models; i++) {
		char *key = mem_printf("@%s", a->models[i].label);
		json_t *own = json_object_get(a->notes, key);
		if (!own) {
			own = json_object();
			json_object_set_new(a->notes, key, own);
		}
		a->models[i].base.notes = own;
		mem_free(key);
	}
}

/* Tokens of the first rows' questions and answers; -1: they cannot be read. */
static int64_t count_tokens(const struct adapt *a, const char *path, struct err *e)
{
	struct model m;
	int64_t n = 0;

	if (model_open_facts(&m, path, e) < 0)
		return -1;
	int status = model_tokenizer(&m, e);
	for (size_t i = 0; i < MIN(a->task.n, (size_t)COMPARED_ROWS) && status == 0; i++) {
		const char *texts[] = { a->task.rows[i].text, a->task.rows[i].answer };
		for (int k = 0; k < 2 && status == 0 && texts[k]; k++) {
			struct tokens ids = { 0 };
			status = tokenizer_encode(m.tokenizer, texts[k], strlen(texts[k]), 0, &ids, e);
			n += (int64_t)ids.n;
			tokens_release(&ids);
		}
	}
	model_close(&m);
	return status < 0 ? -1 : n;
}

int adapt_compare_tokens(struct adapt *a, struct err *e)
{
	int64_t first = -1;
	bool wanted = false;

	for (size_t k = 0; k < a->goal.n; k++)
		wanted |= a->goal.term[k].what == MEASURE_PERPLEXITY;
	for (size_t i = 0; wanted && a->n_models > 1 && i < a->n_models; i++) {
		int64_t n = a->models[i].encoder ? first : count_tokens(a, a->models[i].path, e);
		if (n < 0 && !a->models[i].encoder)
			return -1;
		if (first >= 0 && n != first)
			return err_set(
				e,
				"--goal: perplexity is of a model's own tokens, and %s and %s part these rows into "
				"other ones: give one of them, or another goal",
				a->models[0].label, a->models[i].label);
		first = n;
	}
	return 0;
}

/* --- ways --- */

static bool is_listed(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *at = list; at && *at; at += strcspn(at, ","), at += *at == ',')
		if (strcspn(at, ",") == n && !strncmp(at, name, n))
			return true;
	return false;
}

static bool is_way(const struct adapt *a, const char *name)
{
	const struct rung *r = rung_of_way(name);
	const char *label = strchr(name, '@');
	bool known = r && !r->earlier && !label;

	for (size_t i = 0; r && label && !r->no_model && !r->combines && i < a->n_models; i++)
		known |= a->n_models > 1 && !strcmp(a->models[i].label, label + 1);
	return known;
}

static void refuse_way(const struct adapt *a, const char *name, struct err *e)
{
	struct buf all = BUF_INIT;

	for (size_t i = 0; rung_table[i]; i++)
		if (!rung_table[i]->earlier)
			buf_addf(&all, "%s%s", all.len ? ", " : "", rung_table[i]->name);
	if (a->n_models > 1)
		buf_addf(&all, ", of all models or of one, as lora@%s", a->models[0].label);
	err_set(e, "--rungs: there is no way '%.60s'; there are %s", name, buf_str(&all));
	buf_release(&all);
}

int adapt_check_rungs(const struct adapt *a, struct err *e)
{
	const char *list = a->o.rungs;

	for (const char *at = list; at && *at; at += strcspn(at, ","), at += *at == ',') {
		char *name = mem_strndup(at, strcspn(at, ","));
		bool known = is_way(a, name);
		if (!known)
			refuse_way(a, name, e);
		mem_free(name);
		if (!known)
			return -1;
	}
	return 0;
}

/* By their place in tables; their number. */
static size_t sorted_rungs(const struct rung *out[RUNGS_MOST])
{
	size_t n = 0;

	for (size_t i = 0; rung_table[i]; i++) {
		size_t at = n++;
		if (n > RUNGS_MOST)
			BUG("more than %d rungs", RUNGS_MOST);
		for (; at > 0 && out[at - 1]->order > rung_table[i]->order; at--)
			out[at] = out[at - 1];
		out[at] = rung_table[i];
	}
	return n;
}

static void put_way(struct adapt *a, const struct rung *r, struct given *on, char *name)
{
	a->ways[a->climb.n] = (struct way){ .rung = r, .name = name, .on = on };
	a->climb.ways[a->climb.n++] = (struct climb_way){ .name = name, .costs_met = true, .apart = r->combines };
	a->name_width = MAX(a->name_width, (int)strlen(name));
	a->at_work = a->winner = a->climb.n;
}

static char *way_name(const struct adapt *a, const struct rung *r, const struct given *on)
{
	return on && a->n_models > 1 ? mem_printf("%s@%s", r->name, on->label) : mem_strdup(r->name);
}

static void add_way(struct adapt *a, const struct rung *r, struct given *on)
{
	char *name = way_name(a, r, on);

	bool listed = is_listed(a->o.rungs, r->name) || is_listed(a->o.rungs, name);
	if (a->o.rungs ? !listed : r->reads && !sources_wanted(&a->o.documents)) {
		mem_free(name);
		return;
	}
	put_way(a, r, on, name);
}

size_t adapt_add_kept(struct adapt *a, const char *way)
{
	const struct rung *r = rung_find("kept");
	const char *label = strchr(way, '@');
	struct given *on = &a->models[0];

	for (size_t i = 0; label && i < a->n_models; i++)
		if (!strcmp(a->models[i].label, label + 1))
			on = &a->models[i];
	put_way(a, r, on, way_name(a, r, on));
	return a->climb.n - 1;
}

/* Those without a model, then model by model, then what is put together of others. */
void adapt_make_ways(struct adapt *a)
{
	const struct rung *sorted[RUNGS_MOST];
	size_t n = sorted_rungs(sorted), most = n * a->n_models;

	a->ways = mem_array(most, sizeof(*a->ways));
	a->climb.ways = mem_array(most, sizeof(*a->climb.ways));
	a->name_width = NAME_WIDTH;
	for (size_t i = 0; i < n; i++)
		if (sorted[i]->no_model)
			add_way(a, sorted[i], NULL);
	for (size_t k = 0; k < a->n_models; k++)
		for (size_t i = 0; i < n; i++)
			if (!sorted[i]->no_model && !sorted[i]->combines && !sorted[i]->earlier)
				add_way(a, sorted[i], &a->models[k]);
	for (size_t i = 0; i < n; i++)
		if (sorted[i]->combines)
			add_way(a, sorted[i], NULL);
	a->climb.uses = a->o.uses;
	a->climb.least_gain = 0.01;
}

void adapt_free_ways(struct adapt *a)
{
	for (size_t i = 0; i < a->climb.n; i++) {
		mem_free(a->ways[i].out);
		mem_free(a->ways[i].name);
	}
	mem_free(a->ways);
	mem_free(a->climb.ways);
}

void adapt_list_rungs(void)
{
	const struct rung *sorted[RUNGS_MOST];
	size_t n = sorted_rungs(sorted);

	for (size_t i = 0; i < n; i++)
		app_print("  %-12s %s\n", sorted[i]->name, sorted[i]->summary);
}

const char *adapt_model_of(const struct adapt *a, size_t i)
{
	return a->ways[i].on ? a->ways[i].on->path : a->models[0].path;
}

void adapt_stand_on(struct adapt *a, size_t i)
{
	a->ladder.on = a->ways[i].on ? &a->ways[i].on->base : &a->models[0].base;
}
