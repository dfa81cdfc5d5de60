/* api_evaluator: kf_evaluator: the batch scorer and the scores of rows, with what both need kept between calls. */
#include "api/handles.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "eval/evaluate.h"

enum { MICRO_BATCH_TOKENS = 1024, TEXT_WINDOW = 1024 };

static const char *wrong_options(const struct kf_evaluator_options *o, int32_t most)
{
	if (o->max_length && (o->max_length < 2 || o->max_length > most))
		return "max_length: 2 to the model's context was wanted";
	if (o->stride < 0 || (o->max_length && o->stride > o->max_length))
		return "stride: 0 to max_length was wanted";
	if (o->micro_batch_tokens && (o->micro_batch_tokens < 2 || o->micro_batch_tokens > 1 << 22))
		return "micro_batch_tokens: 2 to 4194304 was wanted";
	return is_zero(o->reserved, sizeof(o->reserved)) && is_zero(o->reserved_flags, sizeof(o->reserved_flags)) ?
	               NULL :
	               "reserved must be zero";
}

int kf_evaluator_new(struct kf_evaluator **out, struct kf_model *m, struct kf_adapter *adapter,
                     const struct kf_evaluator_options *options, const struct kf_settings *settings,
                     struct kf_error *error)
{
	static const struct kf_evaluator_options defaults;
	struct call c;
	const struct overlay *o;
	const char *why;

	if (out)
		*out = NULL;
	if (call_open(&c, settings, error) < 0)
		return KF_MISUSE;
	if (!out || !handle_is(m, KIND_MODEL))
		return call_misuse(&c, "a %s was wanted", out ? "kf_model" : "place for the evaluator");
	options = options ? options : &defaults;
	if (adapter_of(adapter, m, &o, &why) < 0 || (why = wrong_options(options, m->model.config.n_ctx)))
		return call_misuse(&c, "%s", why);
	const struct kernels *k = kernels_get(NULL, &c.err);
	if (!k)
		return call_end(&c, -1);
	struct kf_evaluator *v = mem_alloc(sizeof(*v));
	handle_init(&v->handle, KIND_EVALUATOR, &c);
	v->model = handle_share(m);
	v->adapter = handle_share(adapter);
	v->overlay = o;
	v->options = *options;
	v->options.micro_batch_tokens = options->micro_batch_tokens ? options->micro_batch_tokens : MICRO_BATCH_TOKENS;
	v->pool = handle_pool(&v->handle);
	v->device = device_cpu(k, v->pool);
	*out = v;
	return call_end(&c, 0);
}

void kf_evaluator_free(struct kf_evaluator *v)
{
	if (!handle_is(v, KIND_EVALUATOR) || handle_defer(v))
		return;
	v->handle.kind = KIND_NONE;
	scorer_free(v->scorer);
	pool_free(v->pool);
	kf_adapter_free(v->adapter);
	kf_model_free(v->model);
	mem_free(v);
}

/* --- documents --- */

struct scoring {                      /* one call's */
	struct kf_evaluator *evaluator;
	struct call *call;
	const struct kf_document *given;
	uint8_t *all;                 /* 0 1 1 1 … */
	struct document *items;
	const struct document **docs; /* [n] those that have something to score */
	size_t *from;                 /* [n] their place among the given */
	float **each;                 /* [n] or NULL */
	double *sum;
	size_t n;
	int32_t longest;
};

/* What cannot be scored, in words; NULL: nothing. */
static const char *wrong_document(const struct kf_evaluator *v, const struct kf_document *d)
{
	size_t wrong;
	int32_t most = overlays_context(v->overlay, &v->model->model);

	if (v->options.max_length)
		most = MIN(most, v->options.max_length);
	if (!d->ids || d->n == 0)
		return "has no tokens";
	if (d->n > (size_t)most)
		return "is longer than max_length";
	if (!are_ids(d->ids, d->n, v->model->model.config.V, &wrong))
		return "has a token that the model has not";
	return d->learn && d->learn[0] ? "says that its first token is predicted, from nothing" : NULL;
}

static int32_t count_learnt(const uint8_t *learn, size_t n)
{
	int32_t sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += learn[i] != 0;
	return sum;
}

