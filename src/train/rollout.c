/* rollout: requests of a batcher become documents. See rollout.h. */
#include "train/rollout.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/stop.h"
#include "infer/batcher.h"
#include "infer/scorer.h"
#include "model/prepare.h"
#include "op/logprob.h"

enum { SEQUENCES = 32 };           /* beside each other; each takes ranges of its own, and more rows win little */
enum { HEAP_BYTES = 512 << 10 };   /* of requests and texts while they are there */
#define ROUNDING_SUM 2.0           /* of int8, in nats: what one token of an answer may be off … */
#define ROUNDING_EACH 0.5          /* … and all of them on average */

/* --- what it may need --- */

static int32_t longest_of(const struct documents *d)
{
	int32_t n = 0;

	for (size_t i = 0; d && i < d->n; i++)
		n = MAX(n, d->items[i].n);
	return n;
}

static int32_t longest_prompt(const struct objective_run *run)
{
	return MAX(longest_of(run->documents), longest_of(run->eval_documents));
}

int rollout_check(const struct rollout_options *o, const struct objective_run *run, struct err *e)
{
	int32_t longest = longest_prompt(run), left = run->max_length - longest;

	if (o->max_completion_length <= left)
		return 0;
	return err_set(e,
	               "the longest prompt has %d tokens, which leaves %d of --max-length %d for an answer, and "
	               "--max-completion-length is %lld: lower that, or raise --max-length",
	               longest, MAX(left, 0), run->max_length, (long long)o->max_completion_length);
}

struct objective_maxima rollout_maxima(const struct rollout_options *o, const struct objective_run *run)
{
	int32_t labels = (int32_t)o->max_completion_length;

	return (struct objective_maxima){ .documents = (int32_t)o->num_generations, .labels = labels, .apart = true,
		                          .tokens = longest_of(run->documents) + labels };
}

/* --- opening --- */

static size_t length_of(const struct rollout *r) { return (size_t)r->longest + (size_t)r->o.max_completion_length; }

static int open_session(struct rollout *r, struct err *e)
{
	const struct objective_run *run = r->run;
	int32_t n_ctx = MIN((int32_t)length_of(r), run->model->config.n_ctx);
	struct session_size size = { .n_ctx = n_ctx, .n_sequences = (int)MIN(r->most, (size_t)SEQUENCES),
		                     .cache = { DTYPE_F32, DTYPE_F32 } };

	return session_new(&r->session, run->model, run->overlay, run->device, &size, e);
}

/* Seconds and operations of drawing n answers after prompts, g to each, all as long as they may get. */
static int forecast_draw(struct rollout *r, double prompts, double g, double *seconds, struct work *work,
                         struct err *e)
{
	int n = session_sequences(r->session), half = r->longest + (int)r->o.max_completion_length / 2;
	int rows = MAX(1, MIN(r->longest, session_rows(r->session)));
	double steps = (double)r->o.max_completion_length * ceil(prompts * g / n), read_seconds;
	struct work read;

	if (session_time(r->session, n, 1, MIN(half, session_limit(r->session) - 1), seconds, work, e) < 0 ||
	    session_time(r->session, 1, rows, 0, &read_seconds, &read, e) < 0)
		return -1;
	*seconds = *seconds * steps + read_seconds * prompts;
	work->flops = work->flops * steps + read.flops * prompts;
	work->int_ops = work->int_ops * steps + read.int_ops * prompts;
	return 0;
}

static int plan_draw(struct rollout *r, struct objective_plan *p, struct err *e)
{
	const struct objective_run *run = r->run;
	int n = session_sequences(r->session);
	double evals = run->eval_documents ? (double)run->eval_documents->n : 0, seconds;
	struct work w;
	size_t work, cache;

	session_bytes(r->session, &work, &cache);
	p->bytes += work + session_fill_bytes(r->session, n, 0, (int)length_of(r)) +
	            (size_t)(n + 1) * 4 * (size_t)run->model->config.V * sizeof(float) + /* of those who draw */
	            r->most * (length_of(r) * 5 + sizeof(struct completion) + sizeof(struct drawn)) + HEAP_BYTES;
	if (forecast_draw(r, (double)run->groups, (double)r->o.num_generations, &seconds, &w, e) < 0)
		return -1;
	p->step_seconds += seconds;
	p->step.flops += w.flops;
	p->step.int_ops += w.int_ops;
	if (evals == 0)
		return 0;
	if (forecast_draw(r, evals, 1, &seconds, &w, e) < 0)
		return -1;
	p->eval_seconds += seconds;
	p->eval.flops += w.flops;
	p->eval.int_ops += w.int_ops;
	return 0;
}

