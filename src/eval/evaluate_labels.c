/* evaluate_labels: rows with a label by a model that classifies: each row is a document, what the model says of it is
 * compared with its label (label_scores.h). A label is the name of one of the model's, or its number; of a regression
 * a number. loss: the mean of −log p(label), of −Σ log σ(±z)/labels where a row may have several. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "eval/evaluate_parts.h"
#include "infer/labeller.h"

struct judging {
	struct evaluating *v;
	const struct labels *labels;
	const struct documents *docs;
	float *z;                       /* [n][labels] */
};

/* --- what rows say --- */

static int read_single(const struct judging *j, int32_t *has, struct err *e)
{
	for (size_t i = 0; i < j->docs->n; i++) {
		has[i] = labels_of_one(j->labels, &j->docs->items[i], e);
		if (has[i] < 0)
			return -1;
	}
	return 0;
}

static int read_numbers(const struct judging *j, double *has, struct err *e)
{
	for (size_t i = 0; i < j->docs->n; i++) {
		const struct document *d = &j->docs->items[i];
		has[i] = document_number(d);
		if (!isfinite(has[i]))
			return err_set(e, "%s:%zu: the label is '%.80s', the model says numbers (problem_type "
			               "regression)", d->file, d->line, d->label ? d->label : "a list");
	}
	return 0;
}

/* --- details --- */

/* What the row says, by the model's names. */
static json_t *label_json(const struct judging *j, const struct document *d)
{
	struct err unused = ERR_INIT;

	if (j->labels->problem == PROBLEM_REGRESSION)
		return jsonx_number(document_number(d));
	if (j->labels->problem == PROBLEM_SINGLE_LABEL)
		return json_string(j->labels->name[labels_of_one(j->labels, d, &unused)]);
	uint8_t *has = mem_array((size_t)j->labels->n, 1);
	json_t *list = json_array();
	labels_of_list(j->labels, d, has, &unused);
	for (int k = 0; k < j->labels->n; k++)
		if (has[k])
			json_array_append_new(list, json_string(j->labels->name[k]));
	mem_free(has);
	return list;
}

static void put_rows(const struct judging *j)
{
	for (size_t i = 0; i < j->docs->n; i++) {
		const struct document *d = &j->docs->items[i];
		const float *z = j->z + i * (size_t)j->labels->n;
		json_t *line = evaluate_line(d), *chances = labels_chances(j->labels, z);
		json_object_set_new(line, "label", label_json(j, d));
		json_object_set_new(line, "predicted", labels_said(j->labels, z));
		if (chances)
			json_object_set_new(line, "probabilities", chances);
		evaluate_put(j->v, line);
	}
}

/* --- scores --- */

static int judge_single(struct judging *j, struct err *e)
{
	size_t n = j->docs->n, k = (size_t)j->labels->n;
	int32_t *has = mem_array(n, sizeof(*has)), *said = mem_array(n, sizeof(*said));
	double *loss = mem_array(n, sizeof(*loss)), *p = mem_array(k, sizeof(*p));
	int status = read_single(j, has, e);

	for (size_t i = 0; i < n && status == 0; i++) {
		const float *z = j->z + i * k;
		labels_probabilities(j->labels, z, p);
		said[i] = labels_largest(j->labels, z);
		loss[i] = log(1 / p[said[i]]) + (double)z[said[i]] - (double)z[has[i]];
	}
	if (status == 0) {
		label_scores_single(&j->v->result->labels, (int)k, has, said, n);
		j->v->result->loss = estimate_mean(loss, n);
	}
	mem_free(has);
	mem_free(said);
	mem_free(loss);
	mem_free(p);
	return status;
}

/* −log σ(z) of a label that is there, −log σ(−z) of one that is not. */
static double multi_loss(double z, bool has)
{
	return (z > 0 ? z : 0) - (has ? z : 0) + log1p(exp(-fabs(z)));
}

static int judge_multi(struct judging *j, struct err *e)
{
	size_t n = j->docs->n, K = (size_t)j->labels->n;
	uint8_t *has = mem_array(n * K, 1), *said = mem_array(n * K, 1);
	double *loss = mem_array(n, sizeof(*loss));
	int status = 0;

	for (size_t i = 0; i < n && status == 0; i++) {
		status = labels_of_list(j->labels, &j->docs->items[i], has + i * K, e);
		for (size_t k = 0; k < K; k++) {
			said[i * K + k] = j->z[i * K + k] > 0;
			loss[i] += multi_loss((double)j->z[i * K + k], has[i * K + k]) / (double)K;
		}
	}
	if (status == 0) {
		label_scores_multi(&j->v->result->labels, (int)K, has, said, n);
		j->v->result->loss = estimate_mean(loss, n);
	}
	mem_free(has);
	mem_free(said);
	mem_free(loss);
	return status;
}