static void take_documents(struct scoring *s, size_t n, float *const *each)
{
	s->items = mem_array(n, sizeof(*s->items));
	s->docs = mem_array(n, sizeof(*s->docs));
	s->from = mem_array(n, sizeof(*s->from));
	s->sum = mem_array(n, sizeof(*s->sum));
	s->each = each ? mem_array(n, sizeof(*s->each)) : NULL;
	s->all = mem_array((size_t)s->longest, 1);
	for (int32_t i = 1; i < s->longest; i++)
		s->all[i] = 1;
	for (size_t i = 0; i < n; i++) {
		const struct kf_document *g = &s->given[i];
		const uint8_t *learn = g->learn ? g->learn : s->all;
		int32_t learnt = count_learnt(learn, g->n);
		if (!learnt)
			continue;
		s->items[s->n] = (struct document){
			.ids = (int32_t *)(uintptr_t)g->ids,
			.learn = (uint8_t *)(uintptr_t)learn,
			.n = (int32_t)g->n,
			.n_learn = learnt,
			.file = g->file ? g->file : "document",
			.line = g->file ? g->line : i,
			.choice = -1,
		};
		s->docs[s->n] = &s->items[s->n];
		if (each)
			s->each[s->n] = each[i];
		s->from[s->n++] = i;
	}
}

static void release_documents(struct scoring *s)
{
	mem_free(s->items);
	mem_free(s->docs);
	mem_free(s->from);
	mem_free(s->sum);
	mem_free(s->each);
	mem_free(s->all);
}

int evaluator_progress(const struct kf_evaluator *v, struct call *c, int64_t done, int64_t total)
{
	const struct kf_evaluator_options *o = &v->options;

	if (!o->progress)
		return 0;
	call_outside(c);
	c->stopped = o->progress(o->ctx, done, total) != 0;
	call_inside(c);
	return c->stopped;
}

static int pass_scored(void *ctx, size_t done, size_t total)
{
	struct scoring *s = ctx;

	return evaluator_progress(s->evaluator, s->call, (int64_t)done, (int64_t)total);
}

static int make_scorer(struct kf_evaluator *v, int32_t longest, struct err *e)
{
	struct scorer_options o = { .max_tokens = v->options.micro_batch_tokens, .max_length = longest };

	if (v->scorer && longest <= v->longest)
		return 0;
	scorer_free(v->scorer);
	v->scorer = NULL;
	v->longest = longest;
	return scorer_new(&v->scorer, &v->model->model, v->overlay, &v->device, &o, e);
}

int kf_evaluator_score(struct kf_evaluator *v, const struct kf_document *documents, size_t n, double *sum,
                       float *const *each, struct kf_error *error)
{
	struct call c;
	struct scoring s = { .evaluator = v, .call = &c, .given = documents, .longest = 1 };

	if (call_begin(&c, v, KIND_EVALUATOR, error) < 0)
		return KF_MISUSE;
	if (n && (!documents || !sum))
		return call_misuse(&c, "%s is NULL", documents ? "sum" : "documents");
	for (size_t i = 0; i < n; i++) {
		const char *wrong = each && !each[i] ? "has no room for its log-probabilities: each[i] is NULL" :
		                                       wrong_document(v, &documents[i]);
		if (wrong)
			return call_misuse(&c, "document %zu %s", i, wrong);
		s.longest = MAX(s.longest, (int32_t)documents[i].n);
	}
	take_documents(&s, n, each);
	int status = s.n ? make_scorer(v, s.longest, &c.err) : 0;
	if (status == 0 && s.n)
		status = scorer_run(v->scorer, s.docs, s.n, false, s.sum, s.each, pass_scored, &s, &c.err);
	for (size_t i = 0; i < n; i++)
		sum[i] = 0;
	for (size_t i = 0; i < s.n; i++)
		sum[s.from[i]] = s.sum[i];
	release_documents(&s);
	return call_end(&c, status);
}

/* --- rows --- */

struct judging {
	struct kf_evaluator *evaluator;
	struct call *call;
};

