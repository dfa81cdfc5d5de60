/* classifier: read, checked and made. See classifier.h. */
#include "model/classifier.h"

#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/text.h"
#include "model/weights.h"

#define SPREAD 0.02F            /* initializer_range */

static const char CLASS[] = "ForSequenceClassification";

/* --- names --- */

static const char *said_class(const struct model *m)
{
	const json_t *names = m->source.is_gguf ? NULL : json_object_get(m->source.config, "architectures");

	return json_string_value(json_array_get(names, 0));
}

/* LlamaForCausalLM, GPT2LMHeadModel, BertForMaskedLM, BertModel: letters before the head's part of the name. */
static size_t class_stem(const char *name)
{
	static const char *const ends[] = { "ForCausalLM", "LMHeadModel", "ForMaskedLM", "ForPreTraining",
		                            "ForSequenceClassification", "Model" };
	size_t stem = 0;

	for (size_t i = 0; i < ARRAY_LEN(ends) && !stem; i++)
		stem = text_stem(name, ends[i]);
	return stem;
}

/* Encoders of several classes (XLMRobertaForMaskedLM, CamembertModel) share one file here: theirs is what they say. */
char *classifier_class(const struct model *m)
{
	const struct arch *a = m->config.arch;
	const char *own = a->encoder && said_class(m) ? said_class(m) : a->hf_class;

	if (a->hf_classifier)
		return a->hf_classifier[0] ? mem_printf("%s", a->hf_classifier) : NULL;
	if (!a->hf_types[0] || (a->encoder && !a->classify))
		return NULL;
	if (!class_stem(own))
		own = a->hf_class;
	return class_stem(own) ? mem_printf("%.*s%s", (int)class_stem(own), own, CLASS) : NULL;
}

/* --- read --- */

/* An encoder's file tells by its weights, unless it says that it is of another class. */
static bool may_classify(const struct model *m)
{
	const char *said = said_class(m);

	return said ? strstr(said, CLASS) != NULL : m->config.arch->encoder;
}

int classifier_read(struct model *m, const char *where, struct err *e)
{
	struct labels l;

	m->config.labels = m->config.arch->encoder ? 2 : 0;
	if (m->source.is_gguf || (!m->config.arch->encoder && !may_classify(m)))
		return 0;
	if (labels_read(&l, &m->mem, m->source.config, where, e) < 0)
		return -1;
	m->config.labels = l.n;
	return 0;
}

static unsigned parts_of(const struct arch *a) { return a->encoder ? a->classifier : WEIGHT_OF_CLASSIFIER; }

/* A row of its classifier that the model is without. */
static const struct weight_spec *missing_row(const struct model *m)
{
	const struct arch *a = m->config.arch;
	size_t dim[3];

	for (size_t i = 0; a->weights[i].hf; i++) {
		const struct weight_spec *s = &a->weights[i];
		if ((s->flags & parts_of(a)) && weight_dims(&m->config, s, dim) && model_weight(m, s->hf, -1) < 0)
			return s;
	}
	return NULL;
}

int classifier_open(struct model *m, const char *where, struct err *e)
{
	const struct arch *a = m->config.arch;
	bool some = model_has_part(m, WEIGHT_OF_CLASSIFIER);
	struct labels *l;

	if (!some || !may_classify(m) || (a->encoder && !a->classify))
		return 0;
	if (a->encoder && missing_row(m))
		return err_set(e, "%s: the model has a head that classifies and no %s, which belongs to it",
		               m->source.path, missing_row(m)->hf);
	l = arena_alloc(&m->mem, sizeof(*l));
	if (m->source.is_gguf)
		labels_make(l, &m->mem, m->config.labels, NULL, PROBLEM_SINGLE_LABEL);
	else if (labels_read(l, &m->mem, m->source.config, where, e) < 0)
		return -1;
	m->config.tied = false;
	m->labels = l;
	return 0;
}

/* --- made --- */

