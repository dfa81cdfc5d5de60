/* reward_feedback: see reward_feedback.h. */
#include "train/reward_feedback.h"

#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/shape.h"
#include "feedback/rows.h"
#include "infer/features.h"
#include "learn/linear.h"

enum { LAYERS = 3, PARTS = 5, MICRO_BATCH = 2048, STEPS = 300, LEAST_PAIRS = 8 };
static const double strengths[] = { 1e-3, 1e-2, 1e-1, 1 };
static const char *const pair_roles[] = { "chosen", "rejected", NULL };

struct reward_feedback {
	const struct reward_policy *policy;
	struct document_options how;
	struct features *features;
	struct workshop on;
	size_t width, bytes;
	int layer[LAYERS], picked; /* picked: which of them */
	float *scale;              /* [LAYERS][width] */
	struct linear_model head;
};

/* The comparisons: docs 2i and 2i + 1 are pair i. */
struct pairs {
	struct rows rows;
	struct documents documents;
	const struct document **docs;
	float *states;             /* [2n][LAYERS][width] */
	int32_t *part;             /* [n] */
	size_t n;
};

static void pairs_release(struct pairs *p)
{
	documents_release(&p->documents);
	rows_release(&p->rows);
	mem_free(p->docs);
	mem_free(p->states);
	mem_free(p->part);
}

/* --- reading --- */

/* All pairs of one prompt are in one part. */
static void find_parts(struct pairs *p)
{
	size_t row = 0;

	p->part = mem_array(p->n + 1, sizeof(*p->part));
	for (size_t i = 0; i < p->n; i++) {
		while (p->rows.items[row].line != p->docs[2 * i]->line && row + 1 < p->rows.n)
			row++;
		char *asked = jsonx_line(json_object_get(p->rows.items[row].json, "prompt"));
		p->part[i] = (int32_t)(hash_64(asked, strlen(asked)) % PARTS);
		mem_free(asked);
	}
}

static int read_pairs(const struct reward_feedback *r, const char *path, struct pairs *p, struct err *e)
{
	struct text_codec codec = { r->policy->model->tokenizer, r->policy->chat };

	if (rows_load_kind(&p->rows, path, ROWS_PREFERENCE, e) < 0)
		return -1;
	if (!p->rows.n || !shape_has_roles(p->rows.shape, pair_roles))
		return err_set(e, "%s: rows of %s; a file of feedback or preference rows was wanted", path,
		               p->rows.n ? shape_name(p->rows.shape) : "nothing");
	if (documents_make(&p->documents, &p->rows, &codec, &r->how, e) < 0)
		return -1;
	p->n = p->documents.n / 2;
	if (p->n < LEAST_PAIRS)
		return err_set(e, "%s: %zu comparisons; %d or more were wanted", path, p->n, LEAST_PAIRS);
	p->docs = mem_array(2 * p->n, sizeof(*p->docs));
	for (size_t i = 0; i < 2 * p->n; i++)
		p->docs[i] = &p->documents.items[i];
	find_parts(p);
	p->states = mem_array(2 * p->n * LAYERS * r->width, sizeof(*p->states));
	return features_run(r->features, p->docs, 2 * p->n, p->states, NULL, NULL, e);
}

/* --- fitting --- */

static const float *state_of(const struct reward_feedback *r, const struct pairs *p, size_t doc, int layer)
{
	return p->states + (doc * LAYERS + (size_t)layer) * r->width;
}

/* One over the deviation of each number. */
static void find_scale(struct reward_feedback *r, const struct pairs *p)
{
	r->scale = mem_array(LAYERS * r->width, sizeof(*r->scale));
	for (int layer = 0; layer < LAYERS; layer++)
		for (size_t k = 0; k < r->width; k++) {
			double sum = 0, square = 0, n = 2 * (double)p->n;
			for (size_t i = 0; i < 2 * p->n; i++) {
				double x = (double)state_of(r, p, i, layer)[k];
				sum += x;
				square += x * x;
			}
			double variance = square / n - sum * sum / (n * n);
			r->scale[(size_t)layer * r->width + k] = variance > 1e-12 ? (float)(1 / sqrt(variance)) : 0;
		}
}

