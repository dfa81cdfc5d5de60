/* api_labeller: kf_labeller: what kungfu adapt or kungfu probe left where a label answers (learn/learner.h), with the
 * model whose states it reads, if it reads any; of a cascade both ways where both say labels. */
#include <string.h>

#include "api/handles.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "data/chat.h"
#include "data/shape.h"
#include "infer/labeller.h"
#include "ladder/adapted.h"
#include "learn/answers.h"
#include "learn/frozen.h"

enum { WAYS = 2, MICRO_BATCH_TOKENS = 1024 };

struct label_way {
	struct learner learner;
	double least; /* it must be so sure */
	struct model model;
	struct adapter adapter;
	struct template *chat;
	struct frozen_options how;
	bool has_model, has_adapter;
};

struct kf_labeller {
	struct handle handle;
	char *path;
	struct label_way way[WAYS];
	size_t n;
	struct pool *pool;
	struct device device;
};

/* --- opening --- */

static int open_states(struct label_way *w, const char *model, const char *adapter, struct err *e)
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

static int open_way(struct kf_labeller *l, const char *dir, double least, struct err *e)
{
	struct label_way *w = &l->way[l->n++];
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

static int open_ways(struct kf_labeller *l, const char *path, struct err *e)
{
	char *alone = adapted_learner(path), *rest = NULL;
	double least = 0;
	char *first = alone ? NULL : adapted_first(path, &least, &rest);
	int status = alone  ? open_way(l, alone, 0, e) :
	             !first ? err_set(e,
	                              "%s says no labels: it is neither a folder of kungfu probe nor one that kungfu "
	                              "adapt left where words or states answer",
	                              path) :
	                      open_way(l, first, least, e);

	if (status == 0 && rest)
		status = open_way(l, rest, 0, e);
	mem_free(alone);
	mem_free(first);
	mem_free(rest);
	return status;
}

int kf_labeller_open(struct kf_labeller **out, const char *path, const struct kf_settings *settings,
                     struct kf_error *error)
{
	struct call c;

	if (out)
		*out = NULL;
	if (call_open(&c, settings, error) < 0)
		return KF_MISUSE;
	if (!out || !is_path(path))
		return call_misuse(&c, "%s was wanted, found %s",
		                   out ? "the path of a folder" : "a place for the labeller",
		                   out && path ? path : "NULL");
	const struct kernels *k = kernels_get(NULL, &c.err);
	if (!k)
		return call_end(&c, -1);
	struct kf_labeller *l = mem_alloc(sizeof(*l));
	handle_init(&l->handle, KIND_LABELLER, &c);
	l->path = mem_strdup(path);
	l->pool = handle_pool(&l->handle);
	l->device = device_cpu(k, l->pool);
	if (open_ways(l, path, &c.err) < 0) {
		kf_labeller_free(l);
		return call_end(&c, -1);
	}
	*out = l;
	return call_end(&c, 0);
}

void kf_labeller_free(struct kf_labeller *l)
{
	if (!handle_is(l, KIND_LABELLER) || handle_defer(l))
		return;
	l->handle.kind = KIND_NONE;
	for (size_t i = 0; i < l->n; i++) {
		struct label_way *w = &l->way[i];
		template_free(w->chat);
		if (w->has_adapter)
			adapter_release(&w->adapter);
		if (w->has_model)
			model_close(&w->model);
		learner_release(&w->learner);
	}
	pool_free(l->pool);
	mem_free(l->path);
	mem_free(l);
}

size_t kf_labeller_count(const struct kf_labeller *l)
{
	return handle_is(l, KIND_LABELLER) ? (size_t)l->way[0].learner.labels.n : 0;
}

const char *kf_labeller_name(const struct kf_labeller *l, size_t i)
{
	return i < kf_labeller_count(l) ? l->way[0].learner.labels.name[i] : NULL;
}

/* --- saying --- */

/* What a way reads of the row, if it reads states: mem_free. */
static int read_states(struct kf_labeller *l, struct label_way *w, const struct rows *r, struct examples *x,
                       float **states, struct err *e)
{
	struct frozen f;

	if (!w->has_model)
		return 0;
	if (frozen_open(&f, &w->model, w->has_adapter ? &w->adapter.overlay : NULL, w->chat, &l->device, r, &w->how,
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
static int say_one(struct kf_labeller *l, struct label_way *w, const struct rows *r, int32_t *label, double *sure,
                   double *chances, struct err *e)
{
	struct workshop on = { l->device.kernels, l->device.pool };
	const struct labels *own = &w->learner.labels, *all = &l->way[0].learner.labels;
	struct answers asked = { 0 };
	float *z = mem_array((size_t)own->n, sizeof(*z)), *states = NULL;
	double *p = mem_array((size_t)own->n, sizeof(*p));
	int status = answers_ask(&asked, r, e);

	if (status == 0)
		status = read_states(l, w, r, &asked.rows, &states, e);
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

static int say(struct kf_labeller *l, const char *text, size_t n, int32_t *label, double *chances, struct err *e)
{
	json_t *json = adapted_row(l->path, text, n);
	struct row row = { json, "text", 1 };
	struct rows rows = { .items = &row, .n = 1, .shape = shape_of(json) };
	double sure = 0;
	int status = 0;
	size_t i = 0;

	do
		status = say_one(l, &l->way[i], &rows, label, &sure, chances, e);
	while (status == 0 && sure < l->way[i].least && ++i < l->n);
	if (status == 0 && i == l->n)
		*label = -1;
	json_decref(json);
	return status;
}

int kf_labeller_say(struct kf_labeller *l, const char *text, size_t length, int32_t *label, double *chances,
                    struct kf_error *error)
{
	struct call c;
	int32_t said = -1;

	if (call_begin(&c, l, KIND_LABELLER, error) < 0)
		return KF_MISUSE;
	if (!text || !label || !utf8_valid(text, length, NULL))
		return call_misuse(&c, "%s was wanted",
		                   text && label ? "a text in UTF-8" : "a text and a place for its label");
	int status = say(l, text, length, &said, chances, &c.err);
	if (status == 0)
		*label = said;
	return call_end(&c, status);
}