bool classifier_owns(const struct weight *w)
{
	return w->made || (w->spec->flags & WEIGHT_PARTS) == WEIGHT_OF_CLASSIFIER;
}

/* What the labels come out of: of no other labels. */
static bool is_last(const struct weight_spec *s)
{
	return strchr(s->shape, 'Y') != NULL;
}

/* Whether weight w is one of a model with these labels. */
static bool stays(const struct model *m, const struct weight *w)
{
	unsigned parts = w->spec->flags & WEIGHT_PARTS;

	if (w->spec->flags & WEIGHT_HEAD)
		return false;
	return !parts || ((parts & parts_of(m->config.arch)) && !is_last(w->spec));
}

static void drop_others(struct model *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_weights; i++)
		if (stays(m, &m->weights[i]))
			m->weights[n++] = m->weights[i];
		else
			weight_release(&m->weights[i]);
	m->n_weights = n;
}

static void begin(struct model *m, struct weight *w, uint64_t seed)
{
	struct rng_key key = { seed, RNG_INIT };
	size_t n = weight_numbers(w), site = (size_t)(w - m->weights);
	float *x = arena_alloc64(&m->mem, n * sizeof(*x));

	for (size_t i = 0; i < n; i++)
		x[i] = w->spec->flags & WEIGHT_NORM ? 1 :
		       w->n_dims < 2                ? 0 : SPREAD * rng_normal(key, i, (uint32_t)site, 1);
	w->dtype = DTYPE_F32;
	w->data = x;
	w->bytes = n * sizeof(*x);
	w->owned = w->made = true;
}

static void add_missing(struct model *m, const struct weight_spec *s, uint64_t seed)
{
	size_t dim[3];

	if (model_weight(m, s->hf, -1) >= 0 || !weight_dims(&m->config, s, dim))
		return;
	struct weight *w = &m->weights[m->n_weights];

	*w = (struct weight){ .spec = s, .layer = -1, .expert = -1, .name = weight_name(&m->mem, s->hf, -1, -1) };
	w->n_dims = weight_dims(&m->config, s, w->dim);
	begin(m, w, seed);
	m->n_weights++;
}

static void make_room(struct model *m, size_t more)
{
	struct weight *all = arena_array(&m->mem, m->n_weights + more, sizeof(*all));

	memcpy(all, m->weights, m->n_weights * sizeof(*all));
	m->weights = all;
}

static bool same_labels(const struct labels *a, const struct labels *b)
{
	bool same = a && a->n == b->n && a->problem == b->problem;

	for (int i = 0; same && i < a->n; i++)
		same = !strcmp(a->name[i], b->name[i]);
	return same;
}

static int check_makes(const struct model *m, struct err *e)
{
	char *name = classifier_class(m);

	mem_free(name);
	return name ? 0 : err_set(e, "transformers has no %s with a head that classifies", m->config.arch->name);
}

int classifier_make(struct model *m, const struct labels *l, uint64_t seed, struct err *e)
{
	const struct arch *a = m->config.arch;
	struct labels *own;
	size_t rows = 0;

	if (same_labels(m->labels, l))
		return 0;
	if (check_makes(m, e) < 0)
		return -1;
	if (m->prepared_bytes)
		BUG("a prepared model becomes one that classifies");
	own = arena_alloc(&m->mem, sizeof(*own));
	labels_make(own, &m->mem, l->n, l->name, l->problem);
	m->labels = own;
	m->config.labels = l->n;
	m->config.tied = false;
	drop_others(m);
	while (a->weights[rows].hf)
		rows++;
	make_room(m, rows + 1);
	for (size_t i = 0; i < rows && a->encoder; i++)
		if (a->weights[i].flags & parts_of(a))
			add_missing(m, &a->weights[i], seed);
	if (!a->encoder)
		add_missing(m, weight_spec(a, "score.weight"), seed);
	return 0;
}

bool classifier_made(const struct model *m)
{
	for (size_t i = 0; i < m->n_weights; i++)
		if (m->weights[i].made)
			return true;
	return false;
}