/* x: the difference of a pair, scaled. */
static void difference(const struct reward_feedback *r, const struct pairs *p, size_t i, int layer, float *x)
{
	const float *a = state_of(r, p, 2 * i, layer), *b = state_of(r, p, 2 * i + 1, layer),
		    *scale = r->scale + (size_t)layer * r->width;

	for (size_t k = 0; k < r->width; k++)
		x[k] = (a[k] - b[k]) * scale[k];
}

/* On all pairs but those of a part (−1: all). Each is there both ways round, so there is no constant. */
static int fit(const struct reward_feedback *r, const struct pairs *p, int layer, double C, int part,
               struct linear_model *m, struct err *e)
{
	float *x = mem_array(2 * p->n * r->width, sizeof(*x));
	int32_t *y = mem_array(2 * p->n, sizeof(*y));
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++) {
		if (p->part[i] == part)
			continue;
		float *at = x + 2 * n * r->width;
		difference(r, p, i, layer, at);
		for (size_t k = 0; k < r->width; k++)
			at[r->width + k] = -at[k];
		y[2 * n] = 1;
		y[2 * n++ + 1] = 0;
	}
	struct design d = { .rows = 2 * n, .cols = r->width, .dense = x };
	linear_begin(m, r->width, 2);
	int status = n ? logistic_fit(m, &d, y, &(struct fit_options){ .C = C, .tolerance = 1e-5, .most = STEPS },
	                              &r->on, e) : 0;
	mem_free(x);
	mem_free(y);
	return status;
}

static double worth(const struct linear_model *m, const float *x)
{
	double sum = 0;

	for (size_t k = 0; k < m->cols; k++)
		sum += m->w[k] * (double)x[k];
	return sum;
}

struct held { double loss; size_t right, n; };

/* Of pairs whose prompts the fit has not seen. */
static int hold_out(const struct reward_feedback *r, const struct pairs *p, int layer, double C, struct held *h,
                    struct err *e)
{
	float *x = mem_array(r->width, sizeof(*x));
	int status = 0;

	*h = (struct held){ 0 };
	for (int part = 0; part < PARTS && status == 0; part++) {
		struct linear_model m = { 0 };
		status = fit(r, p, layer, C, part, &m, e);
		for (size_t i = 0; i < p->n && status == 0; i++) {
			if (p->part[i] != part)
				continue;
			difference(r, p, i, layer, x);
			double z = worth(&m, x);
			h->loss += z > 0 ? log1p(exp(-z)) : log1p(exp(z)) - z;
			h->right += z > 0;
			h->n++;
		}
		linear_release(&m);
	}
	mem_free(x);
	return status;
}

/* The lower end of Wilson's interval of 95 %. */
static double least_share(size_t right, size_t n)
{
	double z = 1.96, p = (double)right / (double)n, m = (double)n;

	return (p + z * z / (2 * m) - z * sqrt(p * (1 - p) / m + z * z / (4 * m * m))) / (1 + z * z / m);
}

static int choose(struct reward_feedback *r, const struct pairs *p, const char *path, struct err *e)
{
	struct held best = { .loss = INFINITY }, h;
	double C = 0;

	for (int layer = 0; layer < LAYERS; layer++)
		for (size_t i = 0; i < ARRAY_LEN(strengths); i++) {
			if (hold_out(r, p, layer, strengths[i], &h, e) < 0)
				return -1;
			if (h.loss < best.loss) {
				best = h;
				C = strengths[i];
				r->picked = layer;
			}
		}
	double share = (double)best.right / (double)best.n, least = least_share(best.right, best.n);
	if (least <= 0.5)
		return err_set(e, "--reward-feedback %s: of %zu comparisons of prompts that it has not seen a reward "
		                  "made of the others is right in %.1f %%, which may be chance (%.1f %% or more): more "
		                  "labels, or a reward model, were wanted", path, best.n, 100 * share, 100 * least);
	log_say("reward of %s: %zu comparisons; on prompts that it has not seen it is right in %.1f %% (%.1f %% or "
	        "more), by the states of layer %d", path, p->n, 100 * share, 100 * least, r->layer[r->picked]);
	return fit(r, p, r->picked, C, -1, &r->head, e);
}

