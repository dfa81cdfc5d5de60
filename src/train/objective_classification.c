/* objective_classification: the class that a text is of, by a head on the state of its last token, as transformers'
 * …ForSequenceClassification of decoders have it.
 *
 *     z = S·n(h_last)                       S: [K, C], "score", without bias; n: the final norm; K classes
 *     loss = Σ weight · −log softmax(z)[class] / Σ weight     over the documents of the global batch
 *
 * S begins as 0, so the first step's loss is log K; it is trained beside whatever the method trains. Classes are those
 * of the training rows: whole numbers are the classes themselves, 0 … the largest, called LABEL_0 …; words are
 * sorted by their bytes, as Hugging Face's example sorts them.
 *
 * accuracy: how often the largest z is that of the class. Not here: several classes a text, encoders. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "train/score_head.h"

enum { CLASSES = 1 << 16 };            /* at most */
enum { ACCURACY };

struct classes {
	const char **word;             /* [n] as rows have them, ascending; of numbers NULL */
	int32_t n;
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

/* −1: it is none of them. */
static int32_t class_of(const struct classes *c, const char *word)
{
	if (!c->word) {
		long number = number_of(word);
		return number < c->n ? (int32_t)number : -1;
	}
	const char **found = bsearch(&word, c->word, (size_t)c->n, sizeof(word), compare_words);
	return found ? (int32_t)(found - c->word) : -1;
}

static void find_words(struct classes *c, const struct documents *d)
{
	c->word = mem_array(d->n, sizeof(*c->word));
	for (size_t i = 0; i < d->n; i++)
		c->word[i] = d->items[i].label;
	qsort(c->word, d->n, sizeof(*c->word), compare_words);
	for (size_t i = 0; i < d->n; i++)
		if (!c->n || strcmp(c->word[c->n - 1], c->word[i]) != 0)
			c->word[c->n++] = c->word[i];
}

/* Words that are all numbers are those classes. */
static int take_numbers(struct classes *c, const struct documents *d, struct err *e)
{
	long most = 0;

	for (int32_t i = 0; i < c->n; i++) {
		long number = number_of(c->word[i]);
		if (number < 0)
			return 0;
		most = MAX(most, number);
	}
	if (most >= CLASSES)
		return err_set(e, "%s: a label is %ld; classes are numbered from 0, and at most %d are possible",
		               d->items[0].file, most, CLASSES);
	mem_free(c->word);
	*c = (struct classes){ .n = (int32_t)most + 1 };
	return 0;
}

static int check_known(const struct classes *c, const struct documents *d, struct err *e)
{
	for (size_t i = 0; d && i < d->n; i++)
		if (class_of(c, d->items[i].label) < 0)
			return err_set(e, "%s:%zu: no training row has the label '%.80s'", d->items[i].file,
			               d->items[i].line, d->items[i].label);
	return 0;
}

/* --- opening --- */

static int classification_open(struct objective_run *o, struct err *e)
{
	struct classes *c = mem_alloc(sizeof(*c));

	o->state = c;
	if (score_head_check(o, e) < 0)
		return -1;
	find_words(c, o->documents);
	if (c->n < 2)
		return err_set(e, "%s: all rows have the label '%.80s': there is nothing to tell apart",
		               o->documents->items[0].file, c->word[0]);
	if (c->n > CLASSES)
		return err_set(e, "%s: %d labels, at most %d are possible", o->documents->items[0].file, c->n, CLASSES);
	return take_numbers(c, o->documents, e) < 0 ? -1 : check_known(c, o->eval_documents, e);
}

static void classification_close(struct objective_run *o)
{
	struct classes *c = o->state;

	if (c)
		mem_free(c->word);
	mem_free(c);
}

static int classification_params(const struct objective_run *o, struct params *p, struct err *e)
{
	const struct classes *c = o->state;
	(void)e;

	score_head_params(o, p, (size_t)c->n);
	return 0;
}

/* --- loss --- */

static void classification_fill(const struct objective_run *o, struct batch *b, const struct document *const *docs)
{
	float *class = batch_column(b, "class");

	for (int32_t i = 0; i < b->n_docs; i++)
		class[i] = (float)class_of(o->state, docs[i]->label);
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
	const int32_t n = ((const struct classes *)o->state)->n;
	const float *class = batch_column(b, "class");

	if (dx)
		memset(dx, 0, (size_t)b->n_targets * (size_t)n * sizeof(*dx));
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

/* --- files --- */

static json_t *classification_head(const struct objective_run *o)
{
	const struct classes *c = o->state;
	json_t *names = json_object(), *numbers = json_object();

	for (int32_t i = 0; i < c->n; i++) {
		char *key = mem_printf("%d", i);
		char *name = c->word ? mem_printf("%s", c->word[i]) : mem_printf("LABEL_%d", i);
		json_object_set_new(names, key, json_string(name));
		json_object_set_new(numbers, name, json_integer(i));
		mem_free(key);
		mem_free(name);
	}
	return json_pack("{s:i, s:o, s:o, s:s}", "num_labels", (int)c->n, "id2label", names, "label2id", numbers,
	                 "problem_type", "single_label_classification");
}

static const struct batch_column columns[] = { { "class", PER_DOCUMENT }, { 0 } };
static const char *const metrics[] = { [ACCURACY] = "accuracy", NULL };

const struct objective objective_classification = {
	.name = "classification",
	.summary = "the class of a text, by a head on its last token",
	.rate = 1,
	.columns = columns,
	.labelled = true,
	.metrics = metrics,
	.open = classification_open,
	.close = classification_close,
	.params = classification_params,
	.record = score_head_record,
	.forward = score_head_forward,
	.head = classification_head,
	.fill = classification_fill,
	.loss = classification_loss,
};
