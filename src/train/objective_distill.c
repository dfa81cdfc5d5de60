/* objective_distill: a student learns what a teacher says of every token of an answer, not the token alone (Hinton et
 * al. 2015; Agarwal et al. 2023, On-Policy Distillation of Language Models). Names are TRL's GKDTrainer's and
 * DistillationTrainer's; kd_ratio is torchtune's.
 *
 *     T, S = softmax of the teacher's and the student's logits at --temperature     M = (1 − β)·S + β·T
 *     --beta 0   KL(T ‖ S), forward    1   KL(S ‖ T), reverse    else   β·KL(T ‖ M) + (1 − β)·KL(S ‖ M)
 *     --top-k K: of the teacher's K likeliest tokens, made to sum to 1; --add-tail: and all others as one
 *     loss = Σ weight · (kd_ratio · divergence − (1 − kd_ratio) · log p(token)) / Σ weight   of learnt tokens
 *
 * The divergence is not multiplied by T². The answers are those of the rows; of a share --lmbda of the steps the
 * student's own, drawn at the temperature to the rows' prompts (a step's is uniform(seed, step) < λ), and of the
 * others, with --seq-kd, the teacher's. A prompt is what a row has before its first learnt token.
 *
 * The teacher is another model of the same tokenizer, in f32, whose pass comes before the step's own and leaves its
 * rows before the head; the two heads meet tile by tile (op/op_divergence.c). An evaluation is of the rows' own
 * answers.
 *
 * With --privileged-context the teacher, by default the model as its file has it, is shown a column of the row that the
 * student is not (train/privileged.h): what it knows by that, the student learns to do without. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/stop.h"
#include "infer/typical.h"
#include "model/overlay.h"
#include "train/privileged.h"
#include "train/rollout.h"
#include "train/teacher.h"

struct distill {
	const char *teacher, *adapter, *privileged, *form;
	struct rollout_options rollout;
	double beta, lmbda, kd_ratio;
	int64_t top_k;
	bool add_tail, seq_kd;
};

struct state {
	struct teacher teacher;
	struct divergence_kind kind;
	struct rollout own, taught;        /* answers of the student and of the teacher */
	struct objective_run teaching;     /* the teacher as one whose answers are drawn */
	struct document *prompts;          /* [groups] */
	const struct document **prompt;    /* [groups] */
	const struct document **origin;    /* [groups] of the data, whose prompts they are */
	struct model_pass eval;            /* forward, of the evaluation's micro-batches */
	int32_t longest;                   /* learnt tokens of a row */
	/* Of --privileged-context: the teacher's rows, and its documents of a micro-batch. */
	struct privileged train, test;
	struct document *taught_docs;      /* [cap.docs] */
	const struct document **taught_doc; /* [cap.docs] */
	int32_t *ids;                      /* [cap.docs][width] */
	uint8_t *learn;                    /* [cap.docs][width] */
	int32_t width, more;               /* tokens of such a document; that it has beside the student's: at most */
	double factor;                     /* its tokens to the student's, on the mean */
};

static const struct opt distill_opts[] = {
	OPT_STRING("teacher", struct distill, teacher, NULL, "MODEL", "whom the student learns from: of its tokenizer"),
	OPT_STRING("teacher-adapter", struct distill, adapter, NULL, "PATH",
	           "over the teacher, or, without one, over the student's own model"),
	OPT_STRING("privileged-context", struct distill, privileged, NULL, "COLUMN",
	           "of the rows, shown to the teacher alone; it is the model itself unless --teacher says another"),
	OPT_STRING("teacher-prompt-template", struct distill, form, PRIVILEGED_TEMPLATE, "TEXT",
	           "with --privileged-context: what the teacher is asked"),
	OPT_FLOAT("beta", struct distill, beta, "0.5", 0, 1e6,
	          "distill: 0 is forward KL, 1 reverse KL, between them the generalized Jensen-Shannon divergence"),
	ROLLOUT_OPTS(struct distill, rollout, "1", "128", "1"),
	OPT_FLOAT("lmbda", struct distill, lmbda, "0", 0, 1, "share of steps on answers that the student draws itself"),
	OPT_FLAG("seq-kd", struct distill, seq_kd, NULL, "the other steps are on answers that the teacher draws"),
	OPT_INT("top-k", struct distill, top_k, "0", 0, 1 << 24, "of the teacher's likeliest tokens alone; 0: of all"),
	OPT_FLAG("add-tail", struct distill, add_tail, NULL, "with --top-k: all other tokens count as one more"),
	OPT_FLOAT("kd-ratio", struct distill, kd_ratio, "1", 0, 1,
	          "how much of the loss is the divergence; the rest is the answers' own tokens"),
	OPT_END
};