static uint32_t record_scores(void *ctx, struct graph *g, uint32_t hidden)
{
	const struct score *s = ctx;

	return graph_logprob_at(g, hidden, s->of->o.temperature);
}

static void scored(void *ctx, struct batch *b, const struct document *const *docs, const float *x)
{
	const struct score *s = ctx;

	rollout_keep(s->of, b, docs, x, *s->to);
}

/* What lies under what the run trains: an objective's own overlay does not count. */
static const struct overlay *under_trained(const struct objective_run *run)
{
	const struct overlay *o = run->overlay;

	return (o == &run->own ? o->under : o)->under;
}

static int open_score(struct rollout *r, struct score *s, const struct overlay *overlay, float **to,
                      struct objective_plan *p, struct err *e)
{
	const struct objective_run *run = r->run;
	const struct forest_options *f = run->forest;
	struct scorer_options o = { .max_tokens = f->max_tokens, .max_length = MIN(run->max_length, f->max_tokens),
		                    .as_trained = true, .unshared = !f->share, .record = record_scores,
		                    .next_tokens = true, .scored = scored, .ctx = s };
	struct objective_maxima m = rollout_maxima(&r->o, run);
	double rows = (double)r->most * m.tokens;
	struct batch_cap cap = { .rows = (int32_t)MIN(rows, f->max_tokens), .keys = (int32_t)MIN(rows, f->max_tokens),
		                 .docs = (int32_t)r->most, .segments = 2 * (int32_t)r->most + 1,
		                 .labels = (int32_t)(r->most * (size_t)m.labels) };
	size_t before = mem_rss();

	cap.targets = MIN(cap.rows, cap.labels);
	*s = (struct score){ .of = r, .to = to };
	*to = mem_array(r->most * (size_t)m.labels, sizeof(**to));
	if (scorer_new(&s->scorer, run->model, overlay, run->device, &o, e) < 0)
		return -1;
	scorer_reserve(s->scorer, &cap);
	p->bytes += mem_rss() - MIN(before, mem_rss()) + r->most * (size_t)m.labels * sizeof(float);
	return 0;
}

/* One that follows stands where what is trained does, while it is asked. */
static const struct overlay *reference_of(const struct objective_run *run)
{
	return run->synced ? run->overlay : under_trained(run);
}

static int open_scores(struct rollout *r, int scores, struct objective_plan *p, struct err *e)
{
	p->base |= scores & SCORE_UNDER && !r->run->synced;
	if (scores & SCORE_UNDER && open_score(r, &r->scores[0], reference_of(r->run), &r->under, p, e) < 0)
		return -1;
	return scores & SCORE_POLICY ? open_score(r, &r->scores[1], r->run->overlay, &r->policy, p, e) : 0;
}

static void make_room(struct rollout *r)
{
	size_t V = (size_t)r->run->model->config.V;

	r->items = mem_array(r->most, sizeof(*r->items));
	r->made = mem_array(r->most, sizeof(*r->made));
	r->ids = mem_array(r->most * length_of(r), sizeof(*r->ids));
	r->learn = mem_array(r->most * length_of(r), 1);
	r->drawn = mem_array((size_t)r->o.max_completion_length, sizeof(*r->drawn));
	r->label_at = mem_array(r->most, sizeof(*r->label_at));
	r->logits = mem_array(V + logprob_room(V), sizeof(*r->logits));
}

int rollout_open(struct rollout *r, const struct rollout_options *o, const struct objective_run *run, int scores,
                 struct objective_plan *p, struct err *e)
{
	*r = (struct rollout){ .o = *o, .run = run, .longest = longest_prompt(run), .drift.most = NAN };
	r->most = run->groups * (size_t)o->num_generations;
	generate_ends(run->model, &r->ends);
	if (!r->ends.n)
		return err_set(e, "%s names no token that ends an answer", run->model->source.path);
	make_room(r);
	return open_session(r, e) < 0 || plan_draw(r, p, e) < 0 ? -1 : open_scores(r, scores, p, e);
}

void rollout_beside(struct rollout *r, const struct rollout *other)
{
	*r = (struct rollout){ .o = other->o, .run = other->run, .longest = other->longest, .drift.most = NAN,
		               .beside = true, .most = other->most, .session = other->session };
	for (size_t i = 0; i < other->ends.n; i++)
		tokens_add(&r->ends, other->ends.id[i]);
	make_room(r);
}