static int learn(struct reward_feedback *r, const char *path, struct err *e)
{
	struct pairs p = { 0 };
	struct scorer_forecast f = { 0 };
	int status = read_pairs(r, path, &p, e);

	if (status == 0) {
		find_scale(r, &p);
		status = choose(r, &p, path, e);
	}
	if (status == 0)
		status = scorer_forecast(features_scorer(r->features), p.docs, 2 * p.n, false, &f, e);
	r->bytes = f.bytes;
	pairs_release(&p);
	return status;
}

int reward_feedback_open(struct reward_feedback **out, const char *path, const struct reward_policy *policy,
                         struct err *e)
{
	struct reward_feedback *r = mem_alloc(sizeof(*r));
	int last = features_layers(policy->model) - 1;

	*out = r;
	*r = (struct reward_feedback){ .policy = policy, .layer = { last / 2, last * 3 / 4, last } };
	r->how = (struct document_options){ .max_length = policy->max_length, .labelled = true };
	r->on = (struct workshop){ policy->device->kernels, policy->device->pool };
	for (int i = 1; i < LAYERS; i++) /* of very few layers they are still three */
		if (r->layer[i] <= r->layer[i - 1])
			return err_set(e, "--reward-feedback: the model has %d layers; 3 or more were wanted", last);
	struct features_options o = { .max_tokens = MICRO_BATCH, .max_length = policy->max_length,
		                      .pooling = FEATURES_LAST, .layers = r->layer, .n_layers = LAYERS };
	if (features_new(&r->features, policy->model, NULL, policy->device, &o, e) < 0)
		return -1;
	r->width = features_width(r->features);
	return learn(r, path, e);
}

/* --- judging --- */

static json_t *answered(const struct reward_case *c)
{
	json_t *prompt = json_object_get(c->row->json, "prompt"), *said = jsonx_text(c->text, strlen(c->text));

	if (json_is_array(prompt))
		said = json_pack("[{s:s, s:o}]", "role", "assistant", "content", said);
	return json_pack("{s:O, s:o}", "prompt", prompt, "completion", said);
}

int reward_feedback_judge(struct reward_feedback *r, const struct reward_case *c, size_t n, double *out, struct err *e)
{
	struct text_codec codec = { r->policy->model->tokenizer, r->policy->chat };
	struct rows rows = { .items = mem_array(n, sizeof(*rows.items)), .n = n, .cap = n };
	struct documents d = { 0 };
	const struct document **docs = mem_array(n, sizeof(*docs));
	float *states = mem_array(n * LAYERS * r->width, sizeof(*states));
	const float *scale = r->scale + (size_t)r->picked * r->width;

	for (size_t i = 0; i < n; i++)
		rows.items[i] = (struct row){ answered(&c[i]), c[i].row->file, c[i].row->line };
	rows.shape = shape_of(rows.items[0].json);
	int status = documents_make(&d, &rows, &codec, &r->how, e);
	if (status == 0 && d.n != n)
		BUG("%zu documents of %zu answers", d.n, n);
	for (size_t i = 0; i < n && status == 0; i++)
		docs[i] = &d.items[i];
	if (status == 0)
		status = features_run(r->features, docs, n, states, NULL, NULL, e);
	for (size_t i = 0; i < n && status == 0; i++) {
		float *x = states + (i * LAYERS + (size_t)r->picked) * r->width;
		for (size_t k = 0; k < r->width; k++)
			x[k] *= scale[k];
		out[i] = worth(&r->head, x);
	}
	documents_release(&d);
	rows_release(&rows);
	mem_free(docs);
	mem_free(states);
	return status;
}

size_t reward_feedback_bytes(const struct reward_feedback *r) { return r->bytes; }

void reward_feedback_close(struct reward_feedback *r)
{
	if (!r)
		return;
	features_free(r->features);
	mem_free(r->scale);
	linear_release(&r->head);
	mem_free(r);
}