static bool draws(const struct distill *d) { return d->lmbda > 0 || d->seq_kd; }

static int distill_check(const void *options, struct err *e)
{
	const struct distill *d = options;

	if (d->beta > 1)
		return err_set(e, "--beta %g: a divergence is between 0, forward KL, and 1, reverse KL", d->beta);
	if (!d->teacher && !d->adapter && !d->privileged)
		return err_set(e, "--objective distill wants --teacher MODEL, --teacher-adapter PATH or "
		                  "--privileged-context COLUMN");
	if (d->privileged && d->seq_kd)
		return err_set(e, "--seq-kd is not there with --privileged-context: answers that the teacher draws "
		                  "with what it alone sees; --lmbda 1 is on the student's own");
	if (d->privileged && privileged_check(d->form, e) < 0)
		return -1;
	if (d->add_tail && !d->top_k)
		return err_set(e, "--add-tail is of --top-k: without it no token is left out");
	if (d->rollout.num_generations > 1 && d->lmbda < 1 && !d->seq_kd)
		return err_set(e, "--num-generations %lld is of answers that are drawn in every step: --lmbda 1, or "
		               "--seq-kd", (long long)d->rollout.num_generations);
	return 0;
}

/* --- opening --- */

static int check_rows(const struct distill *d, const struct objective_run *o, struct err *e)
{
	int32_t V = o->model->config.V;

	if (d->top_k > V)
		return err_set(e, "--top-k %lld of a vocabulary of %d tokens", (long long)d->top_k, V);
	if (draws(d) && o->rows && o->rows->shape->judged == JUDGED_TEXTS)
		return err_set(e, "%s wants rows with a prompt to answer, and those of %s are texts",
		               d->lmbda > 0 ? "--lmbda" : "--seq-kd", o->rows->shape->name);
	return draws(d) ? rollout_check(&d->rollout, o, e) : 0;
}

/* What it is asked of a set of rows. */
static int open_privileged(const struct objective_run *o, struct privileged *p, const struct rows *rows,
                           const struct documents *documents, struct err *e)
{
	const struct distill *d = o->options;
	struct state *s = o->state;
	const struct model *teacher = s->teacher.model;
	struct text_codec codec = { o->model->tokenizer, o->chat };
	struct document_options how = { .max_length = overlays_context(NULL, teacher),
		                        .apply_chat_template = o->apply_chat_template,
		                        .types = model_types(teacher),
		                        .whole = true };

	if (privileged_make(p, rows, documents, d->privileged, d->form, &codec, &how, e) < 0)
		return -1;
	int32_t answer = MAX(s->longest, d->lmbda > 0 ? (int32_t)d->rollout.max_completion_length : 0);
	for (size_t i = 0; i < documents->n; i++) {
		int32_t asked = privileged_prompt(&p->documents.items[i]),
			own = privileged_prompt(&documents->items[i]);
		s->more = MAX(s->more, asked - own);
		s->width = MAX(s->width, asked + MAX(answer, documents->items[i].n - own));
		if (s->width > how.max_length)
			return err_set(e, "%s:%zu: with --privileged-context %s the teacher reads up to %d tokens, and "
			                  "%s has %d positions", documents->items[i].file, documents->items[i].line,
			               d->privileged, s->width, teacher->source.path, how.max_length);
	}
	return 0;
}