void rollout_close(struct rollout *r)
{
	if (!r->beside)
		session_free(r->session);
	for (size_t i = 0; i < ARRAY_LEN(r->scores); i++)
		scorer_free(r->scores[i].scorer);
	tokens_release(&r->ends);
	arena_release(&r->text);
	mem_free(r->items);
	mem_free(r->made);
	mem_free(r->ids);
	mem_free(r->learn);
	mem_free(r->drawn);
	mem_free(r->under);
	mem_free(r->policy);
	mem_free(r->label_at);
	mem_free(r->logits);
	*r = (struct rollout){ 0 };
}

/* --- drawing --- */

static void put_answer(struct completion *c, const int32_t *ids, int32_t length, bool ended)
{
	struct document *d = &c->document;

	memmove(d->ids + d->n, ids, (size_t)length * sizeof(*ids));
	memset(d->learn + d->n, 1, (size_t)length);
	d->n += length;
	d->n_learn = c->length = length;
	c->ended = ended;
}

/* Those that draw one draw; NULL: this process is alone in it. */
static struct ranks *ranks_of(const struct rollout *r) { return r->beside ? NULL : r->run->ranks; }

/* The first answer that rank k draws: as many each, those to a prompt beside each other. */
static size_t first_of(const struct rollout *r, int k)
{
	const struct ranks *ranks = ranks_of(r);

	return ranks ? r->n * (size_t)k / (size_t)ranks->size : k ? r->n : 0;
}

static int own_rank(const struct rollout *r) { return ranks_of(r) ? ranks_of(r)->rank : 0; }

/* Tickets are those of a batcher that draws this rank's answers, in their order. */
static int done(void *ctx, int64_t ticket, struct generation *g, struct err *e)
{
	struct rollout *r = ctx;
	size_t i = first_of(r, own_rank(r)) + (size_t)ticket;
	struct completion *c = &r->items[i];
	(void)e;

	c->text = arena_array(&r->text, g->text.len + 1, 1);
	memcpy(c->text, buf_str(&g->text), g->text.len);
	put_answer(c, g->ids.id, (int32_t)g->ids.n, g->finish == FINISH_STOP);
	r->made[i] = (struct drawn){ c->length, c->ended, g->text.len, g->flops + g->int_ops, g->int_ops };
	return 0;
}

struct looking { struct rollout *r; int32_t n; };

/* Of completion 0: log softmax(z/T) of the token, added up as training does. */
static void look_at_token(void *ctx, int32_t id, const float *logits)
{
	struct looking *l = ctx;
	const struct rollout *r = l->r;
	const struct kernels *k = r->run->kernels;
	size_t V = (size_t)r->run->model->config.V;

	if (r->drawn_temperature != 1) {
		k->scale(r->logits, logits, (float)(1 / r->drawn_temperature), V);
		logits = r->logits;
	}
	r->drawn[l->n++] = logprob_of_logits(k, logits, V, (size_t)id, r->logits + V);
}

static void begin_completion(struct rollout *r, size_t i, const struct document *prompt)
{
	struct completion *c = &r->items[i];

	*c = (struct completion){ .document = *prompt, .prompt = prompt };
	c->document.ids = r->ids + i * length_of(r);
	c->document.learn = r->learn + i * length_of(r);
	c->document.joined = false;
	memcpy(c->document.ids, prompt->ids, (size_t)prompt->n * sizeof(*prompt->ids));
	memset(c->document.learn, 0, (size_t)prompt->n);
}

static int draw_own(struct rollout *r, struct batcher *b, struct sampler *sampler, struct err *e)
{
	struct looking looking = { .r = r };
	struct batcher_request q = { .done = done, .ctx = r };
	size_t end = first_of(r, own_rank(r) + 1);
	int status = 0;

	for (size_t i = first_of(r, own_rank(r)); i < end && !status; i++) {
		const struct document *d = &r->items[i].document;
		sampler->stream = (uint32_t)i;
		q.ids = d->ids;
		q.n = (size_t)d->n;
		q.generate = (struct generate_options){ .end = r->ends, .sampler = sampler, .ctx = &looking,
			                                .token = !i && r->drawn_temperature > 0 ? look_at_token : NULL,
			                                .max_new_tokens = (size_t)r->o.max_completion_length };
		status = batcher_add(b, &q, e) < 0 ? -1 : 0;
	}
	while (!status && batcher_busy(b))
		status = stop_asked() ? err_set(e, "interrupted while answers were drawn") : batcher_step(b, e);
	return status;
}

