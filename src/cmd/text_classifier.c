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

enum { MICRO_BATCH = 2048 };

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
static int take(const struct text_classifier *c, const struct labels *l, const float *z, size_t n, double *p,
                struct err *e)
{
	int at = find_label(l, c->label, c->model, e);
	double *chance = mem_array((size_t)l->n, sizeof(*chance));

	for (size_t i = 0; i < n && at >= 0; i++) {
		labels_probabilities(l, z + i * (size_t)l->n, chance);
		p[i] = chance[at];
	}
	mem_free(chance);
	return at < 0 ? -1 : 0;
}

/* --- a folder of probe --- */

static int by_probe(struct app *app, const struct text_classifier *c, const char *dir, const char *const *text,
                    size_t n, double *p, struct err *e)
{
	struct rows r = { .items = mem_array(n, sizeof(struct row)), .n = n };
	struct answers asked = { 0 };
	struct probing x;

	for (size_t i = 0; i < n; i++)
		r.items[i] = (struct row){ json_pack("{s:s}", "text", text[i]), "answers", i + 1 };
	r.shape = shape_of(r.items[0].json);
	int status = probing_open(&x, app, dir, c->compute, e);
	if (status == 0)
		status = answers_ask(&asked, &r, e);
	if (status == 0)
		status = probing_rows(&x, app, &r, MICRO_BATCH, e);
	if (status == 0) {
		float *z = mem_array(n * (size_t)x.learner.labels.n, sizeof(*z));
		status = probing_outputs(&x, app, &asked.rows, z, e);
		if (status == 0)
			status = take(c, &x.learner.labels, z, n, p, e);
		mem_free(z);
	}
	answers_release(&asked);
	probing_close(&x);
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

static int label_all(struct app *app, struct loaded *l, const char *const *text, size_t n, float *z, struct err *e)
{
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
		status = labeller_new(&labeller, &l->model, loaded_overlay(l), app->device, MICRO_BATCH, longest, e);
	if (status == 0)
		status = labeller_run(labeller, list, n, z, NULL, NULL, e);
	labeller_free(labeller);
	mem_free(docs);
	mem_free(list);
	arena_release(&mem);
	return status;
}

static int by_model(struct app *app, const struct text_classifier *c, const char *const *text, size_t n, double *p,
                    struct err *e)
{
	struct loaded l;

	if (loaded_open(&l, c->model, NULL, e) < 0)
		return -1;
	int status = l.model.labels ? 0 : err_set(e, "%s: a model without a head that classifies", c->model);
	if (status == 0)
		status = model_compute(app, &l.model, c->compute, PREPARE_SCORE, e);
	if (status == 0)
		status = model_tokenizer_whole(&l.model, e);
	if (status == 0) {
		float *z = mem_array(n * (size_t)l.model.labels->n, sizeof(*z));
		status = label_all(app, &l, text, n, z, e);
		if (status == 0)
			status = take(c, l.model.labels, z, n, p, e);
		mem_free(z);
	}
	loaded_close(&l);
	return status;
}

int classify_texts(struct app *app, const struct text_classifier *c, const char *const *text, size_t n, double *p,
                   struct err *e)
{
	char *learner = adapted_learner(c->model);
	int status = !n ? 0 : learner ? by_probe(app, c, learner, text, n, p, e) : by_model(app, c, text, n, p, e);

	mem_free(learner);
	return status;
}
