/* sayer: a learner is asked by a row of the kind that was learnt from; one that reads states has them of its own model,
 * a row at a time. Plans, many rows and progress are cmd/probing.h's. */
#include "ladder/sayer.h"

#include <string.h>

#include "base/mem.h"
#include "data/chat.h"
#include "data/shape.h"
#include "infer/labeller.h"
#include "ladder/adapted.h"
#include "learn/answers.h"

enum { MICRO_BATCH_TOKENS = 1024 };

/* --- opening --- */

static int open_states(struct sayer_way *w, const char *model, const char *adapter, struct err *e)
{
	if (model_open(&w->model, model, e) < 0)
		return -1;
	w->has_model = true;
	if (adapter && adapter_load(&w->adapter, adapter, &w->model, e) < 0)
		return -1;
	w->has_adapter = adapter != NULL;
	w->how.micro_batch_tokens = MICRO_BATCH_TOKENS;
	int32_t most = overlays_context(w->has_adapter ? &w->adapter.overlay : NULL, &w->model);
	w->how.max_length = w->how.max_length > 0 ? MIN(w->how.max_length, most) : most;
	if (model_tokenizer(&w->model, e) < 0)
		return -1;
	return chat_template(&w->chat, w->model.tokenizer, e) < 0 ? err_prefix(e, "%s: its chat template", model) : 0;
}

static int open_way(struct sayer *s, const char *dir, double least, struct err *e)
{
	struct sayer_way *w = &s->way[s->n++];
	const char *model, *adapter;
	json_t *facts = NULL;
	int status = learner_load(&w->learner, dir, &facts, e);

	w->least = least;
	if (status == 0 && w->learner.labels.problem == PROBLEM_REGRESSION)
		status = err_set(e, "%s says numbers, not labels: kungfu classify has them", dir);
	if (status == 0 && learner_reads_features(w->learner.kind))
		status = frozen_facts(&w->how, facts, dir, &w->learner.layer, &model, &adapter, e) < 0 ?
		                 -1 :
		                 open_states(w, model, adapter, e);
	json_decref(facts);
	return status;
}

static int open_ways(struct sayer *s, const char *path, struct err *e)
{
	char *alone = adapted_learner(path), *rest = NULL;
	double least = 0;
	char *first = alone ? NULL : adapted_first(path, &least, &rest);
	int status = alone  ? open_way(s, alone, 0, e) :
	             !first ? err_set(e,
	                              "%s says no labels: it is neither a folder of kungfu probe nor one that kungfu "
	                              "adapt left where words or states answer",
	                              path) :
	                      open_way(s, first, least, e);

	if (status == 0 && rest)
		status = open_way(s, rest, 0, e);
	mem_free(alone);
	mem_free(first);
	mem_free(rest);
	return status;
}

int sayer_open(struct sayer *s, const char *path, struct device *d, struct err *e)
{
	*s = (struct sayer){ .path = mem_strdup(path), .device = d };
	return open_ways(s, path, e);
}

void sayer_close(struct sayer *s)
{
	for (size_t i = 0; i < s->n; i++) {
		struct sayer_way *w = &s->way[i];
		template_free(w->chat);
		if (w->has_adapter)
			adapter_release(&w->adapter);
		if (w->has_model)
			model_close(&w->model);
		learner_release(&w->learner);
	}
	mem_free(s->path);
	*s = (struct sayer){ 0 };
}

/* --- saying --- */

/* What a way reads of the row, if it reads states: mem_free. */
static int read_states(struct sayer *s, struct sayer_way *w, const struct rows *r, struct examples *x,
                       float **states, struct err *e)
{
	struct frozen f;

	if (!w->has_model)
		return 0;
	if (frozen_open(&f, &w->model, w->has_adapter ? &w->adapter.overlay : NULL, w->chat, s->device, r, &w->how,
	                e) < 0)
		return -1;
	*states = mem_array((size_t)w->model.config.C, sizeof(**states));
	int status = frozen_run(&f, *states, NULL, NULL, e);
	frozen_close(&f);
	x->feature = *states;
	x->n_layers = 1;
	x->layer = &w->learner.layer;
	x->width = (size_t)w->model.config.C;
	return status;
}

/* The way's label among the first one's, and how likely each of these is. */
static int say_one(struct sayer *s, struct sayer_way *w, const struct rows *r, int32_t *label, double *sure,
                   double *chances, struct err *e)
{
	struct workshop on = { s->device->kernels, s->device->pool };
	const struct labels *own = &w->learner.labels, *all = &s->way[0].learner.labels;
	struct answers asked = { 0 };
	float *z = mem_array((size_t)own->n, sizeof(*z)), *states = NULL;
	double *p = mem_array((size_t)own->n, sizeof(*p));
	int status = answers_ask(&asked, r, e);

	if (status == 0)
		status = read_states(s, w, r, &asked.rows, &states, e);
	if (status == 0)
		status = learner_outputs(&w->learner, &asked.rows, &on, z, e);
	if (status == 0) {
		labels_probabilities(own, z, p);
		int best = labels_largest(own, z);
		*label = labels_find(all, own->name[best]);
		*sure = p[best];
		for (int i = 0; chances && i < all->n; i++) {
			int k = labels_find(own, all->name[i]);
			chances[i] = k < 0 ? 0 : p[k];
		}
	}
	answers_release(&asked);
	mem_free(states);
	mem_free(p);
	mem_free(z);
	return status;
}

int sayer_say(struct sayer *s, const char *text, size_t n, int32_t *label, double *sure, double *chances,
              struct err *e)
{
	json_t *json = adapted_row(s->path, text, n);
	struct row row = { json, "text", 1 };
	struct rows rows = { .items = &row, .n = 1, .shape = shape_of(json) };
	int status = 0;
	size_t i = 0;

	*sure = 0;
	do
		status = say_one(s, &s->way[i], &rows, label, sure, chances, e);
	while (status == 0 && *sure < s->way[i].least && ++i < s->n);
	if (status == 0 && i == s->n)
		*label = -1;
	json_decref(json);
	return status;
}