/* All of what each rank has of `data`, `each` bytes an answer. */
static int share_each(const struct rollout *r, void *data, size_t each, size_t *at, struct err *e)
{
	struct ranks *ranks = ranks_of(r);

	for (int k = 0; k <= ranks->size; k++)
		at[k] = first_of(r, k) * each;
	return ranks_gather(ranks, RANKS_TAG_DRAWN, data, at, e);
}

static int share_texts(struct rollout *r, size_t *at, struct err *e)
{
	struct ranks *ranks = ranks_of(r);
	size_t n = 0, i = 0;

	for (int k = 0; k <= ranks->size; k++) {
		for (; i < first_of(r, k); i++)
			n += r->made[i].text;
		at[k] = n;
	}
	char *all = mem_alloc(n + 1), *text = all;
	for (i = 0; i < r->n; text += r->made[i++].text)
		if (r->items[i].text)
			memcpy(text, r->items[i].text, r->made[i].text);
	int status = ranks_gather(ranks, RANKS_TAG_DRAWN, all, at, e);
	text = all;
	for (i = 0; i < r->n && !status; text += r->made[i++].text)
		if (!r->items[i].text) {
			r->items[i].text = arena_array(&r->text, r->made[i].text + 1, 1);
			memcpy(r->items[i].text, text, r->made[i].text);
		}
	mem_free(all);
	return status;
}

/* What the one who has drawn completion 0 has looked at. */
static int share_look(struct rollout *r, size_t *at, struct err *e)
{
	struct ranks *ranks = ranks_of(r);

	for (int k = 0; k <= ranks->size; k++)
		at[k] = first_of(r, k) ? (size_t)r->o.max_completion_length * sizeof(*r->drawn) : 0;
	return ranks_gather(ranks, RANKS_TAG_DRAWN, r->drawn, at, e);
}

/* Those of the others. */
static int share(struct rollout *r, struct err *e)
{
	struct ranks *ranks = ranks_of(r);
	size_t *at = mem_array((size_t)ranks->size + 1, sizeof(*at));
	int status = share_each(r, r->made, sizeof(*r->made), at, e) < 0 ||
	             share_each(r, r->ids, length_of(r) * sizeof(*r->ids), at, e) < 0 ||
	             share_texts(r, at, e) < 0 || share_look(r, at, e) < 0 ? -1 : 0;

	for (size_t i = 0; i < r->n && !status; i++) {
		struct completion *c = &r->items[i];
		if (!c->length)
			put_answer(c, c->document.ids + c->document.n, r->made[i].length, r->made[i].ended);
	}
	mem_free(at);
	return status;
}

/* In their order, whoever has drawn them. */
static void count_work(const struct rollout *r)
{
	struct work *w = r->run->computed;

	for (size_t i = 0; i < r->n && w; i++) {
		w->flops += r->made[i].flops;
		w->int_ops += r->made[i].int_ops;
	}
}

int rollout_draw(struct rollout *r, long step, const struct document *const *prompts, size_t n, int generations,
                 double temperature, struct err *e)
{
	struct sampler sampler = { .seed = r->run->seed, .index = (uint64_t)step << 32 };
	struct sampler_choice choice;

	if (n * (size_t)generations > r->most)
		BUG("%zu answers, of which %zu were planned", n * (size_t)generations, r->most);
	arena_release(&r->text);
	r->text = (struct arena)ARENA_INIT;
	r->n = n * (size_t)generations;
	r->generations = generations;
	r->drift = (struct rollout_drift){ .most = NAN };
	r->drawn_temperature = temperature;
	for (size_t i = 0; i < r->n; i++)
		begin_completion(r, i, prompts[i / (size_t)generations]);
	session_forget(r->session);
	sampler_choose(&choice);
	sampler_choice_set(&choice, "temperature", temperature);
	sampler.steps = choice.steps;
	struct batcher *b = batcher_new(r->session, r->run->model->tokenizer, r->run->pool);
	int status = ranks_agree(ranks_of(r), draw_own(r, b, &sampler, e), NULL, e);
	batcher_free(b);
	sampler_choice_release(&choice);
	if (!status && ranks_of(r))
		status = share(r, e);
	if (!status)
		count_work(r);
	return status;
}

