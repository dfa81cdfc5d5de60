/* objective_regression: a number for a text, by a head on the state of its last token, as transformers'
 * …ForSequenceClassification have it where there is one label (problem_type "regression").
 *
 *     loss = Σ weight · (z − y)² / Σ weight
 *     over the documents of the global batch; y: the label, z: the head's one output (model/classifier.h)
 *
 * mae: the mean of |z − y|. Not here: several numbers a text, correlations. */
#include <math.h>
#include <string.h>

#include "train/label_head.h"

enum { MAE };

static int check_numbers(const struct documents *d, struct err *e)
{
	for (size_t i = 0; d && i < d->n; i++)
		if (!isfinite((float)document_number(&d->items[i])))
			return err_set(e, "%s:%zu: the label is '%.80s', --objective regression wants a number",
			               d->items[i].file, d->items[i].line,
			               d->items[i].label ? d->items[i].label : "a list");
	return 0;
}

static int regression_open(struct objective_run *o, struct err *e)
{
	if (check_numbers(o->documents, e) < 0 || check_numbers(o->eval_documents, e) < 0)
		return -1;
	return label_head_make(o, 1, NULL, PROBLEM_REGRESSION, e);
}

static void regression_fill(const struct objective_run *o, struct batch *b, const struct document *const *docs)
{
	float *number = batch_column(b, "number");
	(void)o;

	for (int32_t i = 0; i < b->n_docs; i++)
		number[i] = (float)document_number(docs[i]);
}

/* Documents that are alike have one z and each their own y. */
static void regression_loss(const struct objective_run *o, const struct batch *b, const float *x, float *dx,
                            struct objective_sums *s)
{
	const float *number = batch_column(b, "number");
	(void)o;

	if (dx)
		memset(dx, 0, (size_t)b->n_targets * sizeof(*dx));
	for (int32_t i = 0; i < b->n_labels; i++) {
		int32_t row = b->label_target[i];
		double off = (double)x[row] - (double)number[b->label_doc[i]], weight = (double)b->label_weight[i];
		if (s) {
			s->loss += weight * off * off;
			s->weight += weight;
			objective_measure(s, MAE, fabs(off), weight);
		}
		if (dx)
			dx[row] += (float)(2 * weight * off);
	}
}

static const struct batch_column columns[] = { { "number", PER_DOCUMENT }, { 0 } };
static const char *const metrics[] = { [MAE] = "mae", NULL };

const struct objective objective_regression = {
	.name = "regression",
	.summary = "a text's number, by a head on its last token (encoders: the first)",
	.rate = 1,
	.columns = columns,
	.labelled = true,
	.metrics = metrics,
	.open = regression_open,
	.record = label_head_record,
	.forward = label_head_forward,
	.fill = regression_fill,
	.loss = regression_loss,
};