static int distill_open(struct objective_run *o, struct err *e)
{
	const struct distill *d = o->options;
	struct state *s = o->state = mem_alloc(sizeof(*s));

	s->kind = (struct divergence_kind){ .beta = (float)d->beta, .temperature = (float)d->rollout.temperature,
		                            .ratio = (float)d->kd_ratio, .top_k = (int32_t)d->top_k,
		                            .tail = d->add_tail };
	for (size_t i = 0; i < o->documents->n; i++)
		s->longest = MAX(s->longest, o->documents->items[i].n_learn);
	if (check_rows(d, o, e) < 0 || teacher_open(&s->teacher, d->teacher, d->adapter, o->model, e) < 0)
		return -1;
	s->factor = 1;
	if (!d->privileged)
		return 0;
	if (open_privileged(o, &s->train, o->rows, o->documents, e) < 0 ||
	    (o->eval_documents && open_privileged(o, &s->test, o->eval_rows, o->eval_documents, e) < 0))
		return -1;
	s->factor = (double)s->train.documents.tokens / (double)MAX(o->documents->tokens, (size_t)1);
	return 0;
}

static void distill_close(struct objective_run *o)
{
	struct state *s = o->state;

	if (!s)
		return;
	model_pass_release(&s->eval);
	rollout_close(&s->own);
	rollout_close(&s->taught);
	teacher_close(&s->teacher);
	privileged_release(&s->train);
	privileged_release(&s->test);
	mem_free(s->prompts);
	mem_free(s->prompt);
	mem_free(s->origin);
	mem_free(s->taught_docs);
	mem_free(s->taught_doc);
	mem_free(s->ids);
	mem_free(s->learn);
	mem_free(s);
	o->state = NULL;
}

static uint32_t distill_record(const struct objective_run *o, struct graph *g, uint32_t hidden)
{
	const struct state *s = o->state;

	return graph_divergence_from(g, hidden, s->teacher.model, &s->teacher.rows, &s->kind);
}

static void distill_loss(const struct objective_run *o, const struct batch *b, const float *x, float *dx,
                         struct objective_sums *s)
{
	(void)o;
	(void)dx; /* the divergence's own */
	objective_token_loss(b, x, s);
}

/* --- what the teacher alone sees --- */

static bool is_of(const struct documents *d, const struct document *x)
{
	return d && (uintptr_t)x >= (uintptr_t)d->items && (uintptr_t)x < (uintptr_t)(d->items + d->n);
}

/* The teacher's row where the student has x: of the data, or an answer that it has drawn. */
static const struct document *asked_instead(const struct objective_run *o, const struct document *x)
{
	const struct state *s = o->state;

	if (is_of(o->eval_documents, x))
		return &s->test.documents.items[x - o->eval_documents->items];
	if (!is_of(o->documents, x))
		x = s->origin[rollout_of(&s->own, x)->prompt - s->prompts];
	return &s->train.documents.items[x - o->documents->items];
}

/* Its prompt with the student's answer. */
static void teach(const struct objective_run *o, size_t i, const struct document *x)
{
	struct state *s = o->state;
	const struct document *asked = asked_instead(o, x);
	int32_t n = privileged_prompt(asked), own = privileged_prompt(x), rest = x->n - own;
	struct document *to = &s->taught_docs[i];

	*to = *x;
	to->ids = s->ids + i * (size_t)s->width;
	to->learn = s->learn + i * (size_t)s->width;
	to->predicted = NULL;
	to->n = n + rest;
	memcpy(to->ids, asked->ids, (size_t)n * sizeof(*to->ids));
	memcpy(to->ids + n, x->ids + own, (size_t)rest * sizeof(*to->ids));
	memset(to->learn, 0, (size_t)n);
	memcpy(to->learn + n, x->learn + own, (size_t)rest);
	s->taught_doc[i] = to;
}