/* --- numbers of their tokens --- */

static void begin_labels(const struct rollout *r, const struct batch *b, const struct document *const *docs)
{
	for (int32_t i = 0; i < b->n_docs; i++) {
		size_t k = (size_t)(rollout_of(r, docs[i]) - r->items);
		r->label_at[i] = (int32_t)(k * (size_t)r->o.max_completion_length);
	}
}

void rollout_fill(const struct rollout *r, const struct batch *b, const struct document *const *docs,
                  const float *numbers, float *column)
{
	begin_labels(r, b, docs);
	for (int32_t i = 0; i < b->n_labels; i++) /* those of a document in the order of its tokens */
		column[i] = numbers[r->label_at[b->label_doc[i]]++];
}

void rollout_keep(const struct rollout *r, const struct batch *b, const struct document *const *docs, const float *x,
                  float *numbers)
{
	begin_labels(r, b, docs);
	for (int32_t i = 0; i < b->n_labels; i++)
		numbers[r->label_at[b->label_doc[i]]++] = x[i];
}

void rollout_look(struct rollout *r, const struct batch *b, const struct document *const *docs, const float *x)
{
	struct rollout_drift d = { 0 };
	int32_t first = -1;

	for (int32_t i = 0; i < b->n_docs; i++)
		if (rollout_of(r, docs[i]) == r->items)
			first = i;
	if (first < 0 || !(r->drawn_temperature > 0))
		return;
	for (int32_t i = 0; i < b->n_labels; i++)
		if (b->label_doc[i] == first) {
			double was = (double)r->drawn[d.tokens++], off = fabs((double)x[i] - was);
			d.at = off > d.most ? was : d.at;
			d.most = fmax(d.most, off);
			d.sum += off;
		}
	r->drift = d;
}

/* f32: no token is off. In int8 a token's own logit is exact in training alone, and what rounding made too likely is
 * drawn more often, so a token may be off by 1 or 2: not many of an answer are. Dropout is training's alone. */
int rollout_agrees(const struct rollout *r, struct err *e)
{
	const struct objective_run *run = r->run;
	const struct rollout_drift *d = &r->drift;

	if (overlays_unshared(run->overlay))
		return 0;
	if (run->model->compute == COMPUTE_F32 && d->most > 1e-3 * fmax(1, fabs(d->at)))
		return err_set(e, "a token of an answer had log-probability %g when it was drawn, off by %g from what "
		                  "training finds, which is more than rounding: its ratio would not be 1",
		               d->at, d->most);
	if (d->sum > ROUNDING_SUM + ROUNDING_EACH * (double)d->tokens)
		return err_set(e, "the %d tokens of an answer had log-probabilities when they were drawn that are off "
		                  "by %g on average from what training finds, which is more than rounding: their "
		                  "ratios would not be 1",
		               d->tokens, d->sum / d->tokens);
	return 0;
}

static int score_all(const struct rollout *r, struct scorer *s, const struct document *const *docs, struct err *e)
{
	double flops = scorer_flops(s), int_ops = scorer_int_ops(s);
	int status = scorer_run(s, docs, r->n, false, NULL, NULL, NULL, NULL, e);

	r->run->computed->flops += scorer_flops(s) - flops;
	r->run->computed->int_ops += scorer_int_ops(s) - int_ops;
	return status;
}

int rollout_score(struct rollout *r, struct err *e)
{
	const struct document **docs = mem_array(r->n, sizeof(*docs));
	int status = 0;

	for (size_t i = 0; i < r->n; i++)
		docs[i] = &r->items[i].document;
	for (size_t i = 0; i < ARRAY_LEN(r->scores) && !status; i++) {
		struct synced *synced = &r->under == r->scores[i].to ? r->run->synced : NULL;
		if (synced)
			synced_swap(synced);
		status = r->scores[i].scorer ? score_all(r, r->scores[i].scorer, docs, e) : 0;
		if (synced)
			synced_swap(synced);
	}
	mem_free(docs);
	return status;
}

void rollout_put(struct rollout *r, size_t i, size_t n, int generations, const struct document *prompt,
                 const int32_t *ids, int32_t length, bool ended)
{
	if (i >= r->most || length > r->o.max_completion_length)
		BUG("completion %zu of %d tokens", i, length);
	begin_completion(r, i, prompt);
	put_answer(&r->items[i], ids, length, ended);
	r->n = n;
	r->generations = generations;
}
