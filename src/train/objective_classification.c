/* objective_classification: the class that a text is of, by a head on the state of its last token (of an encoder its
 * first), as transformers' …ForSequenceClassification have it.
 *
 *     loss = Σ weight · −log softmax(z)[class] / Σ weight     over the documents of the global batch
 *     z: [K], the outputs of the head (model/classifier.h)
 *
 * What z comes out of is trained beside whatever the method trains.
 * Classes are those of the training rows: whole numbers are the classes themselves, 0 to the largest, called
 * LABEL_0 …; words are sorted by their bytes, as Hugging Face's example sorts them. A model that has all of them
 * already keeps its head and its order.
 *
 * Rows that list their labels (several, or none) make a model of several labels a text:
 *
 *     loss = Σ weight · (1/K)·Σ_k −log σ(±z_k) / Σ weight     + of the labels that the row has, − of others
 *
 * accuracy: how often the largest z is that of the class, or the labels whose z is above 0 are all the row's and no
 * other. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/logistic.h"
#include "base/mem.h"
#include "infer/labeller.h"
#include "train/label_head.h"

enum { ACCURACY };

/* Of rows that list their labels; else NULL. */
struct listed {
	uint8_t *has;           /* [documents of training, then of evaluation][K] */
};

/* --- classes --- */

/* The number that a word is, −1: it is none. */
static long number_of(const char *word)
{
	size_t digits = strspn(word, "0123456789");

	if (!digits || digits > 9 || word[digits] || (word[0] == '0' && digits > 1))
		return -1;
	return strtol(word, NULL, 10);
}