/* A teacher that gave up has been asked to stop, and so is the pass that follows. */
static void distill_fill(const struct objective_run *o, struct batch *b, const struct document *const *docs)
{
	const struct distill *d = o->options;
	struct state *s = o->state;

	for (int32_t i = 0; d->privileged && i < b->n_docs; i++)
		teach(o, (size_t)i, docs[i]);
	teacher_run(&s->teacher, d->privileged ? s->taught_doc : docs, b, o->computed);
}

/* --- answers that are drawn --- */

static void distill_maxima(const struct objective_run *o, struct objective_maxima *m)
{
	const struct distill *d = o->options;
	const struct state *s = o->state;

	if (!draws(d))
		return;
	*m = rollout_maxima(&d->rollout, o);
	m->labels = MAX(m->labels, s->longest);
}

/* What stands before the first learnt token. */
static const struct document *const *prompts_of(struct state *s, const struct document *const *docs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct document *p = &s->prompts[i];
		*p = *docs[i];
		p->n = privileged_prompt(docs[i]);
		p->n_learn = 0;
		s->prompt[i] = p;
		s->origin[i] = docs[i];
	}
	return s->prompt;
}

static bool is_own(const struct objective_run *o, long step)
{
	const struct distill *d = o->options;
	struct rng_key key = { o->seed, RNG_SAMPLE };

	return (double)rng_uniform(key, (uint64_t)step, UINT32_MAX, 0) < d->lmbda;
}

static int distill_documents(const struct objective_run *o, long step, const struct document *const *docs, size_t n,
                             const struct document **out, size_t *made, struct err *e)
{
	const struct distill *d = o->options;
	struct state *s = o->state;
	bool own = is_own(o, step);
	struct rollout *r = own ? &s->own : &s->taught;

	*made = n;
	if (!own && !d->seq_kd) {
		memcpy(out, docs, n * sizeof(*out));
		return 0;
	}
	s->teaching.computed = o->computed;
	if (rollout_draw(r, step, prompts_of(s, docs, n), n, (int)d->rollout.num_generations, d->rollout.temperature,
	                 e) < 0)
		return -1;
	*made = r->n;
	for (size_t i = 0; i < r->n; i++)
		out[i] = &r->items[i].document;
	return 0;
}

/* Each as if it drew in every step, weighed by its share of them. */
static int plan_draws(struct objective_run *o, struct rollout *r, const struct objective_run *who, double share,
                      struct objective_plan *p, struct err *e)
{
	const struct distill *d = o->options;
	struct objective_plan own = { 0 };

	if (share == 0)
		return 0;
	if (rollout_open(r, &d->rollout, who, 0, &own, e) < 0)
		return -1;
	p->bytes += own.bytes;
	p->step_seconds += share * own.step_seconds;
	p->step.flops += share * own.step.flops;
	p->step.int_ops += share * own.step.int_ops;
	return 0;
}

static int open_draws(struct objective_run *o, struct objective_plan *p, struct err *e)
{
	const struct distill *d = o->options;
	struct state *s = o->state;

	if (!draws(d))
		return 0;
	s->prompts = mem_array(o->groups, sizeof(*s->prompts));
	s->prompt = mem_array(o->groups, sizeof(*s->prompt));
	s->origin = mem_array(o->groups, sizeof(*s->origin));
	s->teaching = *o;
	s->teaching.model = &s->teacher.own;
	s->teaching.overlay = NULL;
	s->teaching.eval_documents = NULL;
	if (plan_draws(o, &s->own, o, d->lmbda, p, e) < 0)
		return -1;
	return d->seq_kd ? plan_draws(o, &s->taught, &s->teaching, 1 - d->lmbda, p, e) : 0;
}

/* --- the plan --- */

