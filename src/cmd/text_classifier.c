/* text_classifier: texts are rows of {text}, which a probe asks as any rows; of a model they are documents as classify
 * makes them. What is too long for the model loses its end. */
#include "cmd/text_classifier.h"

#include <string.h>

#include "base/mem.h"
#include "cmd/model_common.h"
#include "cmd/probing.h"
#include "data/enclosed.h"
#include "data/shape.h"
#include "infer/labeller.h"
#include "ladder/adapted.h"

enum { MICRO_BATCH = 2048, AROUND = 16 /* tokens that may stand around a text's */ };

struct text_judge {
	struct text_classifier c;
	struct app own, *app;          /* with the device that it computes on */
	bool is_probe;
	struct probing probe;
	struct loaded l;
	int label;
};

static const struct labels *labels_of(const struct text_judge *j)
{
	return j->is_probe ? &j->probe.learner.labels : j->l.model.labels;
}

static int find_label(const struct labels *l, const char *name, const char *model, struct err *e)
{
	struct buf names = BUF_INIT;

	for (int i = 0; i < l->n; i++) {
		if (!strcmp(l->name[i], name)) {
			buf_release(&names);
			return i;
		}
		buf_addf(&names, "%s%s", i ? ", " : "", l->name[i]);
	}
	err_set(e, "%s has no label %s: it has %.200s", model, name, buf_str(&names));
	buf_release(&names);
	return -1;
}

/* z: [n][labels] → p. */
static void take(const struct text_judge *j, const float *z, size_t n, double *p)
{
	const struct labels *l = labels_of(j);
	double *chance = mem_array((size_t)l->n, sizeof(*chance));

	for (size_t i = 0; i < n; i++) {
		labels_probabilities(l, z + i * (size_t)l->n, chance);
		p[i] = chance[j->label];
	}
	mem_free(chance);
}

/* --- a folder of probe --- */

static int by_probe(struct text_judge *j, const char *const *text, size_t n, float *z, struct err *e)
{
	struct rows r = { .items = mem_array(n, sizeof(struct row)), .n = n };
	struct answers asked = { 0 };

	for (size_t i = 0; i < n; i++)
		r.items[i] = (struct row){ json_pack("{s:s}", "text", text[i]), "answers", i + 1 };
	r.shape = shape_of(r.items[0].json);
	int status = answers_ask(&asked, &r, e);
	if (status == 0)
		status = probing_rows(&j->probe, j->app, &r, MICRO_BATCH, e);
	if (status == 0)
		status = probing_outputs(&j->probe, j->app, &asked.rows, z, e);
	answers_release(&asked);
	rows_release(&r);
	return status;
}

/* --- a model --- */

static int encode(const struct model *m, const char *text, struct arena *mem, struct document *d, struct err *e)
{
	struct enclosed x = { .text = text, .n = strlen(text) };
	int status = enclose(&x, m->tokenizer, (size_t)m->config.n_ctx, e);

	*d = (struct document){ .choice = -1, .adapter = -1 };
	if (status == 0)
		enclosed_document(d, mem, &x, m->config.arch->encoder);
	tokens_release(&x.ids);
	return status;
}

static int by_model(struct text_judge *j, const char *const *text, size_t n, float *z, struct err *e)
{
	struct loaded *l = &j->l;
	struct arena mem = ARENA_INIT;
	struct document *docs = mem_array(n, sizeof(*docs));
	const struct document **list = mem_array(n, sizeof(*list));
	struct labeller *labeller = NULL;
	int32_t longest = 1;
	int status = 0;

	for (size_t i = 0; i < n && status == 0; i++) {
		status = encode(&l->model, text[i], &mem, &docs[i], e);
		longest = MAX(longest, docs[i].n);
		list[i] = &docs[i];
	}
	if (status == 0)
		status = labeller_new(&labeller, &l->model, loaded_overlay(l), j->app->device, MICRO_BATCH, longest, e);
	if (status == 0)
		status = labeller_run(labeller, list, n, z, NULL, NULL, e);
	labeller_free(labeller);
	mem_free(docs);
	mem_free(list);
	arena_release(&mem);
	return status;
}

static int open_model(struct text_judge *j, struct err *e)
{
	struct loaded *l = &j->l;

	if (loaded_open_named(l, j->c.model, e) < 0)
		return -1;
	int status = l->model.labels ? 0 : err_set(e, "%s: a model without a head that classifies", j->c.model);
	if (status == 0)
		status = model_compute(j->app, &l->model, j->c.compute, PREPARE_SCORE, e);
	if (status == 0)
		status = model_tokenizer_whole(&l->model, e);
	if (status < 0)
		loaded_close(l);
	return status;
}

/* --- both --- */

int text_judge_open(struct text_judge **out, struct app *app, const struct text_classifier *c, struct device *device,
                    struct err *e)
{
	struct text_judge *j = mem_alloc(sizeof(*j));
	char *learner = adapted_learner(c->model);

	*j = (struct text_judge){ .c = *c, .own = *app, .app = &j->own, .is_probe = learner != NULL };
	if (device)
		j->own.device = device;
	int status = learner ? probing_open(&j->probe, j->app, learner, c->compute, e) : open_model(j, e);
	if (status < 0 && learner)
		probing_close(&j->probe);
	mem_free(learner);
	if (status < 0) {
		mem_free(j);
		return -1;
	}
	if ((j->label = find_label(labels_of(j), c->label, c->model, e)) < 0) {
		text_judge_close(j);
		return -1;
	}
	*out = j;
	return 0;
}

int text_judge_run(struct text_judge *j, const char *const *text, size_t n, double *p, struct err *e)
{
	float *z = mem_array(n * (size_t)labels_of(j)->n + 1, sizeof(*z));
	int status = !n ? 0 : j->is_probe ? by_probe(j, text, n, z, e) : by_model(j, text, n, z, e);

	if (status == 0)
		take(j, z, n, p);
	mem_free(z);
	return status;
}

size_t text_judge_bytes(const struct text_judge *j)
{
	int32_t most = j->is_probe ? (j->probe.has_model ? j->probe.how.max_length : 0) : j->l.model.config.n_ctx;

	return most > 0 ? (size_t)MAX(most - AROUND, 1) : 0;
}

void text_judge_close(struct text_judge *j)
{
	if (!j)
		return;
	if (j->is_probe)
		probing_close(&j->probe);
	else
		loaded_close(&j->l);
	mem_free(j);
}

int classify_texts(struct app *app, const struct text_classifier *c, const char *const *text, size_t n, double *p,
                   struct err *e)
{
	struct text_judge *j;

	if (text_judge_open(&j, app, c, NULL, e) < 0)
		return -1;
	int status = text_judge_run(j, text, n, p, e);
	text_judge_close(j);
	return status;
}