static int compare_words(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Those of the rows, ascending, each once, in mem. */
static const char **find_words(struct arena *mem, const struct documents *d, size_t *n)
{
	size_t all = 0, at = 0;

	for (size_t i = 0; i < d->n; i++)
		all += d->items[i].listed ? (size_t)d->items[i].n_names : 1;
	const char **word = arena_array(mem, all, sizeof(*word));
	for (size_t i = 0; i < d->n; i++) {
		const struct document *x = &d->items[i];
		for (int32_t k = 0; k < (x->listed ? x->n_names : 1); k++)
			word[at++] = x->listed ? x->names[k] : x->label;
	}
	qsort(word, all, sizeof(*word), compare_words);
	for (size_t i = *n = 0; i < all; i++)
		if (!*n || strcmp(word[*n - 1], word[i]) != 0)
			word[(*n)++] = word[i];
	return word;
}

/* The largest where all are whole numbers, else −1. */
static long largest_number(const char *const *word, size_t n)
{
	long most = -1;

	for (size_t i = 0; i < n; i++) {
		if (number_of(word[i]) < 0)
			return -1;
		most = MAX(most, number_of(word[i]));
	}
	return most;
}

static bool model_has(const struct model *m, const char *const *word, size_t n, enum problem p)
{
	bool all = m->labels && m->labels->problem == p;

	for (size_t i = 0; i < n && all; i++)
		all = labels_find(m->labels, word[i]) >= 0;
	return all;
}

static int check_known(const struct labels *l, const struct documents *d, struct err *e)
{
	for (size_t i = 0; d && i < d->n; i++)
		if (!d->items[i].label)
			return err_set(e, "%s:%zu: a list of labels, training rows have one", d->items[i].file,
			               d->items[i].line);
		else if (labels_find(l, d->items[i].label) < 0)
			return err_set(e, "%s:%zu: no training row has the label '%.80s'", d->items[i].file,
			               d->items[i].line, d->items[i].label);
	return 0;
}

/* --- opening --- */

static int go_on(const struct objective_run *o)
{
	struct arena mem = ARENA_INIT;

	log_say("the model's own head goes on: %s", labels_list(&mem, o->model->labels));
	arena_release(&mem);
	return 0;
}

/* All rows list their labels, and all by names or all by numbers. */
static int check_lists(const struct documents *d, struct err *e)
{
	const struct document *first = NULL;

	for (size_t i = 0; i < d->n; i++) {
		const struct document *x = &d->items[i];
		if (!x->listed)
			return err_set(e, "%s:%zu: one label where other rows list theirs", x->file, x->line);
		if (first && x->n_names && (x->vector != first->vector || (x->vector && x->n_names != first->n_names)))
			return err_set(e, "%s:%zu: its labels are not listed as those of %s:%zu", x->file, x->line,
			               first->file, first->line);
		first = !first && x->n_names ? x : first;
	}
	return first ? 0 : err_set(e, "%s: no row has a label: there is nothing to learn", d->items[0].file);
}

static int make_lists(const struct objective_run *o, const char *const *word, size_t n, struct err *e)
{
	const struct documents *d = o->documents;
	int32_t length = 0;

	if (check_lists(d, e) < 0)
		return -1;
	for (size_t i = 0; i < d->n; i++)
		length = d->items[i].vector ? d->items[i].n_names : length;
	size_t K = length ? (size_t)length : n;
	if (K > LABELS_MOST)
		return err_set(e, "%s: %zu labels, at most %d are possible", d->items[0].file, K, LABELS_MOST);
	const struct labels *own = o->model->labels;
	bool same = own && own->n == length && own->problem == PROBLEM_MULTI_LABEL;
	if (length ? same : model_has(o->model, word, n, PROBLEM_MULTI_LABEL))
		return go_on(o);
	return label_head_make(o, (int)K, length ? NULL : word, PROBLEM_MULTI_LABEL, e);
}

/* What each row lists, once: a step allocates nothing. */
static int keep_lists(struct objective_run *o, struct err *e)
{
	const struct documents *part[] = { o->documents, o->eval_documents };
	size_t K = (size_t)o->model->labels->n, n = part[0]->n + (part[1] ? part[1]->n : 0), at = 0;
	struct listed *s = mem_alloc(sizeof(*s));

	o->state = s;
	s->has = mem_array(n * K, 1);
	for (size_t p = 0; p < ARRAY_LEN(part) && part[p]; p++)
		for (size_t i = 0; i < part[p]->n; i++)
			if (labels_of_list(o->model->labels, &part[p]->items[i], s->has + at++ * K, e) < 0)
				return -1;
	return 0;
}

static bool any_list(const struct documents *d)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->items[i].listed)
			return true;
	return false;
}

static int make_head(const struct objective_run *o, const char *const *word, size_t n, struct err *e)
{
	const char *file = o->documents->items[0].file;
	long most = largest_number(word, n);

	if (model_has(o->model, word, n, PROBLEM_SINGLE_LABEL))
		return go_on(o);
	if (n < 2)
		return err_set(e, "%s: all rows have the label '%.80s': there is nothing to tell apart", file, word[0]);
	if (n > LABELS_MOST)
		return err_set(e, "%s: %zu labels, at most %d are possible", file, n, LABELS_MOST);
	if (most >= LABELS_MOST)
		return err_set(e, "%s: a label is %ld; classes are numbered from 0, and at most %d are possible", file,
		               most, LABELS_MOST);
	return label_head_make(o, most < 0 ? (int)n : (int)most + 1, most < 0 ? word : NULL, PROBLEM_SINGLE_LABEL, e);
}

static int classification_open(struct objective_run *o, struct err *e)
{
	struct arena mem = ARENA_INIT;
	size_t n;
	const char **word = find_words(&mem, o->documents, &n);
	bool lists = any_list(o->documents);
	int status = (lists ? make_lists : make_head)(o, word, n, e);

	arena_release(&mem);
	if (status < 0)
		return -1;
	return lists ? keep_lists(o, e) : check_known(o->model->labels, o->eval_documents, e);
}

static void classification_close(struct objective_run *o)
{
	struct listed *s = o->state;

	if (s)
		mem_free(s->has);
	mem_free(s);
}