/* Micro-batches of the evaluation: their capacities and counts. */
static void walk_eval(const struct objective_run *o, struct batch_cap *cap, struct live *live, double *micros)
{
	const struct documents *d = o->eval_documents;
	const struct document **docs = mem_array(d->n, sizeof(*docs));

	for (size_t i = 0; i < d->n; i++)
		docs[i] = &d->items[i];
	for (size_t i = 0, some; i < d->n; i += some, ++*micros) {
		struct batch_cap need;
		struct live now;
		int64_t tokens;
		some = forest_take(docs + i, d->n - i, o->forest, &need, &now, &tokens);
		batch_cap_max(cap, &need);
		live_add(live, &now, 1);
	}
	mem_free(docs);
}

static int record_eval(struct objective_run *o, const struct batch_cap *cap, struct err *e)
{
	struct state *s = o->state;
	struct graph *g = &s->eval.graph;

	model_pass_begin(&s->eval, o->device, cap, o->model, o->overlay, false);
	g->as_trained = true;
	s->eval.result = distill_record(o, g, graph_hidden(g));
	return pass_plan(&s->eval.pass, NULL, e);
}

static int seconds_of(const struct objective_run *o, struct model_pass *pass, const struct forest_options *forest,
                      const struct documents *d, const struct live *mean, double *seconds, struct err *e)
{
	size_t n = MIN(d->n, MAX(o->groups, (size_t)1));
	const struct document **docs = mem_array(n, sizeof(*docs));
	struct typical typical;
	struct timing timing = { 0 };

	for (size_t i = 0; i < n; i++)
		docs[i] = &d->items[i];
	typical_init(&typical, n, mean->rows);
	typical_look(&typical, docs, n, forest);
	int status = typical_time(&typical, pass, forest, mean, 0, &timing, e);
	*seconds = timing.seconds;
	typical_release(&typical);
	mem_free(docs);
	return status;
}

/* The documents that the teacher reads. */
static const struct documents *asked(const struct privileged *p, const struct documents *own)
{
	return p->documents.n ? &p->documents : own;
}

static int plan_eval(struct objective_run *o, struct objective_plan *p, const struct live *live, double micros,
                     struct err *e)
{
	struct state *s = o->state;
	struct live mean = live_over(live, micros), taught = live_over(live, 1 / s->factor);
	struct live one = live_over(&taught, micros);
	double teacher, own;

	if (seconds_of(o, &s->teacher.pass, &s->teacher.forest, asked(&s->test, o->eval_documents), &one, &teacher,
	               e) < 0 ||
	    seconds_of(o, &s->eval, o->forest, o->eval_documents, &mean, &own, e) < 0)
		return -1;
	struct work a = pass_work_of(&s->teacher.pass.pass, &taught, micros);
	struct work b = pass_work_of(&s->eval.pass, live, micros);
	p->bytes += pass_bytes(&s->eval.pass);
	p->eval = (struct work){ a.flops + b.flops, a.int_ops + b.int_ops };
	p->eval_seconds = micros * (teacher + own);
	return 0;
}

static int plan_steps(struct objective_run *o, struct objective_plan *p, struct err *e)
{
	struct state *s = o->state;
	struct live all = live_over(&o->live, 1 / s->factor), mean = live_over(&all, MAX(o->micro_batches, 1));
	double seconds, steps = MAX(o->steps, 1);
	struct work w = { 0 };

	if (o->micro_batches > 0)
		w = pass_work_of(&s->teacher.pass.pass, &all, o->micro_batches);
	if (seconds_of(o, &s->teacher.pass, &s->teacher.forest, asked(&s->train, o->documents), &mean, &seconds, e) < 0)
		return -1;
	p->bytes += teacher_bytes(&s->teacher);
	p->step.flops += w.flops / steps;
	p->step.int_ops += w.int_ops / steps;
	p->step_seconds += seconds * o->micro_batches / steps;
	return 0;
}