static int pass_progress(void *ctx, const struct evaluate_progress *p)
{
	struct judging *j = ctx;

	return evaluator_progress(j->evaluator, j->call, p->done, p->total);
}

static void pass_row(void *ctx, json_t *line)
{
	struct judging *j = ctx;
	const struct kf_evaluator_options *o = &j->evaluator->options;
	char *text = jsonx_line(line);
	call_outside(j->call);
	o->row(o->ctx, text);
	call_inside(j->call);
	mem_free(text);
}

static struct kf_estimate estimate_shown(const struct estimate *x)
{
	return (struct kf_estimate){ .mean = x->mean, .error = x->stderr_, .low = x->low, .high = x->high, .n = x->n };
}

static struct kf_evaluation evaluation_shown(const struct evaluation *v)
{
	return (struct kf_evaluation){
		.rows = v->n,
		.acc = estimate_shown(&v->acc),
		.acc_norm = estimate_shown(&v->acc_norm),
		.exact_match = estimate_shown(&v->exact_match),
		.perplexity = estimate_shown(&v->perplexity),
		.tokens = v->tokens,
		.scored_tokens = v->scored_tokens,
		.computed_tokens = v->computed_tokens,
		.new_tokens = v->new_tokens,
		.truncated = v->n_truncated,
		.flops = v->flops,
		.seconds = v->seconds,
	};
}

static int judge(struct kf_evaluator *v, const struct rows *r, struct judging *j, struct kf_evaluation *out,
                 struct err *e)
{
	static const char *const next = "\n\n"; /* after an answer to a text the next example would begin */
	const struct kf_model *m = v->model;
	int32_t most = overlays_context(v->overlay, &v->model->model);
	int32_t usual = r->shape->judged == JUDGED_TEXTS ? MIN(TEXT_WINDOW, most) : most;
	struct evaluate_options o = {
		.max_length = v->options.max_length ? MIN(v->options.max_length, most) : usual,
		.micro_batch_tokens = v->options.micro_batch_tokens,
		.apply_chat_template = v->options.apply_chat_template,
		.whole = m->before || m->found,
		.stop = &next,
		.n_stop = m->before && !v->options.apply_chat_template,
		.progress = pass_progress,
		.detail = v->options.row ? pass_row : NULL,
		.ctx = j,
	};
	struct subject s = { &v->model->model, v->overlay, v->model->chat, &v->device };
	struct evaluation result;

	o.stride = v->options.stride ? v->options.stride : MAX(o.max_length / 2, 1);
	if (o.stride > o.max_length)
		return err_set(e, "stride is %d, longer than the window of %d tokens", o.stride, o.max_length);
	if (model_want_causal(&v->model->model, e) < 0 || evaluate(&result, &s, r, &o, e) < 0)
		return -1;
	*out = evaluation_shown(&result);
	return 0;
}

static int place_and_judge(struct kf_evaluator *v, const struct rows *r, struct judging *j, struct kf_evaluation *out,
                           struct err *e)
{
	struct placed_rows p;
	int status = placed_rows_make(&p, v->model, v->options.apply_chat_template, r, e);

	if (status == 0)
		status = judge(v, p.rows, j, out, e);
	placed_rows_release(&p);
	return status;
}

int kf_evaluator_rows(struct kf_evaluator *v, const char *path, struct kf_evaluation *out, struct kf_error *error)
{
	struct call c;
	struct judging j = { v, &c };
	struct rows rows = { 0 };

	if (out)
		*out = (struct kf_evaluation){ 0 };
	if (call_begin(&c, v, KIND_EVALUATOR, error) < 0)
		return KF_MISUSE;
	if (!out || !is_path(path))
		return call_misuse(&c, "%s was wanted, found %s", out ? "a file of rows" : "a place for the scores",
		                   out && path ? path : "NULL");
	int status = model_text(v->model, &c.err);
	if (status == 0)
		status = rows_load(&rows, path, &c.err);
	if (status == 0)
		status = rows.n ? place_and_judge(v, &rows, &j, out, &c.err) :
		                  err_set(&c.err, "%s holds no rows", path);
	rows_release(&rows);
	return call_end(&c, status);
}