/* --- loss --- */

/* The class of each document; of rows that list theirs where they are kept. */
static void classification_fill(const struct objective_run *o, struct batch *b, const struct document *const *docs)
{
	float *class = batch_column(b, "class");

	for (int32_t i = 0; i < b->n_docs; i++) {
		const struct documents *d = o->documents, *eval = o->eval_documents;
		bool trained = docs[i] >= d->items && docs[i] < d->items + d->n;
		class[i] = !o->state ? (float)labels_find(o->model->labels, docs[i]->label) :
		           trained   ? (float)(docs[i] - d->items) : (float)(d->n + (size_t)(docs[i] - eval->items));
	}
}


static void listed_loss(const struct objective_run *o, const struct batch *b, const float *x, float *dx,
                        struct objective_sums *s)
{
	const struct listed *state = o->state;
	const size_t K = (size_t)o->model->labels->n;
	const float *place = batch_column(b, "class");

	for (int32_t i = 0; i < b->n_labels; i++) {
		size_t row = (size_t)b->label_target[i] * K;
		const uint8_t *has = state->has + (size_t)place[b->label_doc[i]] * K;
		double weight = (double)b->label_weight[i], loss = 0;
		bool all = true;
		for (size_t k = 0; k < K; k++) {
			double z = (double)x[row + k];
			loss += (fmax(z, 0) - (has[k] ? z : 0) + log1p(exp(-fabs(z)))) / (double)K;
			all &= (z > 0) == has[k];
			if (dx)
				dx[row + k] += (float)(weight * (sigmoid(z) - has[k]) / (double)K);
		}
		if (s) {
			s->loss += weight * loss;
			s->weight += weight;
			objective_measure(s, ACCURACY, all, weight);
		}
	}
}

/* log Σ exp z; *largest: whose z is the most. */
static double log_sum(const float *z, int32_t n, int32_t *largest)
{
	double sum = 0;

	*largest = 0;
	for (int32_t k = 1; k < n; k++)
		if (z[k] > z[*largest])
			*largest = k;
	for (int32_t k = 0; k < n; k++)
		sum += exp((double)z[k] - z[*largest]);
	return z[*largest] + log(sum);
}

/* Documents that are alike have one row of z and each their own class. */
static void classification_loss(const struct objective_run *o, const struct batch *b, const float *x, float *dx,
                                struct objective_sums *s)
{
	const int32_t n = o->model->labels->n;
	const float *class = batch_column(b, "class");

	if (dx)
		memset(dx, 0, (size_t)b->n_targets * (size_t)n * sizeof(*dx));
	if (o->state) {
		listed_loss(o, b, x, dx, s);
		return;
	}
	for (int32_t i = 0; i < b->n_labels; i++) {
		size_t row = (size_t)b->label_target[i] * (size_t)n;
		int32_t right = (int32_t)class[b->label_doc[i]], largest;
		double weight = (double)b->label_weight[i], all = log_sum(x + row, n, &largest);
		if (s) {
			s->loss += weight * (all - (double)x[row + (size_t)right]);
			s->weight += weight;
			objective_measure(s, ACCURACY, largest == right, weight);
		}
		for (int32_t k = 0; dx && k < n; k++)
			dx[row + (size_t)k] += (float)(weight * (exp((double)x[row + (size_t)k] - all) - (k == right)));
	}
}

static const struct batch_column columns[] = { { "class", PER_DOCUMENT }, { 0 } };
static const char *const metrics[] = { [ACCURACY] = "accuracy", NULL };

const struct objective objective_classification = {
	.name = "classification",
	.summary = "a text's class, by a head on its last token (encoders: the first)",
	.rate = 1,
	.columns = columns,
	.labelled = true,
	.metrics = metrics,
	.open = classification_open,
	.close = classification_close,
	.record = label_head_record,
	.forward = label_head_forward,
	.fill = classification_fill,
	.loss = classification_loss,
};