static int distill_plan(struct objective_run *o, struct objective_plan *p, struct err *e)
{
	struct state *s = o->state;
	struct batch_cap cap = { 0 }, both = *o->cap;
	struct live live = { 0 };
	double micros = 0;

	if (o->eval_documents)
		walk_eval(o, &cap, &live, &micros);
	batch_cap_max(&both, &cap);
	if (teacher_plan(&s->teacher, o->device, &both, s->more, o->forest, e) < 0 || plan_steps(o, p, e) < 0)
		return -1;
	if (s->width) {
		size_t docs = (size_t)both.docs, numbers = docs * (size_t)s->width;
		s->taught_docs = mem_array(docs, sizeof(*s->taught_docs));
		s->taught_doc = mem_array(docs, sizeof(*s->taught_doc));
		s->ids = mem_array(numbers, sizeof(*s->ids));
		s->learn = mem_array(numbers, sizeof(*s->learn));
		p->bytes += numbers * (sizeof(*s->ids) + sizeof(*s->learn));
	}
	if (o->eval_documents && (record_eval(o, &cap, e) < 0 || plan_eval(o, p, &live, micros, e) < 0))
		return -1;
	return open_draws(o, p, e);
}

static int distill_begin(struct objective_run *o, struct err *e)
{
	struct state *s = o->state;

	if (teacher_start(&s->teacher, e) < 0)
		return -1;
	return o->eval_documents ? model_pass_start(&s->eval, NULL, e) : 0;
}

/* --- the evaluation --- */

static void tally(struct eval_row *rows, const struct batch *b, const float *x)
{
	for (int32_t i = 0; i < b->n_docs; i++)
		rows[i] = (struct eval_row){ .hit = NAN };
	for (int32_t i = 0; i < b->n_labels; i++) {
		rows[b->label_doc[i]].loss -= (double)x[i];
		rows[b->label_doc[i]].weight++;
	}
}

static int distill_evaluate(const struct objective_run *o, const struct document *const *docs, size_t n,
                            struct eval_metrics *m, struct err *e)
{
	struct state *s = o->state;
	struct batch *b = &s->eval.pass.batch;
	struct objective_sums sums = { 0 };

	for (size_t i = 0, some; i < n; i += some) {
		struct batch_cap need;
		struct live live;
		int64_t tokens;
		some = forest_take(docs + i, n - i, o->forest, &need, &live, &tokens);
		forest_fill(b, docs + i, some, o->forest);
		distill_fill(o, b, docs + i);
		if (pass_step(&s->eval.pass) < 0)
			return err_set(e, "interrupted while %zu documents were compared with the teacher", n);
		struct work w = pass_work(&s->eval.pass, &live);
		o->computed->flops += w.flops;
		o->computed->int_ops += w.int_ops;
		distill_loss(o, b, model_pass_result(&s->eval), NULL, &sums);
		tally(m->rows + i, b, model_pass_result(&s->eval));
		m->tokens += b->n_labels;
	}
	m->eval_loss = sums.loss / sums.weight;
	return 0;
}

/* Its documents share no beginnings: of two that ask the student alike the teacher may be told otherwise. */
static bool distill_unshared(const void *options) { return ((const struct distill *)options)->privileged; }

static const char *distill_reads(const void *options) { return ((const struct distill *)options)->privileged; }

const struct objective objective_distill = {
	.name = "distill",
	.summary = "what a teacher says of each token of an answer",
	.rate = 1,
	.opts = distill_opts,
	.options_size = sizeof(struct distill),
	.check = distill_check,
	.open = distill_open,
	.close = distill_close,
	.begin = distill_begin,
	.record = distill_record,
	.plan = distill_plan,
	.fill = distill_fill,
	.loss = distill_loss,
	.evaluate = distill_evaluate,
	.maxima = distill_maxima,
	.documents = distill_documents,
	.unshared = distill_unshared,
	.reads = distill_reads,
};