static int judge_numbers(struct judging *j, struct err *e)
{
	size_t n = j->docs->n;
	double *has = mem_array(n, sizeof(*has)), *said = mem_array(n, sizeof(*said));
	int status = j->labels->n == 1 ? read_numbers(j, has, e) :
	             err_set(e, "%s: a regression of %d numbers a text; one can be evaluated",
	                     j->v->subject->model->source.path, j->labels->n);

	for (size_t i = 0; i < n && status == 0; i++)
		said[i] = (double)j->z[i];
	if (status == 0)
		label_scores_numbers(&j->v->result->labels, has, said, n);
	mem_free(has);
	mem_free(said);
	return status;
}

static int judge(struct judging *j, struct err *e)
{
	int status = j->labels->problem == PROBLEM_REGRESSION   ? judge_numbers(j, e) :
	             j->labels->problem == PROBLEM_SINGLE_LABEL ? judge_single(j, e) : judge_multi(j, e);

	if (status == 0)
		put_rows(j);
	return status;
}

/* --- the whole --- */

struct running {
	struct evaluating *v;
	const struct documents *docs;
	size_t seen;
	int64_t done, total;
	double began;
};

static int tell(void *ctx, size_t done, size_t total)
{
	struct running *r = ctx;
	(void)total;

	while (r->seen < done)
		r->done += r->docs->items[r->seen++].n;
	return evaluate_tell(r->v, "scoring", r->done, r->total, r->began);
}

static int run(struct running *r, struct labeller *x, const struct document **docs, float *z, struct err *e)
{
	struct scorer *s = labeller_scorer(x);
	struct evaluation *result = r->v->result;

	if (evaluate_planned_by(r->v, s, r->docs->items, docs, r->docs->n, &(struct evaluate_forecast){ 0 }, e) < 0)
		return -1;
	r->began = clock_seconds();
	if (labeller_run(x, docs, r->docs->n, z, tell, r, e) < 0)
		return -1;
	result->computed_tokens += scorer_computed_tokens(s);
	result->flops += scorer_flops(s);
	result->int_ops += scorer_int_ops(s);
	return 0;
}

int evaluate_outputs(struct evaluating *v, const struct documents *d, float *z, struct err *e)
{
	const struct subject *s = v->subject;
	const struct document **docs = mem_array(d->n, sizeof(*docs));
	struct running r = { .v = v, .docs = d };
	struct labeller *x;
	int32_t longest = 1;

	for (size_t i = 0; i < d->n; i++) {
		docs[i] = &d->items[i];
		longest = MAX(longest, d->items[i].n);
		r.total += d->items[i].n;
	}
	v->result->tokens = r.total;
	int status = labeller_new(&x, s->model, s->overlay, s->device, v->options->micro_batch_tokens, longest, e);
	if (status == 0) {
		status = run(&r, x, docs, z, e);
		labeller_free(x);
	}
	mem_free(docs);
	return status;
}

static int judge_documents(struct evaluating *v, const struct documents *d, struct err *e)
{
	struct judging j = { .v = v, .labels = v->subject->model->labels, .docs = d };

	j.z = mem_array(d->n * (size_t)j.labels->n, sizeof(*j.z));
	int status = evaluate_outputs(v, d, j.z, e);
	if (status == 0)
		status = judge(&j, e);
	mem_free(j.z);
	return status;
}

static bool is_labelled(const struct shape *s, const void *ctx)
{
	(void)ctx;
	return s->labelled;
}

int evaluate_labels(struct evaluating *v, struct err *e)
{
	struct documents docs = { 0 };
	struct buf names = BUF_INIT;

	if (evaluate_is_pairs(v->rows->shape))
		return evaluate_rewards(v, e);
	if (!v->rows->shape->labelled) {
		shape_list(is_labelled, NULL, &names);
		err_set(e, "%s: rows of %s; a model that classifies is evaluated on %s", v->rows->items[0].file,
		        shape_name(v->rows->shape), buf_str(&names));
		buf_release(&names);
		return -1;
	}
	int status = evaluate_documents(v, &docs, e);
	if (status == 0)
		status = judge_documents(v, &docs, e);
	documents_release(&docs);
	return status;
}
